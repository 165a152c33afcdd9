//! Sums of squared log returns over the windows of a block.

use crate::frame::Block;
use crate::neighbours::{LONGEST, Row, WINDOWS, divide_by_each, sums};

/// The windows' sums, as [`crate::window::sum_of`] has each; `window` holds the last returns, at most [`LONGEST`], and
/// moves on.
#[inline(always)]
pub(super) fn sums_of_squared_returns(window: &mut [f64], block: Block<'_>) -> Option<Row> {
    let length = window.len();
    let closes = block.closes(2)?;
    if length > LONGEST {
        return None;
    }
    let mut returns = *closes.last_chunk::<WINDOWS>()?;
    divide_by_each(&mut returns, closes.get(..WINDOWS)?);
    let mut squares = [0.0; WINDOWS + LONGEST];
    for (square, value) in squares.iter_mut().zip(window.get(1..)?) {
        *square = value * value;
    }
    let added = squares.get_mut(length - 1..)?;
    for (square, value) in added.iter_mut().zip(&mut returns) {
        *value = libm::log(*value);
        *square = *value * *value;
    }
    window.copy_from_slice(&returns[WINDOWS - length..]);
    Some(sums(&squares, length))
}
