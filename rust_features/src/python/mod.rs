//! The `_features` extension module: translates arguments and decides nothing.

mod arrays;
mod compute;
mod compute_panel;
mod errors;
mod indicator;
mod panel;
mod spec;
mod trees;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _features(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "FeaturesError",
        module.py().get_type::<errors::FeaturesError>(),
    )?;
    module.add("SpecError", module.py().get_type::<errors::SpecError>())?;
    module.add("InputError", module.py().get_type::<errors::InputError>())?;
    module.add(
        "SnapshotError",
        module.py().get_type::<errors::SnapshotError>(),
    )?;
    module.add("ModelError", module.py().get_type::<errors::ModelError>())?;
    module.add_class::<spec::PyFeatureSpec>()?;
    module.add_class::<spec::PyPreset>()?;
    module.add_class::<indicator::PyIndicator>()?;
    module.add_class::<panel::PyPanel>()?;
    module.add_class::<trees::PyTreeScorer>()?;
    module.add_function(wrap_pyfunction!(spec::describe, module)?)?;
    module.add_function(wrap_pyfunction!(spec::kernel_registry, module)?)?;
    module.add_function(wrap_pyfunction!(spec::preset_names, module)?)?;
    module.add_function(wrap_pyfunction!(spec::presets, module)?)?;
    module.add_function(wrap_pyfunction!(
        compute_panel::compute_panel_columns,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(compute::compute_columns, module)?)
}
