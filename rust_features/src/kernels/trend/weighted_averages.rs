//! Moving averages with fixed weights: simple, linear, triangular, Hull's.

use super::average::{Average, AverageKernel};
use crate::known_length::known_length;
use crate::neighbouring_filters::all_averages;
use crate::neighbouring_means::all_means;
use crate::neighbours::{Row, WINDOWS, means};
use crate::side_by_side::{self, Memories};
use crate::window::{mean, weighted_deviation};

/// Linearly weighted moving average.
pub(crate) type Wma = AverageKernel<Linear>;
/// Triangular moving average.
pub(crate) type Trima = AverageKernel<Triangular>;
/// Hull moving average.
pub(crate) type Hma = AverageKernel<Hull>;

/// One weight for each of the newest values, oldest first; they sum to one.
#[derive(Debug)]
pub(crate) struct Weights(Box<[f64]>);

impl Weights {
    /// Scales the weights to a sum of one.
    fn normalised(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        Self(weights.iter().map(|weight| weight / total).collect())
    }

    /// `1, 2, … , period`, scaled.
    fn linear(period: usize) -> Self {
        let ramp: Vec<f64> = (1..=period).map(|weight| weight as f64).collect();
        Self::normalised(&ramp)
    }

    /// The average of as many values; exact when all are the same.
    #[inline(always)]
    fn average(&self, values: &[f64]) -> Option<f64> {
        let newest = values.last()?;
        let weights = &*self.0;
        // Hull's average of 20 values has 23 weights.
        let deviation = known_length!(
            [values, weights] of [23] => weighted_deviation(values, weights, *newest)
        );
        Some(newest + deviation)
    }
}

impl Weights {
    /// The averages of many series.
    #[inline(always)]
    fn average_of_each(&self, rows: &[Row]) -> Option<Row> {
        let newest = rows.last()?;
        let mut averages = side_by_side::weighted_deviations(rows, &self.0, newest);
        for (average, value) in averages.0.iter_mut().zip(&newest.0) {
            *average += value;
        }
        Some(averages)
    }
}

/// Mean of the newest values.
#[derive(Debug)]
pub(crate) struct Mean {
    period: usize,
}

impl Average for Mean {
    type State = ();
    const NAME: &'static str = "sma";
    const SUMMARY: &'static str = "simple moving average";
    const DEFAULT_PERIOD: i64 = 30;
    const FORMULA: &'static str = "mean of the last timeperiod values";
    const SOURCE: &'static str = "TA-Lib SMA";

    fn over(period: usize) -> Self {
        Self { period }
    }

    fn lookback(&self) -> usize {
        self.period - 1
    }

    fn taps(&self) -> usize {
        self.period
    }

    #[inline(always)]
    fn push(&self, (): &mut (), _value: f64, newest: Option<&[f64]>) -> Option<f64> {
        newest.map(mean)
    }

    #[inline(always)]
    fn push_all(
        &self,
        (): &mut (),
        values: &[f64],
        newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        // No closure: it would stay a call, and be compiled without wide vectors.
        match newest {
            // A block has less to prepare than a tile.
            Some(newest) if values.len() == WINDOWS => {
                averages[..WINDOWS].copy_from_slice(&means(newest, self.period).0);
                WINDOWS
            }
            Some(newest) => all_means(newest, self.period, &mut averages[..values.len()]),
            None => 0,
        }
    }
}

