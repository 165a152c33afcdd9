//! From the sums of a row to its outputs: base values, aggregate, label and post transform.
//!
//! The order of operations and the special cases are ONNX Runtime's, which the bits are compared with; the specification
//! leaves several of them open.

use crate::ensemble::{Aggregate, Ensemble, PostTransform, Task};
use crate::{Output, Scalar};

fn logistic(x: f32) -> f32 {
    let v = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - v } else { v }
}

/// Winitzki's approximation of the inverse error function, in the steps of ONNX Runtime.
fn inverse_error_function(x: f32) -> f32 {
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    let v2 = 1.0 / 0.147 * log;
    sign * (-v + (v * v - v2).sqrt()).sqrt()
}

fn probit(x: f32) -> f32 {
    std::f32::consts::SQRT_2 * inverse_error_function(2.0 * x - 1.0)
}

fn largest<T: Scalar>(scores: &[T]) -> f32 {
    scores
        .iter()
        .map(|score| score.to_f32())
        .fold(
            -f32::MAX,
            |largest, score| if score > largest { score } else { largest },
        )
}

fn softmax<T: Scalar>(scores: &mut [T]) {
    let largest = largest(scores);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = T::from_f32((score.to_f32() - largest).exp());
        sum += score.to_f32();
    }
    for score in scores {
        *score = T::from_f32(score.to_f32() / sum);
    }
}

fn softmax_zero<T: Scalar>(scores: &mut [T]) {
    let largest = largest(scores);
    let scale = (-largest).exp();
    let mut sum = 0.0;
    for score in &mut *scores {
        let x = score.to_f32();
        if x.abs() > 0.000_000_1 {
            *score = T::from_f32((x - largest).exp());
            sum += score.to_f32();
        } else {
            *score = *score * T::from_f32(scale);
        }
    }
    for score in scores {
        *score = *score / T::from_f32(sum);
    }
}

/// Scores of targets that no leaf spoke of count as zero, whatever base value was added to them.
fn silence<T: Scalar>(scores: &mut [T], has: &[bool]) {
    for (score, _) in scores.iter_mut().zip(has).filter(|(_, has)| !**has) {
        *score = T::default();
    }
}

fn write<T: Scalar, O: Output>(scores: &mut [T], transform: PostTransform, out: &mut [O]) {
    match transform {
        PostTransform::None => {}
        PostTransform::Logistic => scores
            .iter_mut()
            .for_each(|score| *score = T::from_f32(logistic(score.to_f32()))),
        PostTransform::Probit => scores
            .iter_mut()
            .for_each(|score| *score = T::from_f32(probit(score.to_f32()))),
        PostTransform::Softmax => softmax(scores),
        PostTransform::SoftmaxZero => softmax_zero(scores),
    }
    for (out, &score) in out.iter_mut().zip(&*scores) {
        *out = O::from_scalar(score);
    }
}

impl<T: Scalar> Ensemble<T> {
    /// Turns the joined leaves of one row into its outputs, and gives the label of a classifier.
    ///
    /// `has` says which targets any leaf of the row spoke of.
    #[inline]
    pub(crate) fn finish<O: Output>(&self, scores: &mut [T], has: &[bool], out: &mut [O]) -> i64 {
        match &self.task {
            Task::Regression => {
                self.finish_regression(scores, has, out);
                0
            }
            Task::Classification { labels, .. } if labels.len() == 2 => {
                self.finish_binary(scores, has, out)
            }
            Task::Classification { labels, .. } => self.finish_classes(labels, scores, has, out),
        }
    }

    #[inline]
    fn finish_regression<O: Output>(&self, scores: &mut [T], has: &[bool], out: &mut [O]) {
        let divisor = match self.aggregate {
            Aggregate::Average => Some(T::from_count(self.roots.len())),
            _ => None,
        };
        let with_base = self.base_values.len() == self.targets;
        for (at, score) in scores.iter_mut().enumerate() {
            if let Some(divisor) = divisor {
                *score = *score / divisor;
            }
            if with_base {
                *score = *score + self.base_values[at];
            } else if self.targets == 1 || matches!(self.aggregate, Aggregate::Min | Aggregate::Max)
            {
                *score = *score + T::default();
            }
        }
        silence(scores, has);
        if self.targets > 1 || self.post_transform == PostTransform::Probit {
            write(scores, self.post_transform, out);
        } else {
            // A single target knows no other transform than probit.
            write(scores, PostTransform::None, out);
        }
    }

    fn finish_classes<O: Output>(
        &self,
        labels: &[i64],
        scores: &mut [T],
        has: &[bool],
        out: &mut [O],
    ) -> i64 {
        for (score, &base) in scores.iter_mut().zip(&self.base_values) {
            *score = *score + base;
        }
        let mut best: Option<(usize, T)> = None;
        for (at, &score) in scores.iter().enumerate() {
            let speaks = has[at] || !self.base_values.is_empty();
            if speaks && best.is_none_or(|(_, largest)| score > largest) {
                best = Some((at, score));
            }
        }
        if self.base_values.is_empty() {
            silence(scores, has);
        }
        write(scores, self.post_transform, out);
        labels[best.map_or(0, |(at, _)| at)]
    }

    /// Two classes. With weights for one class only, one score speaks for both.
    fn finish_binary<O: Output>(&self, scores: &mut [T], has: &[bool], out: &mut [O]) -> i64 {
        let Task::Classification {
            labels,
            one_score,
            positive,
        } = &self.task
        else {
            return 0;
        };
        let both = has[1] || self.base_values.len() == 2;
        match self.base_values[..] {
            [_, second] if has[1] => {
                scores[1] = second + scores[0];
                scores[0] = -scores[1];
            }
            [first, second] => {
                scores[1] = scores[1] + second;
                scores[0] = scores[0] + first;
            }
            [first] => scores[0] = scores[0] + first,
            _ => {}
        }
        let deciding = if has[1] {
            scores[1]
        } else if has[0] {
            scores[0]
        } else {
            T::default()
        };
        silence(scores, has);
        if !*one_score {
            write(scores, self.post_transform, out);
            return i64::from(deciding > T::default());
        }
        let limit = if *positive {
            T::from_f64(0.5)
        } else {
            T::default()
        };
        let label = labels[usize::from(deciding > limit)];
        if both {
            write(scores, self.post_transform, out);
            return label;
        }
        let score = scores[0];
        match (self.post_transform, *positive) {
            (PostTransform::Logistic, _) => {
                let pair = [logistic((-score).to_f32()), logistic(score.to_f32())];
                write(&mut pair.map(T::from_f32), PostTransform::None, out);
            }
            (_, true) => write(&mut [T::ONE + -score, score], PostTransform::None, out),
            (_, false) => write(&mut [-score, score], PostTransform::None, out),
        }
        label
    }
}
