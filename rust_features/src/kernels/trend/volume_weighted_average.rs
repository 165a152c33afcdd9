//! Volume-weighted moving average.

use super::simple_moving_average::{ratio, ratios};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::instructions::{Work, with_widest_vectors};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_means::{all_means, all_sums, tile_sums_over};
use crate::neighbours::{Row, TILE};
use crate::side_by_side::{Memories, SideBySide, of_one, sums_of, sums_over};
use crate::subnormal::{
    all_factors, all_near, all_subnormal, each_near, lift, lift_subnormal, lower,
};
use crate::window::{mean, plain_weighted_deviation, sum, sum_of, sum_over};

/// Mean of the last bars, each weighted by its volume.
#[derive(Debug)]
pub(crate) struct Vwma {
    period: usize,
    column: Column,
    /// What rounding may add to the mean of equal values, as a fraction of them.
    rounding: f64,
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
        let period = arguments.count("timeperiod")?;
        Ok(Self {
            period,
            column: arguments.column()?,
            // Half of it for each addition to a lane and of the lanes, in both sums, for a product and for the quotient.
            rounding: (period as f64 / 8.0 + 5.0) * f64::EPSILON,
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
        let (Some(values @ [.., newest_values]), Some(volumes), [averages, ratio_row]) = (
            newest.last(self.column, self.period),
            newest.last(Column::Volume, self.period),
            outputs,
        ) else {
            return false;
        };
        let sums = sums_of(volumes, |volume, _| volume);
        let weighted = sums_over([values, volumes], |[value, volume], _| value * volume);
        let newest = &newest_values.0;
        if !self.means_of_sums(&weighted.0, &sums.0, newest, &mut averages.0) {
            for (at, average) in averages.0.iter_mut().enumerate() {
                if !(is_usual(weighted.0[at]) && is_usual(sums.0[at])) {
                    *average = self.unusual_mean(&of_one(values, at), &of_one(volumes, at));
                }
            }
        }
        ratios(newest, &averages.0, &mut ratio_row.0);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let values = frame.last(self.column, self.period);
        let (Some(values), Some(volumes)) = (values, frame.volumes(self.period)) else {
            return [f64::NAN; 2];
        };
        let value = frame.current(self.column);
        let (weighted, volume) = known_length!([values, volumes] of [20] => (
            sum_over([values, volumes], |[value, volume]| value * volume),
            sum(volumes),
        ));
        let average = if is_usual(weighted) && is_usual(volume) {
            self.mean_of_sums(weighted, volume, value)
        } else {
            self.unusual_mean(values, volumes)
        };
        [average, ratio(value, average)]
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let windows = [self.column, Column::Volume].map(|column| span.windows(column, self.period));
        let ([Some(values), Some(volumes)], [averages, more @ ..]) = (windows, outputs) else {
            return 0;
        };
        let mut room = vec![[0.0; 3]; TILE + self.period - 1];
        for (tile, cells) in averages.chunks_mut(TILE).enumerate() {
            let numbers = cells.len() + self.period - 1;
            let [values, volumes] =
                [values, volumes].map(|column| &column[tile * TILE..][..numbers]);
            self.take_tile(values, volumes, &mut room, cells);
        }
        if let [cells, ..] = more {
            ratios(span.source(), averages, cells);
        }
        averages.len()
    }
}

impl Vwma {
    /// The means of a tile of windows.
    #[inline(always)]
    fn take_tile(&self, values: &[f64], volumes: &[f64], room: &mut [[f64; 3]], cells: &mut [f64]) {
        if volumes.first() == Some(&0.0) && volumes.iter().all(|volume| *volume == 0.0) {
            all_means(values, self.period, cells);
            return;
        }
        let (room, _) = room.as_flattened_mut().split_at_mut(3 * values.len());
        let (products, room) = room.split_at_mut(values.len());
        let (near_values, near_volumes) = (all_near(values), all_near(volumes));
        if near_values || near_volumes {
            let tile = NearTile {
                means: self,
                near: [near_values, near_volumes],
                values,
                volumes,
                products,
                room,
                cells,
            };
            if with_widest_vectors(tile) {
                return;
            }
        }
        let totals = self.totals([values, volumes], products, cells.len());
        let [weighted, sums] = totals.each_ref().map(|totals| &totals[..cells.len()]);
        let newest = &values[self.period - 1..];
        if !self.means_of_sums(weighted, sums, newest, cells) {
            for (at, cell) in cells.iter_mut().enumerate() {
                if !(is_usual(weighted[at]) && is_usual(sums[at])) {
                    let own = at..at + self.period;
                    *cell = self.unusual_mean(&values[own.clone()], &volumes[own]);
                }
            }
        }
    }

    /// The sums of values times volumes and of volumes of as many windows; `products` is room for the former.
    #[inline(always)]
    fn totals(
        &self,
        [values, volumes]: [&[f64]; 2],
        products: &mut [f64],
        windows: usize,
    ) -> [[f64; TILE]; 2] {
        let mut totals = [[0.0; TILE]; 2];
        let [weighted, sums] = totals.each_mut().map(|totals| &mut totals[..windows]);
        for ((product, value), volume) in products.iter_mut().zip(values).zip(volumes) {
            *product = value * volume;
        }
        tile_sums_over(products, self.period, weighted);
        all_sums(volumes, self.period, sums);
        totals
    }

