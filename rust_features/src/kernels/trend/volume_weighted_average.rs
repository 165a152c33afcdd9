//! Volume-weighted moving average.

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_means::tile_sums_over;
use crate::neighbours::{Row, means as means_of_windows, weighted_by};
use crate::side_by_side::{Memories, SideBySide, means, sums_over, totals_over};
use crate::subnormal::{all_near, each_near};
use crate::window::{mean, plain_weighted_deviation, sum_over};

/// Mean of the last bars, each weighted by its volume.
#[derive(Debug)]
pub(crate) struct Vwma {
    period: usize,
    column: Column,
}

impl Kernel for Vwma {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "vwma",
        summary: "volume-weighted moving average",
        parameters: &[
            Parameter::period("timeperiod", "bars in the mean", 30, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "vwma",
                "sum of value * volume / sum of volume over timeperiod bars; their plain mean without any volume, where TA-Lib has NaN",
            ),
            output("ratio", "value / vwma - 1; 0 when vwma is 0"),
        ],
        source: "TA-Lib VWMA",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[self.column, Column::Volume], self.period)
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
        let (Some(values @ [.., newest_values]), Some(volumes), [averages, ratios]) = (
            newest.last(self.column, self.period),
            newest.last(Column::Volume, self.period),
            outputs,
        ) else {
            return false;
        };
        let sums = sums_over([volumes], |[volume], _| volume);
        let newest = &newest_values.0;
        let deviations = totals_over([values, volumes], |total, [value, volume], at| {
            (value - newest[at]).mul_add(volume, total)
        });
        let mut without_volume = 0;
        for (at, sum) in sums.0.iter().enumerate() {
            averages.0[at] = newest[at] + deviations.0[at] / sum;
            without_volume |= i64::from(*sum <= 0.0);
        }
        if without_volume != 0 {
            let means = means(values);
            for (at, sum) in sums.0.iter().enumerate() {
                if *sum <= 0.0 {
                    averages.0[at] = means.0[at];
                }
            }
        }
        super::simple_moving_average::ratios(newest, &averages.0, &mut ratios.0);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let values = frame.last(self.column, self.period);
        let (Some(values), Some(volumes)) = (values, frame.volumes(self.period)) else {
            return [f64::NAN; 2];
        };
        let value = frame.current(self.column);
        let average = known_length!([values, volumes] of [20] => {
            let volume = sum_over([volumes], |[volume]| volume);
            if volume > 0.0 {
                value + plain_weighted_deviation(values, volumes, value) / volume
            } else {
                mean(values)
            }
        });
        [average, ratio(value, average)]
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), Some(volumes), Some(newest), [averages, more @ ..]) = (
            block.sources(self.period),
            block.volumes(self.period),
            block.source(),
            outputs,
        ) else {
            return false;
        };
        let near = all_near(values) && each_near(volumes);
        if near && newest.contains(&0.0) {
            return false;
        }
        let mut sums = Row::ZEROS;
        tile_sums_over(volumes, self.period, &mut sums.0);
        // Products of such numbers are zero.
        let deviations = if near {
            Row::ZEROS
        } else {
            weighted_by(values, volumes, self.period, newest)
        };
        let mut has_volume = true;
        for (at, sum) in sums.0.iter().enumerate() {
            let deviation = if near { 0.0 } else { deviations.0[at] / sum };
            averages.0[at] = newest[at] + deviation;
            has_volume &= *sum > 0.0;
        }
        if !has_volume {
            let means = means_of_windows(values, self.period);
            for (at, sum) in sums.0.iter().enumerate() {
                if *sum <= 0.0 {
                    averages.0[at] = means.0[at];
                }
            }
        }
        if let [ratios, ..] = more {
            super::simple_moving_average::ratios(newest, &averages.0, &mut ratios.0);
        }
        true
    }
}
