//! Parameters of several experts, seen as one stack although each set of experts keeps its own variable.

use crate::cuda::{Address, Machine};
use crate::parameter::{Parameter, Values};
use candle_core::{Result, Tensor};
use std::ops::Range;

/// Parameters whose first dimensions together count experts: [experts of the first, ...], [experts of the second, ...].
///
/// A parameter of one dimension less stands for one expert, as a tower's [in, out] does.
#[derive(Debug, Clone)]
pub struct Stack {
    parameters: Vec<Parameter>,
    experts: Vec<usize>,
    expert_shape: Vec<usize>,
}

impl Stack {
    /// Stacks `parameters`, each [experts, expert_shape...] or [expert_shape...].
    ///
    /// # Errors
    /// A parameter of another shape.
    pub fn new(parameters: Vec<Parameter>, expert_shape: &[usize]) -> Result<Self> {
        let mut experts = Vec::with_capacity(parameters.len());
        for parameter in &parameters {
            let dims = parameter.tensor().dims();
            match dims.strip_suffix(expert_shape) {
                Some([]) => experts.push(1),
                Some([count]) => experts.push(*count),
                _ => candle_core::bail!(
                    "{}: expected [experts, {expert_shape:?}], found {dims:?}",
                    parameter.path()
                ),
            }
        }
        Ok(Self {
            parameters,
            experts,
            expert_shape: expert_shape.to_vec(),
        })
    }

    /// Number of experts.
    pub fn num_experts(&self) -> usize {
        self.experts.iter().sum()
    }

    /// Shape of one expert's part.
    pub fn expert_shape(&self) -> &[usize] {
        &self.expert_shape
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The whole stack as one tensor [experts, expert_shape...] of candle's graph.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn cat(&self) -> Result<Tensor> {
        let parts = self
            .parameters
            .iter()
            .zip(&self.experts)
            .map(|(parameter, experts)| {
                let mut shape = vec![*experts];
                shape.extend(&self.expert_shape);
                parameter.tensor().reshape(shape)
            })
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    /// Replaces the values by those of `stacked`, [experts, expert_shape...].
    pub(crate) fn set(&self, stacked: &Tensor) -> Result<()> {
        let mut start = 0;
        for (parameter, experts) in self.parameters.iter().zip(&self.experts) {
            let part = stacked.narrow(0, start, *experts)?;
            let part = part.reshape(parameter.tensor().shape())?.contiguous()?;
            parameter.var().set(&part.detach())?;
            start += experts;
        }
        Ok(())
    }

    /// Changes every value in place with the next of `others`, in the order of the whole stack; where that is none, it stays.
    pub(crate) fn update(
        &self,
        mut others: impl Iterator<Item = Option<f64>>,
        change: impl Fn(&mut f32, f64),
    ) -> Result<()> {
        for parameter in &self.parameters {
            parameter.update(|values| {
                for (value, other) in values.iter_mut().zip(&mut others) {
                    if let Some(other) = other {
                        change(value, other);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Whether the variable of each expert is frozen.
    pub(crate) fn are_frozen(&self) -> impl Iterator<Item = bool> {
        let counted = self.parameters.iter().zip(&self.experts);
        counted
            .flat_map(|(parameter, experts)| std::iter::repeat_n(parameter.is_frozen(), *experts))
    }

    fn expert_elements(&self) -> usize {
        self.expert_shape.iter().product()
    }

    /// Locks all values for reading.
    pub(crate) fn read(&self) -> Result<StackValues<'_>> {
        Ok(StackValues {
            values: self
                .parameters
                .iter()
                .map(Parameter::read)
                .collect::<Result<_>>()?,
            homes: self.homes(),
            expert_elements: self.expert_elements(),
        })
    }

    /// The experts of each parameter.
    pub(crate) fn expert_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.experts.iter().scan(0, |next, experts| {
            let start = *next;
            *next += experts;
            Some(start..*next)
        })
    }

    /// Where each expert's values are, given where each parameter's are.
    fn of_experts(&self, address: impl Fn(&Parameter) -> Result<Address>) -> Result<Vec<Address>> {
        let starts: Vec<Address> = self.parameters.iter().map(address).collect::<Result<_>>()?;
        let of = |(parameter, start): (usize, usize)| starts[parameter].offset(start);
        Ok(self.homes().into_iter().map(of).collect())
    }

    /// Where each expert's values are, to be read.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>> {
        self.of_experts(Parameter::address)
    }

    /// Where each expert's values are, to be written.
    pub(crate) fn addresses_mut(&self) -> Result<Vec<Address>> {
        self.of_experts(Parameter::address_mut)
    }

    /// Where each expert's part of the gradient is, and whether a program must add to it; see
    /// [`Parameter::gradient_address`].
    pub(crate) fn gradient_addresses(&self, machine: &Machine) -> Result<Vec<(Address, bool)>> {
        let starts: Vec<(Address, bool)> = self
            .parameters
            .iter()
            .map(|parameter| parameter.gradient_address(machine))
            .collect::<Result<_>>()?;
        let of = |(parameter, start): (usize, usize)| {
            let (address, add) = starts[parameter];
            (address.offset(start), add)
        };
        Ok(self.homes().into_iter().map(of).collect())
    }

    /// Per expert: which parameter holds it, and where it starts there.
    fn homes(&self) -> Vec<(usize, usize)> {
        let size = self.expert_elements();
        let of = |(index, experts): (usize, &usize)| (0..*experts).map(move |e| (index, e * size));
        self.experts.iter().enumerate().flat_map(of).collect()
    }

    /// Gives each parameter's gradient buffer, its first expert, and whether to add, to `write`.
    pub(crate) fn accumulate(&self, mut write: impl FnMut(&mut [f32], usize, bool)) {
        let mut first = 0;
        for (parameter, experts) in self.parameters.iter().zip(&self.experts) {
            parameter.accumulate(|gradient, add| write(gradient, first, add));
            first += experts;
        }
    }

    /// Adds `values`, laid out as the whole stack, to the gradients.
    pub(crate) fn accumulate_values(&self, values: &[f32]) {
        let size = self.expert_elements();
        self.accumulate(|gradient, first, add| {
            let part = &values[first * size..first * size + gradient.len()];
            crate::product::add_or_copy(gradient, part, add);
        });
    }
}

/// A stack locked for reading.
pub(crate) struct StackValues<'a> {
    values: Vec<Values<'a>>,
    homes: Vec<(usize, usize)>,
    expert_elements: usize,
}

impl StackValues<'_> {
    /// The values of one expert.
    pub(crate) fn expert(&self, expert: usize) -> &[f32] {
        let (parameter, start) = self.homes[expert];
        &self.values[parameter][start..start + self.expert_elements]
    }
}
