//! Volume against its recent mean.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_means::all_means;
use crate::neighbours::{Row, TILE, divide_by_each, parts};
use crate::side_by_side::{Memories, SideBySide, means};
use crate::subnormal::quotients;
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

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(windows), [ratios, surprises]) =
            (span.windows(Column::Volume, self.period + 1), outputs)
        else {
            return 0;
        };
        let bars = ratios.len();
        let volumes = &windows[self.period..][..bars];
        let (mut means, mut totals) = ([0.0; TILE], [0.0; TILE]);
        for own in parts(bars, TILE) {
            let (means, totals) = (&mut means[..own.len()], &mut totals[..own.len()]);
            if all_means(&windows[own.start..], self.period, means) < own.len() {
                return own.start;
            }
            let volumes = &volumes[own.clone()];
            let (ratios, surprises) = (&mut ratios[own.clone()], &mut surprises[own]);
            for (at, volume) in volumes.iter().enumerate() {
                totals[at] = volume + means[at];
                (ratios[at], surprises[at]) = (*volume, volume - means[at]);
            }
            divide_by_each(ratios, means);
            divide_by_each(surprises, totals);
            for at in 0..volumes.len() {
                [ratios[at], surprises[at]] =
                    shown([ratios[at], surprises[at]], means[at], totals[at]);
            }
        }
        bars
    }
}

/// Ratio and surprise of a volume.
#[inline(always)]
fn against(volume: f64, mean: f64) -> [f64; 2] {
    let total = volume + mean;
    shown(
        quotients([volume, volume - mean], [mean, total]),
        mean,
        total,
    )
}

/// The quotients, or what stands for them without volume.
#[inline(always)]
fn shown([ratio, surprise]: [f64; 2], mean: f64, total: f64) -> [f64; 2] {
    [
        if mean > 0.0 { ratio.min(f64::MAX) } else { 1.0 },
        if total > 0.0 { surprise } else { 0.0 },
    ]
}
