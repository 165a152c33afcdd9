//! What a row of a model costs, as its runs tell.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What a row is thought to cost before the first run, nanoseconds.
const FIRST_ROW_NS: u64 = 20_000;
/// Runs of 1, 2-3, 4-7 rows and so on; the last takes all that are larger.
const SIZES: usize = 8;

/// Moving means of the processor time of a row, nanoseconds.
///
/// Two executors may write at once; either mean is as good.
pub(super) struct RowCosts {
    of_all: AtomicU64,
    /// By the size of the run; zero before the first.
    of_size: [AtomicU64; SIZES],
}

impl Default for RowCosts {
    fn default() -> Self {
        Self {
            of_all: AtomicU64::new(FIRST_ROW_NS),
            of_size: Default::default(),
        }
    }
}

impl RowCosts {
    /// Nanoseconds of a row, whatever runs with it; never zero.
    pub(super) fn row_ns(&self) -> u64 {
        self.of_all.load(Ordering::Relaxed).max(1)
    }

    /// Nanoseconds of `rows` rows.
    pub(super) fn expected_ns(&self, rows: usize) -> u64 {
        self.row_ns().saturating_mul(rows as u64)
    }

    /// Whether `rows` rows are expected to run within `budget`.
    pub(super) fn fit(&self, rows: usize, budget: Duration) -> bool {
        self.expected_ns(rows) <= budget.as_nanos() as u64
    }

    /// Keeps that a run of `rows` rows cost `spent`.
    pub(super) fn record(&self, rows: usize, spent: Duration) {
        let row_ns = spent.as_nanos() as u64 / rows.max(1) as u64;
        let mean = self.of_all.load(Ordering::Relaxed);
        self.of_all.store(moved(mean, row_ns), Ordering::Relaxed);
        if let Some(of_size) = self.of_size.get(size_of(rows)) {
            let mean = match of_size.load(Ordering::Relaxed) {
                0 => row_ns,
                known => moved(known, row_ns),
            };
            of_size.store(mean.max(1), Ordering::Relaxed);
        }
    }

    /// What each of `rows` rows would save in a larger run; all that it costs where none was seen.
    pub(super) fn saved_in_a_larger_run(&self, rows: usize) -> Duration {
        let size = size_of(rows);
        let known = |of_size: &AtomicU64| {
            let row_ns = of_size.load(Ordering::Relaxed);
            (row_ns > 0).then_some(row_ns)
        };
        let own = self.of_size.get(size).and_then(known);
        let larger = self.of_size.iter().skip(size + 1).filter_map(known).min();
        let saved_ns = own
            .unwrap_or_else(|| self.row_ns())
            .saturating_sub(larger.unwrap_or(0));
        Duration::from_nanos(saved_ns)
    }
}

fn size_of(rows: usize) -> usize {
    (rows.max(1).ilog2() as usize).min(SIZES - 1)
}

/// One run says little of the model: it may raise the mean, but not carry it away.
const fn moved(mean: u64, row_ns: u64) -> u64 {
    let most = mean.saturating_mul(4);
    let row_ns = if row_ns > most { most } else { row_ns };
    (mean * 7 + row_ns) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn a_row_saves_what_the_cheapest_larger_run_takes_less() {
        let costs = RowCosts::default();
        assert_eq!(costs.saved_in_a_larger_run(1), us(20), "nothing is known");
        costs.record(1, us(12));
        assert_eq!(costs.saved_in_a_larger_run(1), us(12));
        costs.record(9, us(9 * 4));
        costs.record(40, us(40 * 5));
        assert_eq!(costs.saved_in_a_larger_run(1), us(8));
        assert_eq!(
            costs.saved_in_a_larger_run(8),
            us(0),
            "larger runs are dearer"
        );
        assert_eq!(costs.saved_in_a_larger_run(40), us(5), "nothing is larger");
    }

    #[test]
    fn one_run_does_not_carry_the_mean_away() {
        let costs = RowCosts::default();
        costs.record(1, us(10));
        let mean_ns = costs.row_ns();
        costs.record(1, us(1_000_000));
        assert!(costs.row_ns() <= 2 * mean_ns);
        assert!(costs.saved_in_a_larger_run(1) <= us(20));
        for _ in 0..100 {
            costs.record(1, us(10));
        }
        assert_eq!(costs.expected_ns(3) / 1_000, 30);
    }

    #[test]
    fn a_run_of_any_size_is_known_by_its_size() {
        let costs = RowCosts::default();
        for rows in [0, 1, 128, usize::MAX] {
            costs.record(rows, us(1));
        }
        assert_eq!(size_of(127), 6);
        assert_eq!(size_of(usize::MAX), SIZES - 1);
    }
}
