//! The custom operator that ONNX Runtime calls for a rewritten node.

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{PrimitiveTensorElementType, TensorElementType};

use crate::rewrite::{AnyEvaluator, CompiledNode, OPERATOR_DOMAIN};
use crate::{Evaluator, Output, Scalar, Scratch};

/// The operators of a rewritten model, for [`SessionBuilder::with_operators`].
///
/// [`SessionBuilder::with_operators`]: ort::session::builder::SessionBuilder::with_operators
///
/// # Errors
///
/// Whatever ONNX Runtime says against the registration.
pub fn operator_domain(operators: &[CompiledNode]) -> ort::Result<OperatorDomain> {
    let mut domain = OperatorDomain::new(OPERATOR_DOMAIN)?;
    for node in operators {
        let node = node.clone();
        domain = match &node.evaluator {
            AnyEvaluator::F32(evaluator) => {
                let evaluator = Arc::clone(evaluator);
                domain.add(TreeOperator::<f32, f32> {
                    node,
                    evaluator,
                    output: std::marker::PhantomData,
                })?
            }
            AnyEvaluator::F64(evaluator) if node.scores_are_double => {
                let evaluator = Arc::clone(evaluator);
                domain.add(TreeOperator::<f64, f64> {
                    node,
                    evaluator,
                    output: std::marker::PhantomData,
                })?
            }
            AnyEvaluator::F64(evaluator) => {
                let evaluator = Arc::clone(evaluator);
                domain.add(TreeOperator::<f64, f32> {
                    node,
                    evaluator,
                    output: std::marker::PhantomData,
                })?
            }
        };
    }
    Ok(domain)
}

/// One node's operator: `T` goes in, `O` comes out.
struct TreeOperator<T: Scalar, O: Output> {
    node: CompiledNode,
    evaluator: Arc<Evaluator<T>>,
    output: std::marker::PhantomData<O>,
}

impl<T: Scalar + TensorNumber, O: Output + TensorNumber> Operator for TreeOperator<T, O> {
    type Kernel<'attr> = TreeKernel<T, O>;

    fn name(&self) -> &str {
        &self.node.operator
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(T::into_tensor_element_type())]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let scores = OperatorOutput::required(O::into_tensor_element_type());
        if self.node.gives_labels {
            vec![OperatorOutput::required(TensorElementType::Int64), scores]
        } else {
            vec![scores]
        }
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        Ok(TreeKernel {
            evaluator: Arc::clone(&self.evaluator),
            scratch: Scratch::default(),
            gives_labels: self.node.gives_labels,
            output: std::marker::PhantomData,
        })
    }
}

/// A tensor's element type that both sides know.
trait TensorNumber: PrimitiveTensorElementType + std::fmt::Debug + Clone {}
impl TensorNumber for f32 {}
impl TensorNumber for f64 {}

/// One session's use of an evaluator.
struct TreeKernel<T: Scalar, O: Output> {
    evaluator: Arc<Evaluator<T>>,
    scratch: Scratch<T>,
    gives_labels: bool,
    output: std::marker::PhantomData<O>,
}

impl<T: Scalar + TensorNumber, O: Output + TensorNumber> Kernel for TreeKernel<T, O> {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("tree kernel: a required input or output is missing");
        let input = context.input(0)?.ok_or_else(missing)?;
        let (shape, rows) = input.try_extract_tensor::<T>()?;
        let (count, columns) = match shape[..] {
            [columns] => (1, columns),
            [count, columns] => (count, columns),
            _ => {
                return Err(ort::Error::new(format!(
                    "tree kernel: features: needs 1 or 2 dimensions, got {shape:?}"
                )));
            }
        };
        let targets = self.evaluator.ensemble().targets as i64;
        let mut labels = if self.gives_labels {
            context.output(0, [count])?
        } else {
            None
        };
        let mut scores = context
            .output(usize::from(self.gives_labels), [count, targets])?
            .ok_or_else(missing)?;
        let (_, scores) = scores.try_extract_tensor_mut::<O>()?;
        let labels = match &mut labels {
            Some(labels) => Some(labels.try_extract_tensor_mut::<i64>()?.1),
            None => None,
        };
        let columns = usize::try_from(columns).unwrap_or_default();
        self.evaluator
            .run(rows, columns, &mut self.scratch, scores, labels)
            .map_err(|error| ort::Error::new(format!("tree kernel: {error}")))
    }
}
