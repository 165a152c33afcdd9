//! Rate of change, in the four forms that TA-Lib knows.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, TILE};
use crate::side_by_side::{Memories, SideBySide};
use crate::subnormal::{
    Arithmetic, Careful, Lifted, Plain, all_near, all_subnormal, each_near, lift_subnormal,
};
use crate::window::Finite;

/// One kernel of the family: how it relates the value to the old one.
macro_rules! change_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $formula:literal, $source:literal, $relate:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel {
            period: usize,
            column: Column,
        }

        impl Kernel for $kernel {
            type State = ();
            type Output = [f64; 1];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $summary,
                parameters: &[
                    Parameter::period("timeperiod", "bars between the two values", 10, 1),
                    Parameter::column("close"),
                ],
                outputs: &[output($name, $formula)],
                source: $source,
            };

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self {
                    period: arguments.count("timeperiod")?,
                    column: arguments.column()?,
                })
            }

            fn lookback(&self) -> Lookback {
                Lookback::of(self.column, self.period + 1)
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                self.period
            }

            const SIDE_BY_SIDE: bool = true;

            #[inline(always)]
            fn side_by_side(
                &self,
                _memories: &mut Memories<'_>,
                newest: &SideBySide<'_>,
                outputs: &mut [Row],
            ) -> bool {
                type Way = Plain;
                let (Some([olds, .., values]), [changes]) =
                    (newest.last(self.column, self.period + 1), outputs)
                else {
                    return false;
                };
                changes_by(&mut changes.0, &values.0, &olds.0, |value| value, $relate);
                true
            }

            #[inline(always)]
            fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
                type Way = Careful;
                let relate: fn(f64, f64) -> f64 = $relate;
                match frame.last(self.column, self.period + 1) {
                    Some([old, ..]) if *old != 0.0 => [relate(frame.current(self.column), *old)],
                    Some(_) => [0.0],
                    None => [f64::NAN],
                }
            }

            #[inline(always)]
            fn span_checks(&self, column: Column) -> bool {
                column == self.column
            }

            #[inline(always)]
            fn span(
                &self,
                (): &mut (),
                _window: &mut [f64],
                span: Span<'_>,
                outputs: &mut [&mut [f64]],
            ) -> usize {
                let (Some(windows), [changes]) = (span.sources(self.period + 1), outputs) else {
                    return 0;
                };
                let mut taken = 0;
                for changes in changes.chunks_mut(TILE) {
                    let numbers = &windows[taken..][..changes.len() + self.period];
                    let (olds, values) = (&numbers[..changes.len()], &numbers[self.period..]);
                    let finite = if all_subnormal(numbers) {
                        type Way = Plain;
                        changes_by(changes, values, olds, lift_subnormal, $relate)
                    } else if all_near(olds) && each_near(values) {
                        type Way = Lifted;
                        changes_by(changes, values, olds, |value| value, $relate)
                    } else {
                        type Way = Plain;
                        changes_by(changes, values, olds, |value| value, $relate)
                    };
                    if !finite {
                        break;
                    }
                    taken += changes.len();
                }
                taken
            }
        }
    };
}

/// Relates each value to the old one, both as `change` has them, 0 when that is 0; false when a value is not finite.
#[inline(always)]
fn changes_by(
    changes: &mut [f64],
    values: &[f64],
    olds: &[f64],
    change: impl Fn(f64) -> f64,
    relate: impl Fn(f64, f64) -> f64,
) -> bool {
    let bars = changes.len();
    let (values, olds) = (&values[..bars], &olds[..bars]);
    let mut finite = Finite::default();
    for (at, cell) in changes.iter_mut().enumerate() {
        finite.look(values[at]);
        *cell = if olds[at] == 0.0 {
            0.0
        } else {
            relate(change(values[at]), change(olds[at]))
        };
    }
    finite.all()
}

change_kernel!(
    /// Change over some bars in percent.
    Roc,
    "roc",
    "rate of change",
    "(value / value timeperiod bars ago - 1) * 100; 0 when the old value is 0",
    "TA-Lib ROC",
    |value, old| (Way::quotient(value, old) - 1.0) * 100.0
);
change_kernel!(
    /// Change over some bars as a fraction.
    Rocp,
    "rocp",
    "rate of change as a fraction",
    "(value - old) / old with old = value timeperiod bars ago; 0 when old is 0",
    "TA-Lib ROCP",
    |value, old| Way::quotient(value - old, old)
);
change_kernel!(
    /// Quotient over some bars.
    Rocr,
    "rocr",
    "rate of change as a quotient",
    "value / value timeperiod bars ago; 0 when the old value is 0",
    "TA-Lib ROCR",
    Way::quotient
);
change_kernel!(
    /// Quotient over some bars, times a hundred.
    Rocr100,
    "rocr100",
    "rate of change as a quotient in percent",
    "value / value timeperiod bars ago * 100; 0 when the old value is 0",
    "TA-Lib ROCR100",
    |value, old| Way::quotient(value, old) * 100.0
);
