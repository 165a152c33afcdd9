//! Every feature of one spec for many symbols, one call for all bars of a moment.

use std::collections::HashMap;

use thiserror::Error;

use crate::across;
use crate::bar::{Bar, BarStatus};
use crate::lanes::Mode;
use crate::snapshot::{Kind, Reader, SnapshotError, Writer};
use crate::spec::FeatureSpec;
use crate::streams::{Report, Streams};

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
    streams: Streams,
}

impl Panel {
    /// A panel whose symbols have seen no bar.
    ///
    /// # Errors
    /// A symbol appears twice.
    pub fn new<S: Into<String>>(
        spec: &FeatureSpec,
        symbols: impl IntoIterator<Item = S>,
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
            streams: Streams::new(spec, symbols.len()),
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

    /// Index of a symbol.
    pub fn symbol_index(&self, symbol: &str) -> Option<usize> {
        self.indices.get(symbol).copied()
    }

    /// Bars applied to a symbol; `None` for an index past the symbols.
    pub fn bars_seen(&self, symbol_index: usize) -> Option<u64> {
        (symbol_index < self.streams.len()).then(|| self.streams.bars_seen(symbol_index))
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
        self.streams.add(&self.spec);
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
        for (lane, symbol) in self.symbols.iter().enumerate() {
            writer.text(symbol);
            self.streams.save(&self.spec, lane, &mut writer);
        }
        writer.finish()
    }

    /// The panel of a snapshot: it continues with the bits of one that never stopped.
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to something else; each error says what to do.
    pub fn restore(spec: &FeatureSpec, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader::open(snapshot, Kind::Panel, spec)?;
        // A symbol takes the length of its name, its counters and all its words and windows at least.
        let least = 8 * (3 + spec.plan().words + spec.plan().window);
        let symbols = reader.count(least, "the number of symbols")?;
        let mut panel = Self {
            spec: spec.clone(),
            streams: Streams::new(spec, symbols),
            symbols: Vec::with_capacity(symbols),
            indices: HashMap::with_capacity(symbols),
        };
        for lane in 0..symbols {
            let symbol = reader.text()?;
            if panel.indices.insert(symbol.to_owned(), lane).is_some() {
                return Err(SnapshotError::Content("a symbol that appears twice"));
            }
            panel.symbols.push(symbol.to_owned());
            panel.streams.load(spec, lane, &mut reader)?;
        }
        reader.finish()?;
        Ok(panel)
    }

    /// Makes every symbol forget its bars.
    pub fn reset(&mut self) {
        for lane in 0..self.streams.len() {
            self.streams.reset(&self.spec, lane);
        }
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
        let symbols = self.streams.len();
        if let Some(position) = symbol_index.iter().position(|index| *index >= symbols) {
            return Err(PanelError::UnknownSymbol {
                position,
                index: symbol_index[position],
                symbols,
            });
        }
        statuses.fill(BarStatus::Applied);
        let batch = (symbol_index, bars);
        self.streams
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
                self.streams.base_mut(),
                (symbol_index, bars, statuses),
                |symbol| self.indices.get(symbol).copied(),
                out,
            );
        }
        Ok(())
    }
}
