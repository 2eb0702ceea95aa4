//! A network of each scenario: a row runs that of its own, and one of no known scenario has the mean of all.

use crate::ModelError;
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::Stack;
use homebench_kernels::sparse::{Choice, RouteBy, Routing, SparseMixture, Weighting};
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};

/// See the module.
pub(crate) struct ScenarioNetworks {
    mixture: SparseMixture,
}

impl ScenarioNetworks {
    /// Linear layers of these widths with ReLU between them, weights [scenarios, in, out] at `<layer>`.
    pub(crate) fn new(
        dims: &[usize],
        num_scenarios: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let layers = dims.windows(2).enumerate().map(|(index, widths)| {
            let activation = match index + 2 == dims.len() {
                true => Activation::Identity,
                false => Activation::Relu,
            };
            layer(
                (widths[0], widths[1]),
                activation,
                num_scenarios,
                &vb.pp(index),
            )
        });
        Self::of_layers(
            layers.collect::<std::result::Result<_, _>>()?,
            num_scenarios,
        )
    }

    /// One linear map each, at the builder's own path.
    pub(crate) fn linear(
        widths: (usize, usize),
        num_scenarios: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let layer = layer(widths, Activation::Identity, num_scenarios, vb)?;
        Self::of_layers(vec![layer], num_scenarios)
    }

    fn of_layers(
        layers: Vec<StackedLayer>,
        num_scenarios: usize,
    ) -> std::result::Result<Self, ModelError> {
        // A row's share of a network is what it is given, and what has none is not run.
        let routing = Routing {
            num_tasks: 1,
            num_experts: num_scenarios,
            choice: Choice::Nonzero,
            weighting: Weighting::Given,
        };
        let networks = StackedMlp::new(vec![0; num_scenarios], layers)?;
        Ok(Self {
            mixture: SparseMixture::new(networks, None, routing)?,
        })
    }

    /// # Shapes
    /// - xs: [batch, in]; shares: [batch, scenarios], see `ScenarioRows::shares`
    /// - result: [batch, out]
    pub(crate) fn forward_t(&self, xs: &Tensor, shares: &Tensor, train: bool) -> Result<Tensor> {
        let outputs = self
            .mixture
            .forward_t(xs, RouteBy::Logits(shares), None, train)?;
        outputs.squeeze(0)
    }
}

fn layer(
    (inputs, outputs): (usize, usize),
    activation: Activation,
    num_scenarios: usize,
    vb: &VarBuilder,
) -> std::result::Result<StackedLayer, ModelError> {
    let init = Init::fan_in(inputs);
    let weight = vb.get((num_scenarios, inputs, outputs), "weight", init)?;
    let bias = vb.get((num_scenarios, outputs), "bias", init)?;
    Ok(StackedLayer {
        weight: Stack::new(vec![weight], &[inputs, outputs])?,
        bias: Some(Stack::new(vec![bias], &[outputs])?),
        norm: Norm::None,
        activation,
    })
}
