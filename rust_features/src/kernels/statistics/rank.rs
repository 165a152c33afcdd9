//! Rank of the last value among the last ones.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::Row;
use crate::sample::{Sample, source_parameter};
use crate::side_by_side::{Memories, SideBySide};

/// Place of the last value among those of its window.
#[derive(Debug)]
pub(crate) struct Rank {
    sample: Sample,
}

impl Kernel for Rank {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "rank",
        summary: "rank of the last value in its window",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "values in the window, the last one included",
                20,
                2,
            ),
            source_parameter("close"),
        ],
        outputs: &[
            output(
                "rank",
                "share of the other timeperiod - 1 values below the last one, equal ones counted half: 0 lowest, \
                 1 highest, 0.5 when all are equal",
            ),
            output(
                "percentile",
                "(values below + (values equal, itself included, + 1) / 2) / timeperiod, as pandas' rolling rank",
            ),
        ],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            sample: Sample::new(arguments)?,
        })
    }

    fn lookback(&self) -> Lookback {
        self.sample.lookback()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.sample.warmup_bars()
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values @ [.., last]), [ranks, percentiles]) =
            (self.sample.side_by_side(newest), outputs)
        else {
            return false;
        };
        let count = values.len() as f64;
        // Whole numbers: the sum is exact in any order.
        let mut twice = Row::ZEROS;
        for row in values {
            for (series, (twice, value)) in twice.0.iter_mut().zip(&row.0).enumerate() {
                *twice += if *value < last.0[series] { 1.0 } else { 0.0 };
                *twice += if *value <= last.0[series] { 1.0 } else { 0.0 };
            }
        }
        for (series, twice) in twice.0.iter().enumerate() {
            ranks.0[series] = 0.5 * (twice - 1.0) / (count - 1.0);
            percentiles.0[series] = 0.5 * (twice + 1.0) / count;
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some(values @ [.., last]) = self.sample.values(frame) else {
            return [f64::NAN; 2];
        };
        let count = values.len() as f64;
        let mut twice = 0_u64;
        known_length!([values] of [50] => for value in values {
            twice += u64::from(value < last) + u64::from(value <= last);
        });
        let twice_below_or_half = twice as f64;
        // The last value equals itself: it counts once in the sum and not at all among the others.
        [
            0.5 * (twice_below_or_half - 1.0) / (count - 1.0),
            0.5 * (twice_below_or_half + 1.0) / count,
        ]
    }
}
