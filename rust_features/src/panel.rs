//! Every feature of one spec for many symbols, one call for all bars of a moment.

use std::collections::HashMap;

use thiserror::Error;

use crate::across;
use crate::bar::{Bar, BarStatus};
use crate::lanes::Mode;
use crate::shards::Shards;
use crate::snapshot::{Kind, Reader, SnapshotError, Writer};
use crate::spec::FeatureSpec;
use crate::streams::Report;

/// Why a whole call was refused; no series changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PanelError {
    /// Two arguments differ in length.
    #[error("{name} has length {given}, expected {expected}: pass one entry per bar")]
    Length {
        /// Name of the argument.
        name: &'static str,
        /// Its length.
        given: usize,
        /// Length that the other arguments imply.
        expected: usize,
    },
    /// A symbol index points past the panel's symbols.
    #[error(
        "symbol_index[{position}] is {index}, the panel has {symbols} symbols: add the symbol first"
    )]
    UnknownSymbol {
        /// Position in the call.
        position: usize,
        /// Index as given.
        index: usize,
        /// Symbols of the panel.
        symbols: usize,
    },
    /// Two symbols have the same name.
    #[error("symbol \"{0}\" appears twice: give every symbol once")]
    DuplicateSymbol(String),
}

/// Many symbols' features as streams. Symbols are known by their index, in the order they were added.
#[derive(Debug, Clone)]
pub struct Panel {
    spec: FeatureSpec,
    symbols: Vec<String>,
    indices: HashMap<String, usize>,
    series: Shards,
}

impl Panel {
    /// A panel whose symbols have seen no bar, worked on by the thread that calls.
    ///
    /// # Errors
    /// A symbol appears twice.
    pub fn new<S: Into<String>>(
        spec: &FeatureSpec,
        symbols: impl IntoIterator<Item = S>,
    ) -> Result<Self, PanelError> {
        Self::with_threads(spec, symbols, 1)
    }

    /// As [`Panel::new`], but calls of a thousand bars or more are shared out among at most `threads` threads, of which
    /// one is the caller's; 0 for as many as there are cores. The features have the same bits.
    ///
    /// # Errors
    /// As [`Panel::new`].
    pub fn with_threads<S: Into<String>>(
        spec: &FeatureSpec,
        symbols: impl IntoIterator<Item = S>,
        threads: usize,
    ) -> Result<Self, PanelError> {
        let symbols: Vec<String> = symbols.into_iter().map(Into::into).collect();
        let mut indices = HashMap::with_capacity(symbols.len());
        for (index, symbol) in symbols.iter().enumerate() {
            if indices.insert(symbol.clone(), index).is_some() {
                return Err(PanelError::DuplicateSymbol(symbol.clone()));
            }
        }
        Ok(Self {
            spec: spec.clone(),
            series: Shards::new(spec, symbols.len(), threads),
            symbols,
            indices,
        })
    }

    /// The features it computes.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Symbols by index.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// Threads that work on a large call.
    pub fn threads(&self) -> usize {
        self.series.threads()
    }

    /// Index of a symbol.
    pub fn symbol_index(&self, symbol: &str) -> Option<usize> {
        self.indices.get(symbol).copied()
    }

    /// Bars applied to a symbol; `None` for an index past the symbols.
    pub fn bars_seen(&self, symbol_index: usize) -> Option<u64> {
        (symbol_index < self.series.len()).then(|| self.series.bars_seen(symbol_index))
    }

    /// Adds a symbol that has seen no bar and returns its index.
    ///
    /// # Errors
    /// The panel has it already.
    pub fn add_symbol(&mut self, symbol: &str) -> Result<usize, PanelError> {
        if self.indices.contains_key(symbol) {
            return Err(PanelError::DuplicateSymbol(symbol.to_owned()));
        }
        let index = self.symbols.len();
        self.symbols.push(symbol.to_owned());
        self.indices.insert(symbol.to_owned(), index);
        self.series.add(&self.spec);
        Ok(index)
    }

