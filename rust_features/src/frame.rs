//! What a kernel sees of the market at one bar: the bar itself and the bars before it.

use crate::bar::Bar;
use crate::logarithm::log_changes;
use crate::neighbours::WINDOWS;

/// A price or volume column of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// First price.
    Open = 0,
    /// Highest price.
    High = 1,
    /// Lowest price.
    Low = 2,
    /// Last price.
    Close = 3,
    /// Traded volume.
    Volume = 4,
}

impl Column {
    /// Every column, in the order of the discriminants.
    pub const ALL: [Self; 5] = [Self::Open, Self::High, Self::Low, Self::Close, Self::Volume];
    /// Names as a feature spec writes them, in the order of [`Column::ALL`].
    pub const NAMES: [&'static str; 5] = ["open", "high", "low", "close", "volume"];

    /// The column of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .zip(Self::NAMES)
            .find(|(_, known)| *known == name)
            .map(|(column, _)| column)
    }
}

/// Series that a history keeps: the columns, and the log returns of the closes.
pub(crate) const KEPT: usize = 6;
/// Place of the log returns among them.
pub(crate) const LOG_RETURNS: usize = 5;

/// How many bars of each column a kernel reads, the current bar included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lookback([usize; KEPT]);

impl Lookback {
    /// Reads the current bar only.
    pub const CURRENT_BAR: Self = Self([0; KEPT]);

    /// Reads the newest `bars` values of one column.
    pub const fn of(column: Column, bars: usize) -> Self {
        let mut counts = [0; KEPT];
        counts[column as usize] = bars;
        Self(counts)
    }

    /// Reads the newest `bars` values of each of `columns`.
    pub fn of_each(columns: &[Column], bars: usize) -> Self {
        columns.iter().fold(Self::CURRENT_BAR, |all, column| {
            all.and(Self::of(*column, bars))
        })
    }

    /// Reads the newest `returns` log returns of the closes, which every kernel shares.
    pub const fn of_log_returns(returns: usize) -> Self {
        // The first bar of all has none, but its place; a return needs two closes.
        let mut counts = [0; KEPT];
        counts[LOG_RETURNS] = returns + 1;
        counts[Column::Close as usize] = 2;
        Self(counts)
    }

    /// What two readers need together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// Bars kept of one column; zero when nobody looks back on it.
    pub fn bars(self, column: Column) -> usize {
        self.0[column as usize]
    }

    /// Bars kept of each series.
    pub(crate) fn kept(self) -> [usize; KEPT] {
        self.0
    }

    /// Whether somebody reads log returns.
    pub(crate) fn reads_log_returns(self) -> bool {
        self.0[LOG_RETURNS] > 0
    }
}

/// The current bar of one series and its history, oldest first and ending with the current bar.
///
/// Bad bars never appear in it: a kernel need not check for NaN.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The current bar.
    pub bar: Bar,
    history: [&'a [f64]; KEPT],
    /// History of the column that the kernel's `source` parameter names, where it was looked up ahead.
    source: Option<&'a [f64]>,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub(crate) const fn new(bar: Bar, history: [&'a [f64]; KEPT]) -> Self {
        Self {
            bar,
            history,
            source: None,
        }
    }

    /// A frame whose `current` and `last` read this column, whichever they are asked for: inside a loop over bars the
    /// choice of column would cost more than many a step.
    #[inline(always)]
    pub(crate) const fn with_source(mut self, source: &'a [f64]) -> Self {
        self.source = Some(source);
        self
    }

    /// The newest `bars` closes, or `None` while the series has fewer.
    #[inline(always)]
    pub fn closes(&self, bars: usize) -> Option<&'a [f64]> {
        last(self.history[Column::Close as usize], bars)
    }

    /// The newest `bars` highs, or `None` while the series has fewer.
    #[inline(always)]
    pub fn highs(&self, bars: usize) -> Option<&'a [f64]> {
        last(self.history[Column::High as usize], bars)
    }

    /// The newest `bars` lows, or `None` while the series has fewer.
    #[inline(always)]
    pub fn lows(&self, bars: usize) -> Option<&'a [f64]> {
        last(self.history[Column::Low as usize], bars)
    }

    /// The newest `bars` opens, or `None` while the series has fewer.
    #[inline(always)]
    pub fn opens(&self, bars: usize) -> Option<&'a [f64]> {
        last(self.history[Column::Open as usize], bars)
    }

    /// The newest `bars` volumes, or `None` while the series has fewer.
    #[inline(always)]
    pub fn volumes(&self, bars: usize) -> Option<&'a [f64]> {
        last(self.history[Column::Volume as usize], bars)
    }

    /// The newest `returns` values of `ln(close / close before)`, or `None` while the series has fewer.
    #[inline(always)]
    pub fn log_returns(&self, returns: usize) -> Option<&'a [f64]> {
        match last(self.history[LOG_RETURNS], returns + 1) {
            Some([_, returns @ ..]) => Some(returns),
            _ => None,
        }
    }

    /// The newest `bars` values of a kept series, by its place.
    #[inline(always)]
    pub(crate) fn newest(&self, place: usize, bars: usize) -> Option<&'a [f64]> {
        last(self.history.get(place)?, bars)
    }

    /// The newest `bars` values of the `source` column, or `None` while the series has fewer.
    ///
    /// A kernel with a `source` parameter passes its column and no other; other columns have their own methods.
    #[inline(always)]
    pub fn last(&self, column: Column, bars: usize) -> Option<&'a [f64]> {
        match self.source {
            Some(values) => last(values, bars),
            None => last(self.history[column as usize], bars),
        }
    }

    /// The current value of the `source` column; as [`Frame::last`].
    #[inline(always)]
    pub fn current(&self, column: Column) -> f64 {
        if let Some(newest) = self.source.and_then(<[f64]>::last) {
            return *newest;
        }
        match column {
            Column::Open => self.bar.open,
            Column::High => self.bar.high,
            Column::Low => self.bar.low,
            Column::Close => self.bar.close,
            Column::Volume => self.bar.volume,
        }
    }
}