/// Implements [`Average`] for a struct that holds nothing but its weights.
macro_rules! weighted_average {
    ($(#[$meta:meta])* $average:ident, $name:literal, $default:literal, $summary:literal, $formula:literal, $source:literal, $weights:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $average(Weights);

        impl Average for $average {
            type State = ();
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            const DEFAULT_PERIOD: i64 = $default;
            const FORMULA: &'static str = $formula;
            const SOURCE: &'static str = $source;
            const CHECKS: bool = true;
            const OF_EACH: bool = true;

            fn over(period: usize) -> Self {
                let weights: fn(usize) -> Weights = $weights;
                Self(weights(period))
            }

            fn lookback(&self) -> usize {
                self.0.0.len() - 1
            }

            fn taps(&self) -> usize {
                self.0.0.len()
            }

            #[inline(always)]
            fn push(&self, (): &mut (), _value: f64, newest: Option<&[f64]>) -> Option<f64> {
                self.0.average(newest?)
            }

            #[inline(always)]
            fn push_all(
                &self,
                (): &mut (),
                values: &[f64],
                newest: Option<&[f64]>,
                averages: &mut [f64],
            ) -> usize {
                newest.map_or(0, |newest| {
                    all_averages(newest, &self.0.0, &mut averages[..values.len()])
                })
            }

            #[inline(always)]
            fn average_of_each(&self, _: &mut Memories<'_>, newest: &[Row]) -> Option<Row> {
                self.0.average_of_each(newest)
            }
        }
    };
}

weighted_average!(
    /// Newer values weigh more, in a straight line.
    Linear,
    "wma",
    30,
    "linearly weighted moving average",
    "mean of the last timeperiod values with weights 1, 2, ... timeperiod, the newest heaviest",
    "TA-Lib WMA",
    Weights::linear
);
weighted_average!(
    /// The values in the middle weigh most.
    Triangular,
    "trima",
    30,
    "triangular moving average",
    "mean of the last timeperiod values with weights 1, 2, ... up to the middle and down again",
    "TA-Lib TRIMA",
    triangle
);
weighted_average!(
    /// Hull's average, which is a linear one with some negative weights.
    Hull,
    "hma",
    20,
    "Hull moving average",
    "wma over the whole part of sqrt(timeperiod) of 2 * wma(timeperiod / 2) - wma(timeperiod)",
    "TA-Lib HMA; Hull (2005), alanhull.com/hull-moving-average",
    hull
);

fn triangle(period: usize) -> Weights {
    let weights: Vec<f64> = (1..=period)
        .map(|place| place.min(period + 1 - place) as f64)
        .collect();
    Weights::normalised(&weights)
}

/// The three averages of the formula folded into one set of weights.
fn hull(period: usize) -> Weights {
    if period == 1 {
        return Weights::linear(1);
    }
    let (half, outer) = (Weights::linear(period / 2), Weights::linear(period.isqrt()));
    let mut inner: Vec<f64> = Weights::linear(period)
        .0
        .iter()
        .map(|weight| -weight)
        .collect();
    for (weight, half) in inner.iter_mut().rev().zip(half.0.iter().rev()) {
        *weight += 2.0 * half;
    }
    let mut weights = vec![0.0; period + outer.0.len() - 1];
    for (shift, outer) in outer.0.iter().enumerate() {
        for (weight, inner) in weights[shift..].iter_mut().zip(&inner) {
            *weight += outer * inner;
        }
    }
    Weights(weights.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(weights: &Weights, scale: f64) -> Vec<f64> {
        weights
            .0
            .iter()
            .map(|weight| (weight * scale).round())
            .collect()
    }

    #[test]
    fn triangles_of_even_and_odd_periods_have_their_known_weights() {
        assert_eq!(rounded(&triangle(4), 6.0), [1.0, 2.0, 2.0, 1.0]);
        assert_eq!(rounded(&triangle(5), 9.0), [1.0, 2.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn hull_weights_sum_to_one_and_reach_back_over_both_windows() {
        for period in 1..200 {
            let weights = hull(period);
            assert!(
                (weights.0.iter().sum::<f64>() - 1.0).abs() < 1e-12,
                "{period}"
            );
            assert_eq!(weights.0.len(), period + period.isqrt() - 1);
        }
    }

    #[test]
    fn the_average_of_equal_values_is_that_value() {
        for period in 1..70 {
            let values = vec![0.1 + 0.2; period];
            assert_eq!(Weights::linear(period).average(&values), Some(0.1 + 0.2));
            assert_eq!(triangle(period).average(&values), Some(0.1 + 0.2));
        }
    }
}
