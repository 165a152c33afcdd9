//! Windows of every length, against their definitions.

use super::*;

#[test]
fn a_constant_window_has_no_variance() {
    for value in [0.1, 1e9, 1e-9, 123.456, 1e12 / 3.0] {
        for length in [2, 5, 14, 20, 33, 66] {
            assert_eq!(
                mean_and_variance(&vec![value; length]).1,
                0.0,
                "{length} times {value}"
            );
        }
    }
}

#[test]
fn small_moves_on_a_large_price_keep_their_digits() {
    let values: Vec<f64> = (0..20)
        .map(|i| if i % 2 == 0 { 1e9 } else { 1e9 + 0.5 })
        .collect();
    assert_eq!(mean_and_variance(&values), (1e9 + 0.25, 0.0625));
}

#[test]
fn extremes_look_at_every_value() {
    for length in 1..40 {
        for at in 0..length {
            let mut values = vec![0.0; length];
            values[at] = 1.0;
            assert_eq!(
                (highest(&values), lowest(&values)),
                (1.0, if length == 1 { 1.0 } else { 0.0 })
            );
            values[at] = -1.0;
            assert_eq!(lowest(&values), -1.0);
        }
    }
}

#[test]
fn sums_count_every_value_once() {
    for length in 0..40 {
        let values: Vec<f64> = (1..=length).map(f64::from).collect();
        assert_eq!(sum(&values), f64::from(length * (length + 1) / 2));
    }
}

#[test]
fn pairs_are_taken_once_each() {
    for length in 0..40 {
        let values: Vec<f64> = (1..=length).map(f64::from).collect();
        let squares = f64::from(length * (length + 1) * (2 * length + 1) / 6);
        assert_eq!(sum_of_pairs(&values, &values, |a, b| a * b), squares);
        assert_eq!(sum_over([&values, &values], |[a, b]| a * b), squares);
        let triple = sum_over([&values, &values, &values], |[a, b, c]| a * b + 0.0 * c);
        assert_eq!(triple, squares);
    }
}

#[test]
fn sliding_drops_the_oldest_at_every_length() {
    for length in 0..12 {
        let mut window: Vec<f64> = (0..length).map(f64::from).collect();
        slide(&mut window, -1.0);
        let mut expected: Vec<f64> = (1..length).map(f64::from).collect();
        expected.extend((length > 0).then_some(-1.0));
        assert_eq!(window, expected);
    }
}

#[test]
fn decayed_values_become_zero_before_they_turn_subnormal() {
    assert_eq!(flush_tiny(-1e-301), 0.0);
    assert_eq!(flush_tiny(1e-299), 1e-299);
}

#[test]
fn only_numbers_are_finite() {
    let finite = [0.0, f64::MIN_POSITIVE / 2.0, 1.0, f64::MAX];
    let others = [f64::INFINITY, f64::NAN, f64::from_bits(u64::MAX >> 1)];
    for sign in [1.0, -1.0] {
        assert!(all_finite(&finite.map(|value| value * sign)));
        for other in others {
            assert!(!all_finite(&[1.0, other * sign, 1.0]), "{other}");
        }
    }
}