#[inline(always)]
fn last(values: &[f64], bars: usize) -> Option<&[f64]> {
    values.get(values.len().checked_sub(bars)?..)
}

/// Columns of one symbol, oldest first, all of one length.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Open times, nanoseconds since the Unix epoch, UTC.
    pub open_time_ns: &'a [i64],
    /// First prices.
    pub open: &'a [f64],
    /// Highest prices.
    pub high: &'a [f64],
    /// Lowest prices.
    pub low: &'a [f64],
    /// Last prices.
    pub close: &'a [f64],
    /// Traded volumes.
    pub volume: &'a [f64],
}

impl<'a> Columns<'a> {
    /// Number of bars: the length of the shortest column.
    pub fn len(&self) -> usize {
        [self.open, self.high, self.low, self.close, self.volume]
            .into_iter()
            .map(<[f64]>::len)
            .fold(self.open_time_ns.len(), usize::min)
    }

    /// Whether there is no bar.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `bars` bars.
    #[must_use]
    #[inline(always)]
    pub fn first(&self, bars: usize) -> Self {
        Self {
            open_time_ns: &self.open_time_ns[..bars],
            open: &self.open[..bars],
            high: &self.high[..bars],
            low: &self.low[..bars],
            close: &self.close[..bars],
            volume: &self.volume[..bars],
        }
    }

    /// Some bars in a row.
    pub(crate) fn range(&self, bars: std::ops::Range<usize>) -> Self {
        Self {
            open_time_ns: &self.open_time_ns[bars.clone()],
            open: &self.open[bars.clone()],
            high: &self.high[bars.clone()],
            low: &self.low[bars.clone()],
            close: &self.close[bars.clone()],
            volume: &self.volume[bars],
        }
    }

    /// The bar at `index`.
    #[inline(always)]
    pub fn bar(&self, index: usize) -> Bar {
        Bar {
            open_time_ns: self.open_time_ns[index],
            open: self.open[index],
            high: self.high[index],
            low: self.low[index],
            close: self.close[index],
            volume: self.volume[index],
        }
    }

    /// The values of one column.
    #[inline(always)]
    pub fn column(&self, column: Column) -> &'a [f64] {
        match column {
            Column::Open => self.open,
            Column::High => self.high,
            Column::Low => self.low,
            Column::Close => self.close,
            Column::Volume => self.volume,
        }
    }

    /// What a kernel sees at a bar; `log_returns` as [`log_returns`] gives them, or empty where it reads none.
    #[inline(always)]
    pub(crate) fn frame(&self, index: usize, log_returns: &'a [f64]) -> Frame<'a> {
        Frame::new(
            self.bar(index),
            [
                &self.open[..=index],
                &self.high[..=index],
                &self.low[..=index],
                &self.close[..=index],
                &self.volume[..=index],
                log_returns.get(..=index).unwrap_or_default(),
            ],
        )
    }
}

/// The log return at each close, 0 at the first, when `lookback` reads any; empty otherwise.
pub(crate) fn log_returns(lookback: Lookback, closes: &[f64]) -> Vec<f64> {
    if !lookback.reads_log_returns() {
        return Vec::new();
    }
    let mut returns = vec![0.0; closes.len()];
    if let [_, returns @ ..] = &mut returns[..] {
        log_changes(closes, returns);
    }
    returns
}

/// Consecutive bars that a kernel may take at once: [`WINDOWS`] of them, the first at `first`.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    pub(crate) columns: Columns<'a>,
    pub(crate) source: &'a [f64],
    pub(crate) first: usize,
}

impl<'a> Block<'a> {
    /// The windows of `bars` values of a column that end at each bar of the block: `bars + WINDOWS - 1` values, or
    /// `None` while the series has fewer.
    #[inline(always)]
    fn windows(self, values: &'a [f64], bars: usize) -> Option<&'a [f64]> {
        values.get((self.first + 1).checked_sub(bars)?..self.first + WINDOWS)
    }

    /// Windows of the `source` column.
    #[inline(always)]
    pub(crate) fn sources(self, bars: usize) -> Option<&'a [f64]> {
        self.windows(self.source, bars)
    }

