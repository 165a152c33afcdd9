//! Joins the leaves of a row, tree after tree: the order of the sum is part of its bits.

use std::cmp::Ordering;

use crate::Scalar;
use crate::compact::OCTET;
use crate::ensemble::{Aggregate, Ensemble, Node};
use crate::plan::{LANES, Leaves, Plan};

/// Adds the leaves of consecutive trees to the scores of one row.
#[inline]
pub(crate) fn join_row<T: Scalar>(
    ensemble: &Ensemble<T>,
    leaves: &Leaves<T>,
    first_tree: usize,
    found: &[u32],
    scores: &mut [T],
    has: &mut [bool],
) {
    match leaves {
        Leaves::One(values) => {
            scores[0] = found
                .iter()
                .fold(scores[0], |sum, &leaf| sum + values[leaf as usize]);
        }
        Leaves::PerTree(targets, values) => {
            for (&leaf, &target) in found.iter().zip(&targets[first_tree..]) {
                let score = &mut scores[target as usize];
                *score = *score + values[leaf as usize];
            }
        }
        Leaves::Every(values) => {
            let width = scores.len();
            for &leaf in found {
                let values = &values[leaf as usize * width..][..width];
                for (score, &value) in scores.iter_mut().zip(values) {
                    *score = *score + value;
                }
            }
        }
        Leaves::Nodes(nodes) => {
            for &leaf in found {
                join_node(ensemble, nodes[leaf as usize], scores, has, |target| target);
            }
        }
    }
}

/// Adds the leaf values of consecutive trees to the scores of one row; `targets` is empty when there is one.
#[inline]
pub(crate) fn join_values(values: &[f32], targets: &[u32], scores: &mut [f32]) {
    if targets.is_empty() {
        scores[0] = values.iter().fold(scores[0], |sum, &value| sum + value);
    }
    for (&value, &target) in values.iter().zip(targets) {
        scores[target as usize] += value;
    }
}

/// Adds the leaves of eight rows in one tree to their scores, which are target-major; `found` are nodes of the walk.
#[inline]
pub(crate) fn join_octet<T: Scalar>(
    plan: &Plan<T>,
    tree: usize,
    found: [u32; OCTET],
    scores: &mut [[T; OCTET]],
) {
    let target = match &plan.leaves {
        Leaves::One(_) => 0,
        Leaves::PerTree(targets, _) => targets[tree] as usize,
        Leaves::Every(values) => {
            let width = scores.len();
            for (row, at) in found.into_iter().enumerate() {
                let leaf = plan.walk_leaf[at as usize] as usize;
                for (scores, &value) in scores.iter_mut().zip(&values[leaf * width..]) {
                    scores[row] = scores[row] + value;
                }
            }
            return;
        }
        Leaves::Nodes(_) => return,
    };
    for (score, at) in scores[target].iter_mut().zip(found) {
        *score = *score + plan.walk_values[at as usize];
    }
}

/// Adds the leaves of several rows in one tree to their scores, which are target-major.
pub(crate) fn join_lanes<T: Scalar>(
    ensemble: &Ensemble<T>,
    leaves: &Leaves<T>,
    tree: usize,
    found: &[u32],
    scores: &mut [[T; LANES]],
    has: &mut [bool],
) {
    let add = |scores: &mut [T; LANES], values: &[T], width: usize| {
        for (score, &leaf) in scores.iter_mut().zip(found) {
            *score = *score + values[leaf as usize * width];
        }
    };
    match leaves {
        Leaves::One(values) => add(&mut scores[0], values, 1),
        Leaves::PerTree(targets, values) => add(&mut scores[targets[tree] as usize], values, 1),
        Leaves::Every(values) => {
            let width = scores.len();
            for (target, scores) in scores.iter_mut().enumerate() {
                add(scores, &values[target..], width);
            }
        }
        Leaves::Nodes(nodes) => {
            for (row, &leaf) in found.iter().enumerate() {
                let place = |target| target * LANES + row;
                join_node(
                    ensemble,
                    nodes[leaf as usize],
                    scores.as_flattened_mut(),
                    has,
                    place,
                );
            }
        }
    }
}

/// Joins one leaf node to the scores of a row; `place` says where a target's score is.
fn join_node<T: Scalar>(
    ensemble: &Ensemble<T>,
    node: u32,
    scores: &mut [T],
    has: &mut [bool],
    place: impl Fn(usize) -> usize,
) {
    let Node::Leaf { first, count } = ensemble.nodes[node as usize] else {
        return;
    };
    for weight in &ensemble.weights[first as usize..(first + count) as usize] {
        let at = place(weight.target as usize);
        let order = weight.value.partial_cmp(&scores[at]);
        match ensemble.aggregate {
            Aggregate::Sum | Aggregate::Average => scores[at] = scores[at] + weight.value,
            Aggregate::Min if has[at] && order != Some(Ordering::Less) => {}
            Aggregate::Max if has[at] && order != Some(Ordering::Greater) => {}
            Aggregate::Min | Aggregate::Max => scores[at] = weight.value,
        }
        has[at] = true;
    }
}
