//! One price for a bar: means of its four prices.

use crate::arguments::{ArgumentError, Arguments};
use crate::bar::Bar;
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::subnormal::{are_sums_of_subnormals, subnormal_share};
use crate::window::Finite;

/// Fills in the prices where all are subnormal, and tells whether that is so; of usual ones the first tells.
macro_rules! divide_near {
    ($span:ident, $prices:ident, |$bar:ident| $sum:expr, $count:literal) => {{
        const COUNT: f64 = $count as f64;
        let mut largest = 0;
        $span.bars($prices.len().min(1), |_, $bar| largest = f64::to_bits($sum));
        are_sums_of_subnormals(largest, COUNT) && {
            $span.bars($prices.len(), |at, $bar| {
                let sum: f64 = $sum;
                largest = largest.max(sum.to_bits());
                $prices[at] = subnormal_share(sum, COUNT, const { 1.0 / COUNT });
            });
            are_sums_of_subnormals(largest, COUNT)
        }
    }};
}

/// Declares a price of the current bar: name, summary, formula text, the columns that it reads and a function of the
/// bar, which is finite for no bar with another number in them; or that and what it is divided by.
macro_rules! prices {
    ($($kernel:ident, $name:literal, $summary:literal, $formula:literal, $columns:pat, |$bar:ident| $sum:expr $(, $count:literal)?;)+) => {
        $(
            #[doc = $summary]
            #[derive(Debug)]
            pub(crate) struct $kernel;

            impl Kernel for $kernel {
                type State = ();
                type Output = [f64; 2];
                const DESCRIPTION: Description = Description {
                    name: $name,
                    summary: $summary,
                    parameters: &[],
                    outputs: &[
                        output($name, $formula),
                        output("ratio", concat!("close / ", $name, " - 1; 0 when it is 0")),
                    ],
                    source: concat!("TA-Lib ", $name),
                };
                const CLASSIC_OUTPUTS: usize = 1;

                fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
                    Ok(Self)
                }

                fn warmup_bars(&self, _output: usize) -> usize {
                    0
                }

                #[inline(always)]
                fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
                    let $bar: &Bar = &frame.bar;
                    let price = $sum $(/ f64::from($count))?;
                    [price, super::simple_moving_average::ratio($bar.close, price)]
                }

                #[inline(always)]
                fn span_checks(&self, column: Column) -> bool {
                    matches!(column, $columns)
                }

                #[inline(always)]
                fn span(
                    &self,
                    (): &mut (),
                    _window: &mut [f64],
                    span: Span<'_>,
                    outputs: &mut [&mut [f64]],
                ) -> usize {
                    let [prices, ratios @ ..] = outputs else {
                        return 0;
                    };
                    let mut finite = Finite::default();
                    let is_done = false $(|| divide_near!(span, prices, |$bar| $sum, $count))?;
                    if !is_done {
                        span.bars(prices.len(), |at, $bar| {
                            prices[at] = $sum $(/ f64::from($count))?;
                            finite.look(prices[at]);
                        });
                    }
                    let mut bars = prices.len();
                    if !finite.all() {
                        // A price of large numbers may be infinite too.
                        let is_finite = |bar: &Bar| {
                            let numbers = [bar.open, bar.high, bar.low, bar.close, bar.volume];
                            let own = Column::ALL.into_iter().zip(numbers);
                            own.into_iter().all(|(column, number)| !self.span_checks(column) || number.is_finite())
                        };
                        let given = bars;
                        span.bars(given, |at, bar| {
                            if bars > at && !is_finite(bar) {
                                bars = at;
                            }
                        });
                    }
                    if let [ratios, ..] = ratios {
                        super::simple_moving_average::ratios(span.closes(bars), prices, ratios);
                    }
                    bars
                }
            }
        )+
    };
}

prices! {
    AvgPrice, "avgprice", "mean of a bar's four prices", "(open + high + low + close) / 4",
        Column::Open | Column::High | Column::Low | Column::Close, |bar|
        bar.high + bar.low + bar.close + bar.open, 4;
    MedPrice, "medprice", "middle of a bar's range", "(high + low) / 2",
        Column::High | Column::Low, |bar| bar.high.midpoint(bar.low);
    TypPrice, "typprice", "typical price of a bar", "(high + low + close) / 3",
        Column::High | Column::Low | Column::Close, |bar|
        bar.high + bar.low + bar.close, 3;
    WclPrice, "wclprice", "price of a bar that weighs the close twice", "(high + low + 2 close) / 4",
        Column::High | Column::Low | Column::Close, |bar|
        bar.high + bar.low + bar.close * 2.0, 4;
}