    /// Windows of highs.
    #[inline(always)]
    pub(crate) fn highs(self, bars: usize) -> Option<&'a [f64]> {
        self.windows(self.columns.high, bars)
    }

    /// Windows of lows.
    #[inline(always)]
    pub(crate) fn lows(self, bars: usize) -> Option<&'a [f64]> {
        self.windows(self.columns.low, bars)
    }

    /// Windows of closes.
    #[inline(always)]
    pub(crate) fn closes(self, bars: usize) -> Option<&'a [f64]> {
        self.windows(self.columns.close, bars)
    }

    /// Windows of volumes.
    #[inline(always)]
    pub(crate) fn volumes(self, bars: usize) -> Option<&'a [f64]> {
        self.windows(self.columns.volume, bars)
    }

    /// The values of the block's own bars.
    #[inline(always)]
    fn own(self, values: &'a [f64]) -> Option<&'a [f64; WINDOWS]> {
        values.get(self.first..)?.first_chunk()
    }

    /// The `source` column of the block's bars.
    #[inline(always)]
    pub(crate) fn source(self) -> Option<&'a [f64; WINDOWS]> {
        self.own(self.source)
    }

    /// Closes of the block's bars.
    #[inline(always)]
    pub(crate) fn close(self) -> Option<&'a [f64; WINDOWS]> {
        self.own(self.columns.close)
    }
}

/// Consecutive bars, any number, that a kernel may take at once; see [`crate::kernel::Kernel::span`].
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    columns: Columns<'a>,
    source: &'a [f64],
    first: usize,
}

impl<'a> Block<'a> {
    /// All bars from the block's first to the last there is.
    #[inline(always)]
    pub(crate) fn span(self) -> Span<'a> {
        Span {
            columns: self.columns,
            source: self.source,
            first: self.first,
        }
    }
}

impl<'a> Span<'a> {
    #[inline(always)]
    fn own(self, values: &'a [f64]) -> &'a [f64] {
        values.get(self.first..).unwrap_or_default()
    }

    /// The values `bars` before each bar of the span, or `None` while there are fewer.
    #[inline(always)]
    fn earlier(self, values: &'a [f64], bars: usize) -> Option<&'a [f64]> {
        values.get(self.first.checked_sub(bars)?..values.len() - bars)
    }

    /// The values of the `source` column.
    #[inline(always)]
    pub(crate) fn source(self) -> &'a [f64] {
        self.own(self.source)
    }

    /// The values of the `source` column `bars` before.
    #[inline(always)]
    pub(crate) fn earlier_source(self, bars: usize) -> Option<&'a [f64]> {
        self.earlier(self.source, bars)
    }

    /// The windows of `bars` values of the `source` column that end at each bar, side by side.
    #[inline(always)]
    pub(crate) fn sources(self, bars: usize) -> Option<&'a [f64]> {
        self.source.get((self.first + 1).checked_sub(bars)?..)
    }

    /// Windows of a column, as [`Span::sources`].
    #[inline(always)]
    pub(crate) fn windows(self, column: Column, bars: usize) -> Option<&'a [f64]> {
        let values = self.columns.column(column);
        values.get((self.first + 1).checked_sub(bars)?..)
    }

    /// Opens, highs, lows, closes and volumes.
    #[inline(always)]
    pub(crate) fn prices(self) -> [&'a [f64]; 5] {
        let columns = self.columns;
        [
            columns.open,
            columns.high,
            columns.low,
            columns.close,
            columns.volume,
        ]
        .map(|values| self.own(values))
    }

    /// Calls `each` with the number of each of the first `bars` bars and the bar itself, in a loop that vectors can
    /// take; open times are left out.
    #[inline(always)]
    pub(crate) fn bars(self, bars: usize, mut each: impl FnMut(usize, &Bar)) {
        let [open, high, low, close, volume] = self.prices().map(|values| &values[..bars]);
        for at in 0..bars {
            let bar = Bar {
                open_time_ns: 0,
                open: open[at],
                high: high[at],
                low: low[at],
                close: close[at],
                volume: volume[at],
            };
            each(at, &bar);
        }
    }

    /// When the first `bars` bars open, where that is told.
    #[inline(always)]
    pub(crate) fn open_times(self, bars: usize) -> Option<&'a [i64]> {
        self.columns.open_time_ns.get(self.first..self.first + bars)
    }

    /// The first `bars` closes.
    #[inline(always)]
    pub(crate) fn closes(self, bars: usize) -> &'a [f64] {
        &self.own(self.columns.close)[..bars]
    }

    /// The highs, lows and closes before each bar's, or `None` at the first bar of all.
    #[inline(always)]
    pub(crate) fn previous_high_low_close(self) -> Option<[&'a [f64]; 3]> {
        let columns = self.columns;
        let [Some(highs), Some(lows), Some(closes)] =
            [columns.high, columns.low, columns.close].map(|values| self.earlier(values, 1))
        else {
            return None;
        };
        Some([highs, lows, closes])
    }

    /// The closes before each bar's, or `None` at the first bar of all.
    #[inline(always)]
    pub(crate) fn previous_closes(self) -> Option<&'a [f64]> {
        self.earlier(self.columns.close, 1)
    }
}
