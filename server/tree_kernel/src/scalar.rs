//! The two element types of a tree ensemble, and their order as integers.

/// `f32` or `f64`: what thresholds and leaf values are held and summed in.
pub trait Scalar:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + 'static
{
    /// A signed integer that sorts as the numbers do; see [`Scalar::key`].
    type Key: Copy + Ord + Send + Sync + std::fmt::Debug + 'static;

    /// Above every key of a number.
    const KEY_MAX: Self::Key;
    /// Below every key of a number and below every key that [`Scalar::key_below`] gives.
    const KEY_MIN: Self::Key;
    /// One.
    const ONE: Self;

    /// The number's place in the order, `-0.0` and `0.0` being the same; any key for NaN.
    fn key(self) -> Self::Key;
    /// The key next below, so that `x < t` is `key(x) <= key_below(key(t))`, infinities included.
    fn key_below(key: Self::Key) -> Self::Key;
    /// True for NaN.
    fn is_nan(self) -> bool;
    /// The nearest `f32`.
    fn to_f32(self) -> f32;
    /// Exact for both types.
    fn to_f64(self) -> f64;
    /// Exact for both types.
    fn from_f32(value: f32) -> Self;
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The number of trees, as the divisor of an average.
    fn from_count(count: usize) -> Self;
    /// The values as the kernels' fast type, if they are that type.
    fn as_f32_slice(values: &[Self]) -> Option<&[f32]>;
    /// Like [`Scalar::as_f32_slice`], to write.
    fn as_f32_slice_mut(values: &mut [Self]) -> Option<&mut [f32]>;
    /// Keys as 32-bit integers, if they are.
    fn keys_as_i32(keys: &mut [Self::Key]) -> Option<&mut [i32]>;
}

impl Scalar for f32 {
    type Key = i32;

    const KEY_MAX: i32 = i32::MAX;
    const KEY_MIN: i32 = i32::MIN;
    const ONE: Self = 1.0;

    #[inline]
    fn key(self) -> i32 {
        // Adding zero turns -0.0 into 0.0 and changes nothing else.
        let bits = (self + 0.0).to_bits().cast_signed();
        bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
    }

    #[inline]
    fn key_below(key: i32) -> i32 {
        key - 1
    }

    #[inline]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline]
    fn to_f64(self) -> f64 {
        Self::into(self)
    }

    #[inline]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline]
    fn from_count(count: usize) -> Self {
        count as f32
    }

    #[inline]
    fn as_f32_slice(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    #[inline]
    fn as_f32_slice_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    #[inline]
    fn keys_as_i32(keys: &mut [i32]) -> Option<&mut [i32]> {
        Some(keys)
    }
}

impl Scalar for f64 {
    type Key = i64;

    const KEY_MAX: i64 = i64::MAX;
    const KEY_MIN: i64 = i64::MIN;
    const ONE: Self = 1.0;

    #[inline]
    fn key(self) -> i64 {
        let bits = (self + 0.0).to_bits().cast_signed();
        bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
    }

    #[inline]
    fn key_below(key: i64) -> i64 {
        key - 1
    }

    #[inline]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline]
    fn to_f32(self) -> f32 {
        self as f32
    }

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline]
    fn from_f32(value: f32) -> Self {
        Self::from(value)
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline]
    fn from_count(count: usize) -> Self {
        count as f64
    }

    #[inline]
    fn as_f32_slice(_: &[Self]) -> Option<&[f32]> {
        None
    }

    #[inline]
    fn as_f32_slice_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    #[inline]
    fn keys_as_i32(_: &mut [i64]) -> Option<&mut [i32]> {
        None
    }
}

/// What an output tensor may hold.
pub trait Output: Copy + Default + Send + Sync + 'static {
    /// Rounds to this type as a C++ `static_cast` does.
    fn from_scalar<T: Scalar>(value: T) -> Self;
}

impl Output for f32 {
    #[inline]
    fn from_scalar<T: Scalar>(value: T) -> Self {
        value.to_f32()
    }
}

impl Output for f64 {
    #[inline]
    fn from_scalar<T: Scalar>(value: T) -> Self {
        value.to_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::Scalar;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_as_numbers_do(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(a <= b, a.key() <= b.key());
            prop_assert_eq!(a < b, a.key() <= f32::key_below(b.key()));
        }

        #[test]
        fn double_keys_sort_as_numbers_do(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(a <= b, a.key() <= b.key());
            prop_assert_eq!(a < b, a.key() <= f64::key_below(b.key()));
        }
    }

    #[test]
    fn zeros_and_infinities_keep_their_order() {
        let ordered = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1e-45,
            -0.0,
            0.0,
            1e-45,
            f32::MAX,
            f32::INFINITY,
        ];
        for a in ordered {
            for b in ordered {
                assert_eq!(a <= b, a.key() <= b.key(), "{a} <= {b}");
                assert_eq!(a < b, a.key() <= f32::key_below(b.key()), "{a} < {b}");
            }
        }
        assert!(f32::KEY_MIN < f32::key_below(f32::NEG_INFINITY.key()));
        assert!(f32::INFINITY.key() < f32::KEY_MAX);
    }
}
