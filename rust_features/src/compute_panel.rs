//! The histories of many symbols at once, as a panel would have seen them live.

use crate::bar::{Bar, BarStatus};
use crate::frame::Columns;
use crate::panel::{Panel, PanelError};
use crate::spec::FeatureSpec;

/// Bars handed to the panel at once, rounded up to whole moments.
const CHUNK: usize = 4096;

/// Features of the bars of many symbols; row `i` of `out` (`[bars, features]`, row-major) belongs to bar `i`.
///
/// Bar `i` is one of `symbols[symbol_index[i]]`; the bars may come in any order. They are given to a [`Panel`] oldest
/// first, all bars of one time together, so features that compare symbols are those of the live panel by bits. A bad
/// bar, or the second one of a symbol and time, has a row of NaN.
///
/// # Errors
/// A wrong length, an unknown symbol index or a symbol named twice; then `out` was not touched.
pub fn compute_panel<S: Into<String>>(
    spec: &FeatureSpec,
    symbols: impl IntoIterator<Item = S>,
    symbol_index: &[usize],
    columns: &Columns<'_>,
    out: &mut [f64],
) -> Result<(), PanelError> {
    let mut panel = Panel::new(spec, symbols)?;
    check(spec, panel.symbols().len(), symbol_index, columns, out)?;
    let features = spec.len();
    let time = columns.open_time_ns;
    let mut order: Vec<usize> = (0..symbol_index.len()).collect();
    order.sort_by_key(|bar| (time[*bar], symbol_index[*bar]));
    let (mut lanes, mut bars): (Vec<usize>, Vec<Bar>) = (Vec::new(), Vec::new());
    let (mut rows, mut statuses) = (Vec::new(), Vec::new());
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut end = CHUNK.min(rest.len());
        while end < rest.len() && time[rest[end]] == time[rest[end - 1]] {
            end += 1;
        }
        let (chunk, later) = rest.split_at(end);
        rest = later;
        lanes.clear();
        lanes.extend(chunk.iter().map(|bar| symbol_index[*bar]));
        bars.clear();
        bars.extend(chunk.iter().map(|bar| columns.bar(*bar)));
        rows.resize(chunk.len() * features, 0.0);
        statuses.resize(chunk.len(), BarStatus::Applied);
        panel.update(&lanes, &bars, &mut rows, &mut statuses)?;
        for (bar, row) in chunk.iter().zip(rows.chunks_exact(features)) {
            out[bar * features..][..features].copy_from_slice(row);
        }
    }
    Ok(())
}

fn check(
    spec: &FeatureSpec,
    symbols: usize,
    symbol_index: &[usize],
    columns: &Columns<'_>,
    out: &[f64],
) -> Result<(), PanelError> {
    let expected = symbol_index.len();
    let lengths = [
        ("open_time_ns", columns.open_time_ns.len(), expected),
        ("open", columns.open.len(), expected),
        ("high", columns.high.len(), expected),
        ("low", columns.low.len(), expected),
        ("close", columns.close.len(), expected),
        ("volume", columns.volume.len(), expected),
        ("out", out.len(), expected * spec.len()),
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
    match symbol_index.iter().position(|index| *index >= symbols) {
        None => Ok(()),
        Some(position) => Err(PanelError::UnknownSymbol {
            position,
            index: symbol_index[position],
            symbols,
        }),
    }
}
