//! Streaming technical indicators: one step per bar, the same bits online and offline.
//!
//! A [`FeatureSpec`] names features; [`compute`] gives them for a whole history, a [`Series`] for one symbol bar by
//! bar, a [`Panel`] for many symbols at once, and an [`OrderedSeries`] when bars come late, twice or corrected. All
//! four run the same [`Kernel::step`] over the same values in the same order, so their results agree bit for bit.
//!
//! ```
//! use candlewire_features::{Bar, FeatureSpec, Series};
//!
//! let spec = FeatureSpec::from_json(
//!     r#"{"features": [{"name": "rsi_3", "kernel": "rsi", "parameters": {"timeperiod": 3}}]}"#,
//! )?;
//! assert_eq!(spec.warmup_bars(), 3);
//! let mut series = Series::new(&spec);
//! let mut features = [0.0];
//! for (minute, close) in [100.0, 101.0, 100.5, 102.0].into_iter().enumerate() {
//!     let open_time_ns = minute as i64 * 60_000_000_000;
//!     let bar = Bar { open_time_ns, open: close, high: close, low: close, close, volume: 10.0 };
//!     series.update(&bar, &mut features)?;
//! }
//! assert!((features[0] - 100.0 * 2.5 / 3.0).abs() < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::inline_always,
    reason = "a step must dissolve into its loop, which keeps the state in registers; see `runner`"
)]

mod across;
mod arguments;
mod bar;
mod batch;
mod compute_panel;
mod describe;
mod frame;
mod gap_policy;
mod history;
mod indicator;
mod instructions;
mod kernel;
mod kernels;
mod known_length;
mod lanes;
mod late_bars;
mod logarithm;
mod moments;
mod moments_of_each;
mod nearest;
mod neighbouring_extremes;
mod neighbouring_filters;
mod neighbouring_means;
mod neighbouring_pairs;
mod neighbours;
mod newest;
mod output;
mod panel;
mod plan;
mod presets;
#[cfg(feature = "python")]
mod python;
mod read_through;
mod rings;
mod rolling_moments;
mod runner;
mod sample;
mod series;
mod shards;
mod side_by_side;
mod snapshot;
mod spec;
mod spec_error;
mod state;
mod streams;
mod subnormal;
mod subnormal_blocks;
mod subnormal_windows;
mod tile_memories;
mod tile_step;
mod tiled;
mod timeframe;
mod trailing;
mod window;

pub use across::KERNELS as PANEL_KERNELS;
pub use arguments::{Argument, ArgumentError, Arguments, LONGEST_PERIOD, Parameter, ParameterKind};
pub use bar::{Bar, BarStatus, InvalidBar};
pub use batch::{ComputeError, compute, compute_columns};
pub use compute_panel::compute_panel;
pub use describe::{describe, kernel_registry};
pub use frame::{Block, Column, Columns, Frame, Lookback, Span};
pub use indicator::{Cell, Indicator, IndicatorError};
pub use kernel::{Description, Kernel, OutputDescription, Values, output};
pub use kernels::all as kernels;
pub use late_bars::{BarFate, OrderedSeries};
pub use neighbours::Row;
pub use panel::{Panel, PanelError};
pub use presets::{Preset, preset_names, presets};
pub use runner::Entry;
pub use series::{Series, UpdateError};
pub use side_by_side::SideBySide;
pub use snapshot::{SnapshotError, VERSION as SNAPSHOT_VERSION};
pub use spec::{
    Feature, FeatureRequest, FeatureSpec, FeatureSpecHash, GapPolicy, MOST_FEATURES,
    MOST_SERIES_BYTES, SpecError, SpecOptions,
};
pub use state::{State, Words, WordsMut};
pub use timeframe::{Resampler, Timeframe};
