//! A feature of one symbol among those of all symbols at one bar time.

use super::{AcrossSymbols, Moment};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::window::mean_and_variance;

/// Rank, z-score and median over the symbols of a panel.
#[derive(Debug)]
pub(super) struct CrossSection {
    of: String,
}

impl Kernel for CrossSection {
    type State = ();
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "cross_section",
        summary: "a feature among the same feature of all symbols with a bar of this time in the same call",
        parameters: &[Parameter::name(
            "of",
            "name of the feature to compare, which stands before this one in the spec",
            "",
        )],
        outputs: &[
            output(
                "rank",
                "(lower values + half of the other equal ones) / (values - 1), 0 lowest to 1 highest; 0.5 alone",
            ),
            output(
                "zscore",
                "(value - mean) / population standard deviation; 0 when all are equal",
            ),
            output("median", "median of the values, the symbol's own included"),
            output("excess", "value - median"),
            output("count", "number of symbols with a value"),
        ],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            of: arguments.text("of")?.to_owned(),
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    fn step(&self, (): &mut (), _window: &mut [f64], _frame: &Frame<'_>) -> [f64; 5] {
        [f64::NAN; 5]
    }
}

impl AcrossSymbols for CrossSection {
    fn compared_feature(&self) -> Option<&str> {
        Some(&self.of)
    }

    fn run(&self, moment: &mut Moment<'_>) {
        let rows = moment.rows;
        // Sorted, so that no sum depends on the order of the symbols.
        let mut sorted: Vec<f64> = rows
            .iter()
            .map(|(_, row)| moment.value(*row))
            .filter(|value| !value.is_nan())
            .collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let (mean, variance) = mean_and_variance(&sorted);
        let deviation = variance.sqrt();
        let median = match sorted.get(count / 2) {
            Some(upper) if count % 2 == 1 => *upper,
            Some(upper) => f64::midpoint(sorted[count / 2 - 1], *upper),
            None => f64::NAN,
        };
        for (_, row) in rows {
            let value = moment.value(*row);
            if value.is_nan() {
                continue;
            }
            let lower = sorted.partition_point(|other| *other < value);
            let not_higher = sorted.partition_point(|other| *other <= value);
            let rank = if count > 1 {
                // Lower ones twice, then the other equal ones once.
                (lower + not_higher - 1) as f64 / (2 * (count - 1)) as f64
            } else {
                0.5
            };
            let zscore = if deviation > 0.0 {
                (value - mean) / deviation
            } else {
                0.0
            };
            moment.write(*row, &[rank, zscore, median, value - median, count as f64]);
        }
    }
}
