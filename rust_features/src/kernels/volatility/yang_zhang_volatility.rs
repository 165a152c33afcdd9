//! Yang-Zhang volatility.

use super::range_volatility::rogers_satchell_of_each;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::logarithm::{log_ratios, log_ratios_of_each};
use crate::moments_of_each::means_and_variances_of_each;
use crate::neighbours::Row;
use crate::side_by_side::{Memories, MemoryRows, SideBySide, each_series, means};
use crate::state::state;
use crate::trailing::{self, append, append_row, room_for, rows_for};
use crate::window::{mean, mean_and_variance};

/// Volatility from opening gaps, bodies and ranges.
#[derive(Debug)]
pub(crate) struct YangZhang {
    period: usize,
    /// Share of the bodies' variance; the ranges have the rest.
    body_share: f64,
    /// Population variance to sample variance.
    correction: f64,
}

state! {
    /// Previous close and how far the windows are filled.
    pub(crate) struct YangZhangState {
        previous_close: f64,
        /// Bars seen, counted until the windows are full.
        bars: u64,
        appended: [u64; 3],
    }
}

impl Kernel for YangZhang {
    type State = YangZhangState;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "yang_zhang",
        summary: "Yang-Zhang volatility, per bar, opening gaps included",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars in the estimate",
            20,
            2,
        )],
        outputs: &[output(
            "volatility",
            "sqrt(var(ln(open / previous close)) + k var(ln(close / open)) + (1 - k) mean Rogers-Satchell variance) \
             over the last timeperiod bars, sample variances, k = 0.34 / (1.34 + (n + 1) / (n - 1))",
        )],
        source: "Yang and Zhang (2000), Drift-Independent Volatility Estimation Based on High, Low, Open and Close Prices",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let period = arguments.count("timeperiod")?;
        let n = period as f64;
        Ok(Self {
            period,
            body_share: 0.34 / (1.34 + (n + 1.0) / (n - 1.0)),
            correction: n / (n - 1.0),
        })
    }

    fn window_len(&self) -> usize {
        3 * room_for(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    fn window_rows(&self) -> (usize, usize) {
        (3, rows_for(self.period))
    }

    fn align(&self, state: &mut YangZhangState, window: &mut [f64]) {
        let parts = window.chunks_exact_mut(room_for(self.period));
        for (part, appended) in parts.zip(&mut state.appended) {
            trailing::align(part, appended);
        }
    }

    #[inline(always)]
    fn catch_up(
        &self,
        state: &mut YangZhangState,
        _window: &mut [f64],
        newest: &Frame<'_>,
        bars: u64,
    ) {
        state.previous_close = newest.bar.close;
        state.appended = [trailing::appended_rows(bars); 3];
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let [row] = outputs else {
            return false;
        };
        let [opens, closes] = [Column::Open, Column::Close].map(|at| newest.current(at));
        let rows = memories.take_rows();
        let mut previous_closes = *closes;
        if rows.is_some() {
            previous_closes = newest.previous[Column::Close as usize];
        } else {
            each_series!(memories, |at, state: YangZhangState| {
                // The first bar of all has none before it.
                if state.bars > 0 {
                    previous_closes.0[at] = state.previous_close;
                }
            });
        }
        let gaps = log_ratios_of_each(opens, &previous_closes);
        let bodies = log_ratios_of_each(closes, opens);
        let ranges = rogers_satchell_of_each(newest);
        if let Some(rows) = rows {
            self.push_each(rows, &[gaps, bodies, ranges], row);
        } else {
            each_series!(memories, |at, state: YangZhangState, window| {
                state.previous_close = closes.0[at];
                let parts = [gaps.0[at], bodies.0[at], ranges.0[at]];
                row.0[at] = self.push(state, window, parts);
            });
        }
        for variance in &mut row.0 {
            *variance = variance.sqrt();
        }
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut YangZhangState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let bar = &frame.bar;
        let previous_close = std::mem::replace(&mut state.previous_close, bar.close);
        if state.bars == 0 {
            state.bars = 1;
            return [f64::NAN];
        }
        // Rogers and Satchell's variance among the rest: the six logarithms are taken side by side.
        let [gap, body, high_close, high_open, low_close, low_open] = log_ratios(
            [bar.open, bar.close, bar.high, bar.high, bar.low, bar.low],
            [
                previous_close,
                bar.open,
                bar.close,
                bar.open,
                bar.close,
                bar.open,
            ],
        );
        let range = high_close * high_open + low_close * low_open;
        [self.push(state, window, [gap, body, range]).sqrt()]
    }
}

impl YangZhang {
    /// Takes a bar's gap, body and range; the variance once there are enough, NaN before. Nothing at the first bar of all.
    #[inline(always)]
    fn push(
        &self,
        state: &mut YangZhangState,
        window: &mut [f64],
        [gap, body, range]: [f64; 3],
    ) -> f64 {
        if state.bars == 0 {
            state.bars = 1;
            return f64::NAN;
        }
        let warm = state.bars >= self.period as u64;
        if !warm {
            state.bars += 1;
        }
        let room = room_for(self.period);
        let (gaps, others) = window.split_at_mut(room);
        let (bodies, ranges) = others.split_at_mut(room);
        let [gap_count, body_count, range_count] = &mut state.appended;
        let gaps = append(gaps, gap_count, gap);
        let bodies = append(bodies, body_count, body);
        let ranges = append(ranges, range_count, range);
        if !warm {
            return f64::NAN;
        }
        known_length!([gaps, bodies, ranges] of [20] => {
            let variances = [mean_and_variance(gaps).1, mean_and_variance(bodies).1];
            self.variance(variances, mean(ranges))
        })
    }

    /// As `push` of warm series.
    #[inline(always)]
    fn push_each(
        &self,
        MemoryRows { windows, bars, .. }: MemoryRows<'_>,
        parts: &[Row; 3],
        row: &mut Row,
    ) {
        let mut found = [Row::ZEROS; 3];
        let windows = windows.chunks_exact_mut(rows_for(self.period));
        for (at, (window, part)) in windows.zip(parts).enumerate() {
            let newest = append_row(window, bars, *part);
            found[at] = if at < 2 {
                means_and_variances_of_each(newest)[1]
            } else {
                means(newest)
            };
        }
        let [gaps, bodies, ranges] = &found;
        for (at, cell) in row.0.iter_mut().enumerate() {
            *cell = self.variance([gaps.0[at], bodies.0[at]], ranges.0[at]);
        }
    }

    /// The variance, from those of the gaps and of the bodies and the ranges' mean.
    #[inline(always)]
    fn variance(&self, [gap, body]: [f64; 2], range: f64) -> f64 {
        let (gap, body) = (self.correction * gap, self.correction * body);
        gap + self.body_share * body + (1.0 - self.body_share) * range
    }
}