    /// The means of windows, given the sums of values times volumes and of volumes, and the newest values; false when
    /// one of the sums is not usual.
    #[inline(always)]
    fn means_of_sums(
        &self,
        weighted: &[f64],
        sums: &[f64],
        newest: &[f64],
        cells: &mut [f64],
    ) -> bool {
        let windows = cells.len();
        let (weighted, sums, newest) = (&weighted[..windows], &sums[..windows], &newest[..windows]);
        let mut usual = true;
        for (at, cell) in cells.iter_mut().enumerate() {
            usual &= is_usual(weighted[at]) & is_usual(sums[at]);
            *cell = self.mean_of_sums(weighted[at], sums[at], newest[at]);
        }
        usual
    }

    /// The mean; what differs from the newest value by rounding only is that value, as the mean of equal ones is.
    #[inline(always)]
    fn mean_of_sums(&self, weighted: f64, sum: f64, newest: f64) -> f64 {
        let mean = weighted / sum;
        if (mean - newest).abs() <= self.rounding * newest.abs() {
            newest
        } else {
            mean
        }
    }

    /// The mean of a window of which a sum is not usual: of values and volumes near zero by lifted ones, of others by
    /// the values' distances from the newest.
    #[cold]
    #[inline(never)]
    fn unusual_mean(&self, values: &[f64], volumes: &[f64]) -> f64 {
        let near = [values, volumes].map(each_near);
        let volume = sum_of(volumes, |volume| lift_if(near[1], volume));
        if volume <= 0.0 {
            return mean(values);
        }
        let newest = values.last().copied().unwrap_or_default();
        let weighted = sum_over([values, volumes], |[value, volume]| {
            lift_if(near[0], value) * lift_if(near[1], volume)
        });
        if has_all_digits(weighted) {
            let mean = self.mean_of_sums(weighted, volume, lift_if(near[0], newest));
            return if near[0] { lower(mean) } else { mean };
        }
        newest + plain_weighted_deviation(values, volumes, newest) / sum(volumes)
    }
}

/// A tile of windows of values or volumes near zero: whether it was taken, as [`Vwma::unusual_mean`] takes each.
struct NearTile<'a> {
    means: &'a Vwma,
    near: [bool; 2],
    values: &'a [f64],
    volumes: &'a [f64],
    products: &'a mut [f64],
    /// Room for lifted values and volumes.
    room: &'a mut [f64],
    cells: &'a mut [f64],
}

impl Work for NearTile<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self {
            means,
            near: [near_values, near_volumes],
            values,
            volumes,
            products,
            room,
            cells,
        } = self;
        // Then no window is near zero that is not told to be, and no sum of those that are is usual.
        if !(near_values || all_factors(values)) || !(near_volumes || all_factors(volumes)) {
            return false;
        }
        let (period, windows) = (means.period, cells.len());
        let (lifted_values, lifted_volumes) = room.split_at_mut(values.len());
        let lifted_values = lifted(near_values, values, lifted_values);
        let lifted_volumes = lifted(near_volumes, volumes, lifted_volumes);
        let totals = means.totals([lifted_values, lifted_volumes], products, windows);
        let [weighted, sums] = totals.each_ref().map(|totals| &totals[..windows]);
        let newest = &lifted_values[period - 1..][..windows];
        let mut all = true;
        for (at, cell) in cells.iter_mut().enumerate() {
            let mean = means.mean_of_sums(weighted[at], sums[at], newest[at]);
            *cell = if near_values { lower(mean) } else { mean };
            all &= has_all_digits(weighted[at]);
            all &= sums[at] > 0.0;
        }
        if !all {
            for (at, cell) in cells.iter_mut().enumerate() {
                if !(has_all_digits(weighted[at]) && sums[at] > 0.0) {
                    let own = at..at + period;
                    *cell = means.unusual_mean(&values[own.clone()], &volumes[own]);
                }
            }
        }
        true
    }
}

/// The numbers, lifted where they are near zero.
#[inline(always)]
fn lifted<'a>(near: bool, numbers: &'a [f64], room: &'a mut [f64]) -> &'a [f64] {
    if !near {
        return numbers;
    }
    if all_subnormal(numbers) {
        for (cell, number) in room.iter_mut().zip(numbers) {
            *cell = lift_subnormal(*number);
        }
    } else {
        for (cell, number) in room.iter_mut().zip(numbers) {
            *cell = lift(*number);
        }
    }
    room
}

#[inline(always)]
fn lift_if(near: bool, number: f64) -> f64 {
    if near { lift(number) } else { number }
}

/// Whether a sum is far from either end of the range, and so is whatever it is made of, as far as it counts.
#[inline(always)]
fn is_usual(sum: f64) -> bool {
    let size = sum.abs();
    let mut usual = size > 1e-100;
    usual &= size < 1e300;
    usual
}

/// Whether a sum of products has all its digits.
#[inline(always)]
fn has_all_digits(sum: f64) -> bool {
    let size = sum.abs();
    let mut has_all = size > 1e-290;
    has_all &= size < 1e300;
    has_all
}