    /// Applies one bar to each of some symbols; row `i` of `out` (`[bars, features]`, row-major) belongs to bar `i`.
    ///
    /// A bad bar changes nothing, has a row of NaN and says why in its status. A symbol may repeat, oldest bar first.
    ///
    /// # Errors
    /// A wrong length or an unknown symbol; then nothing changed at all.
    pub fn update(
        &mut self,
        symbol_index: &[usize],
        bars: &[Bar],
        out: &mut [f64],
        statuses: &mut [BarStatus],
    ) -> Result<(), PanelError> {
        self.step(Mode::Update, symbol_index, bars, out, statuses)
    }

    /// As `update`, but no bar is applied; repeated symbols are each looked at alone.
    ///
    /// # Errors
    /// As `update`.
    pub fn peek(
        &mut self,
        symbol_index: &[usize],
        bars: &[Bar],
        out: &mut [f64],
        statuses: &mut [BarStatus],
    ) -> Result<(), PanelError> {
        self.step(Mode::Peek, symbol_index, bars, out, statuses)
    }

    /// The panel as bytes, symbols included; the layout is documented in the module `snapshot`.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer::new(Kind::Panel, &self.spec);
        writer.u64(self.symbols.len() as u64);
        for (index, symbol) in self.symbols.iter().enumerate() {
            writer.text(symbol);
            self.series.save(&self.spec, index, &mut writer);
        }
        writer.finish()
    }

    /// The panel of a snapshot: it continues with the bits of one that never stopped.
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to something else; each error says what to do.
    pub fn restore(spec: &FeatureSpec, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        Self::restore_with_threads(spec, snapshot, 1)
    }

    /// As [`Panel::restore`], with threads as in [`Panel::with_threads`]: a snapshot does not say how many there were.
    ///
    /// # Errors
    /// As [`Panel::restore`].
    pub fn restore_with_threads(
        spec: &FeatureSpec,
        snapshot: &[u8],
        threads: usize,
    ) -> Result<Self, SnapshotError> {
        let mut reader = Reader::open(snapshot, Kind::Panel, spec)?;
        // A symbol takes the length of its name, its counters and all its words and windows at least.
        let least = 8 * (3 + spec.plan().words + spec.plan().window);
        let symbols = reader.count(least, "the number of symbols")?;
        let mut panel = Self {
            spec: spec.clone(),
            series: Shards::new(spec, symbols, threads),
            symbols: Vec::with_capacity(symbols),
            indices: HashMap::with_capacity(symbols),
        };
        for index in 0..symbols {
            let symbol = reader.text()?;
            if panel.indices.insert(symbol.to_owned(), index).is_some() {
                return Err(SnapshotError::Content("a symbol that appears twice"));
            }
            panel.symbols.push(symbol.to_owned());
            panel.series.load(spec, index, &mut reader)?;
        }
        reader.finish()?;
        Ok(panel)
    }

    /// Makes every symbol forget its bars.
    pub fn reset(&mut self) {
        self.series.reset(&self.spec);
    }

    fn step(
        &mut self,
        mode: Mode,
        symbol_index: &[usize],
        bars: &[Bar],
        out: &mut [f64],
        statuses: &mut [BarStatus],
    ) -> Result<(), PanelError> {
        let lengths = [
            ("symbol_index", symbol_index.len(), bars.len()),
            ("statuses", statuses.len(), bars.len()),
            ("out", out.len(), bars.len() * self.spec.len()),
        ];
        for (name, given, expected) in lengths {
            if given != expected {
                return Err(PanelError::Length {
                    name,
                    given,
                    expected,
                });
            }
        }
        let symbols = self.series.len();
        if let Some(position) = symbol_index.iter().position(|index| *index >= symbols) {
            return Err(PanelError::UnknownSymbol {
                position,
                index: symbol_index[position],
                symbols,
            });
        }
        statuses.fill(BarStatus::Applied);
        let batch = (symbol_index, bars);
        self.series
            .step(&self.spec, mode, batch, out, &mut |row, report| {
                statuses[row] = match report {
                    Report::Refused(reason) => BarStatus::from(&reason),
                    Report::AfterGap => BarStatus::AppliedAfterGap,
                    Report::ResetAfterGap => BarStatus::ResetAfterGap,
                };
            });
        if self.spec.plan().compares_symbols() {
            across::step(
                self.spec.plan(),
                mode,
                &mut self.series,
                (symbol_index, bars, statuses),
                |symbol| self.indices.get(symbol).copied(),
                out,
            );
        }
        Ok(())
    }
}
