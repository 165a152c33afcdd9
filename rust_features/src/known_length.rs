//! Windows of the usual lengths, whose loops the compiler unrolls.

/// An expression of one or more windows, compiled once more for windows of each of these lengths: there it has neither
/// loops nor tails. The operations, and so the bits, are the same.
macro_rules! known_length {
    ([$($window:ident),+] of [] => $expression:expr) => {
        $expression
    };
    ([$($window:ident),+] of [$length:literal $(, $others:literal)*] => $expression:expr) => {
        if let ($(Ok($window),)+) = ($(<&[f64; $length]>::try_from($window),)+) {
            $(let $window: &[f64] = $window;)+
            $expression
        } else {
            $crate::known_length::known_length!([$($window),+] of [$($others),*] => $expression)
        }
    };
}
pub(crate) use known_length;
