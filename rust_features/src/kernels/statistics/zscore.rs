//! Standard score of the last value.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments::standard_score;
use crate::moments_of_each::{standard_scores, standard_scores_of_windows};
use crate::neighbours::{Row, WINDOWS};
use crate::sample::{Sample, source_parameter};
use crate::side_by_side::{Memories, SideBySide};

/// Last value in deviations from the mean of its window.
#[derive(Debug)]
pub(crate) struct Zscore {
    sample: Sample,
}

impl Kernel for Zscore {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "zscore",
        summary: "standard score of the last value in its window",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "values in the window, the last one included",
                20,
                2,
            ),
            source_parameter("close"),
        ],
        outputs: &[output(
            "zscore",
            "(value - mean) / population standard deviation of the last timeperiod values; 0 when all are equal",
        )],
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
        let (Some(values), [row]) = (self.sample.side_by_side(newest), outputs) else {
            return false;
        };
        *row = standard_scores(values);
        true
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [row]) = (self.sample.neighbours(block), outputs) else {
            return false;
        };
        *row = standard_scores_of_windows(values, values.len() + 1 - WINDOWS);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match self.sample.values(frame) {
            Some(values) => [known_length!([values] of [20] => standard_score(values))],
            None => [f64::NAN],
        }
    }
}
