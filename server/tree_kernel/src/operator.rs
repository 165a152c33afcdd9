//! The custom operator that ONNX Runtime calls for a rewritten node.

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{PrimitiveTensorElementType, TensorElementType};

use crate::rewrite::{AnyEvaluator, CompiledNode, OPERATOR_DOMAIN};
use crate::tensor_access::{self, Input, TensorNumber};
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

impl<T, O> Operator for TreeOperator<T, O>
where
    T: Scalar + TensorNumber + PrimitiveTensorElementType,
    O: Output + TensorNumber + PrimitiveTensorElementType,
{
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

/// One session's use of an evaluator.
struct TreeKernel<T: Scalar, O: Output> {
    evaluator: Arc<Evaluator<T>>,
    scratch: Scratch<T>,
    gives_labels: bool,
    output: std::marker::PhantomData<O>,
}

impl<T: Scalar + TensorNumber, O: Output + TensorNumber> Kernel for TreeKernel<T, O> {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let Input {
            values,
            rows,
            columns,
        } = tensor_access::input::<T>(context)?;
        let targets = self.evaluator.ensemble().targets;
        let outputs = tensor_access::outputs::<O>(context, self.gives_labels, rows, targets)?;
        self.evaluator
            .run(
                values,
                columns,
                &mut self.scratch,
                outputs.scores,
                outputs.labels,
            )
            .map_err(|error| ort::Error::new(format!("tree kernel: {error}")))
    }
}
