//! Every kernel, one file each, grouped by what it measures.

use crate::runner::Entry;

/// Declares the files of one group and the kernels in each: the one line that a new kernel needs.
macro_rules! kernel_files {
    ($($file:ident: [$($kernel:ident),+ $(,)?]),+ $(,)?) => {
        $(pub(crate) mod $file;)+
        pub(super) const KERNELS: &[$crate::runner::Entry] =
            &[$($($crate::runner::Entry::of::<$file::$kernel>()),+),+];
    };
}
use kernel_files;

mod momentum;
mod pattern;
mod regime;
mod session;
mod statistics;
mod trend;
mod volatility;
mod volume;

const GROUPS: &[&[Entry]] = &[
    momentum::KERNELS,
    pattern::KERNELS,
    regime::KERNELS,
    session::KERNELS,
    statistics::KERNELS,
    trend::KERNELS,
    volatility::KERNELS,
    volume::KERNELS,
];

/// Every kernel a spec can name.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    GROUPS.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_within_their_scope() {
        let mut kernels = BTreeSet::new();
        for entry in super::all() {
            let description = entry.description;
            assert!(
                kernels.insert(description.name),
                "two kernels are called {}",
                description.name
            );
            let outputs: BTreeSet<_> = description
                .outputs
                .iter()
                .map(|output| output.name)
                .collect();
            assert_eq!(
                outputs.len(),
                description.outputs.len(),
                "outputs of {}",
                description.name
            );
            let parameters: BTreeSet<_> = description.parameters.iter().map(|p| p.name).collect();
            assert_eq!(
                parameters.len(),
                description.parameters.len(),
                "parameters of {}",
                description.name
            );
        }
        assert!(kernels.len() > 10, "the registry is empty");
    }
}
