//! Windows of every length, against their definitions.

use super::*;

#[test]
fn aligned_rings_and_delays_go_on_as_they_were() {
    for length in [1, 2, 5] {
        let (mut own, mut kept) = (vec![0.0; ring_len(length)], vec![0.0; delay_len(length)]);
        let mut plain = (own.clone(), kept.clone());
        for i in 1..40_i32 {
            let value = f64::from(i);
            let expected = ring(&mut plain.0, value).to_vec();
            assert_eq!(ring(&mut own, value), expected);
            assert_eq!(delay(&mut kept, value), delay(&mut plain.1, value));
            if i % 3 == 0 {
                align_ring(&mut own);
                align_delay(&mut kept);
                assert_eq!((position(&own), position(&kept)), (0, 0));
            }
        }
        // A snapshot may hold anything.
        (own[0], kept[0]) = (f64::NAN, 1e300);
        align_ring(&mut own);
        align_delay(&mut kept);
    }
    align_ring(&mut []);
    align_ring(&mut [2.0]);
    align_delay(&mut [2.0]);
}

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
fn a_ring_holds_the_newest_values_in_order() {
    for length in 1..20 {
        let mut memory = vec![0.0; ring_len(length)];
        let mut expected = vec![0.0; length];
        for i in 0..60 {
            slide(&mut expected, f64::from(i));
            assert_eq!(ring(&mut memory, f64::from(i)), &expected[..]);
        }
    }
    assert_eq!(ring(&mut [f64::NAN, 0.0, 0.0], 7.0), &[7.0]);
    assert_eq!(ring(&mut [1e300, 0.0, 0.0], 7.0), &[7.0]);
    assert!(ring(&mut [], 7.0).is_empty());
}

#[test]
fn a_delay_gives_what_was_kept_as_many_values_before() {
    for ago in 0..20 {
        let mut memory = vec![0.0; delay_len(ago)];
        for i in 0..60 {
            let expected = i64::from(i) - ago as i64;
            let expected = if expected < 0 { 0.0 } else { expected as f64 };
            assert_eq!(delay(&mut memory, f64::from(i)), expected, "{ago} at {i}");
        }
    }
    assert_eq!(delay(&mut [f64::NAN, 0.0], 7.0), 7.0);
    assert_eq!(delay(&mut [1e300, 0.0, 5.0], 7.0), 5.0);
    assert_eq!(delay(&mut [], 7.0), 0.0);
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
fn a_ring_extended_at_once_is_the_ring_appended_to() {
    for length in 1..20 {
        let (mut once, mut each) = (vec![0.0; ring_len(length)], vec![0.0; ring_len(length)]);
        for count in [1, 3, 20, 64, 7] {
            let added: Vec<f64> = (0..count).map(|i| f64::from(i * count)).collect();
            ring_extend(&mut once, &added);
            for value in added {
                ring(&mut each, value);
            }
            assert_eq!(once, each, "{length} by {count}");
            assert_eq!(ring_values(&once), ring_values(&each));
        }
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
