//! Volume against its recent self.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments::standard_score;
use crate::moments_of_each::{standard_scores, standard_scores_of_windows};
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide};

/// Standard score of the volume.
#[derive(Debug)]
pub(crate) struct VolumeZscore {
    period: usize,
}

impl Kernel for VolumeZscore {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "volume_zscore",
        summary: "standard score of the volume",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars in the window, the current one included",
            20,
            2,
        )],
        outputs: &[output(
            "zscore",
            "(volume - mean) / population standard deviation over the last timeperiod bars; 0 when all are equal",
        )],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Volume, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [row]) = (newest.last(Column::Volume, self.period), outputs) else {
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
        let (Some(values), [row]) = (block.volumes(self.period), outputs) else {
            return false;
        };
        *row = standard_scores_of_windows(values, self.period);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match frame.volumes(self.period) {
            Some(volumes) => [known_length!([volumes] of [20] => standard_score(volumes))],
            None => [f64::NAN],
        }
    }
}
