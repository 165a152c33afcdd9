//! Volume against its recent mean.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide, means};
use crate::window::mean;

/// Volume as a multiple of the mean of the bars before.
#[derive(Debug)]
pub(crate) struct VolumeRatio {
    period: usize,
}

impl Kernel for VolumeRatio {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "volume_ratio",
        summary: "volume relative to the bars before",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars before the current one in the mean",
            20,
            1,
        )],
        outputs: &[
            output(
                "ratio",
                "volume / mean volume of the timeperiod bars before; 1 when that mean is 0",
            ),
            output(
                "surprise",
                "(volume - mean) / (volume + mean), from -1 to 1; 0 when both are 0",
            ),
        ],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Volume, self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some([before @ .., volumes]), [ratios, surprises]) =
            (newest.last(Column::Volume, self.period + 1), outputs)
        else {
            return false;
        };
        for (at, mean) in means(before).0.iter().enumerate() {
            [ratios.0[at], surprises.0[at]] = against(volumes.0[at], *mean);
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some([before @ .., volume]) = frame.volumes(self.period + 1) else {
            return [f64::NAN; 2];
        };
        let mean = known_length!([before] of [20] => mean(before));
        against(*volume, mean)
    }
}

/// Ratio and surprise of a volume.
#[inline(always)]
fn against(volume: f64, mean: f64) -> [f64; 2] {
    let total = volume + mean;
    [
        if mean > 0.0 {
            (volume / mean).min(f64::MAX)
        } else {
            1.0
        },
        if total > 0.0 {
            (volume - mean) / total
        } else {
            0.0
        },
    ]
}
