//! Star networks: `x (W * W_s) + b + b_s` of a row of scenario s, layer after layer, with W and b of all scenarios (STAR,
//! arXiv:2101.11427). A row of no known scenario has W and b alone.

use super::level_config::product_flops;
use crate::ModelError;
use crate::scenario::{ScenarioRows, repeated};
use crate::var_builder::{Init, VarBuilder};
use candle_core::{Result, Tensor};
use homebench_kernels::grouped::grouped_linear;
use homebench_kernels::stacked_mlp::Activation;
use homebench_kernels::{Parameter, silu};

/// A layer of one network.
struct StarMap {
    weight: Parameter,
    bias: Parameter,
    scenario_weight: Parameter,
    scenario_offset: Parameter,
}

impl StarMap {
    fn new(
        (inputs, outputs): (usize, usize),
        num_scenarios: usize,
        vb: &VarBuilder,
    ) -> std::result::Result<Self, ModelError> {
        let (init, count) = (Init::fan_in(inputs), num_scenarios);
        Ok(Self {
            weight: vb.get((inputs, outputs), "weight", init)?,
            bias: vb.get(outputs, "bias", init)?,
            // A fresh scenario changes nothing: all start from the shared network.
            scenario_weight: vb.get(
                (count, inputs, outputs),
                "scenario_weight",
                Init::Constant(1.0),
            )?,
            scenario_offset: vb.get((count, outputs), "scenario_offset", Init::Constant(0.0))?,
        })
    }

    /// Weights and biases by group, [scenarios + 1, in, out] and [scenarios + 1, out].
    fn by_group(&self) -> Result<(Tensor, Tensor)> {
        let (weight, bias) = (self.weight.tensor(), self.bias.tensor());
        let (own, offset) = (self.scenario_weight.tensor(), self.scenario_offset.tensor());
        let count = own.dim(0)?;
        let products = (repeated(weight, count)? * own)?;
        let sums = (repeated(bias, count)? + offset)?;
        Ok((
            Tensor::cat(&[weight.unsqueeze(0)?, products], 0)?,
            Tensor::cat(&[bias.unsqueeze(0)?, sums], 0)?,
        ))
    }
}

/// See the module.
pub(crate) struct StarNetworks {
    /// By layer, of every network.
    layers: Vec<Vec<StarMap>>,
    between: Activation,
    last: Activation,
    flops_per_row: usize,
}

impl StarNetworks {
    /// A network per builder, at `<layer>` below it: layers of these widths, with an activation between them and one after the last.
    pub(crate) fn new(
        dims: &[usize],
        (between, last): (Activation, Activation),
        networks: &[VarBuilder],
        num_scenarios: usize,
    ) -> std::result::Result<Self, ModelError> {
        let mut layers = Vec::with_capacity(dims.len().saturating_sub(1));
        for (index, widths) in dims.windows(2).enumerate() {
            let widths = (widths[0], widths[1]);
            let of = |vb: &VarBuilder| StarMap::new(widths, num_scenarios, &vb.pp(index));
            layers.push(
                networks
                    .iter()
                    .map(of)
                    .collect::<std::result::Result<_, _>>()?,
            );
        }
        Ok(Self {
            layers,
            between,
            last,
            // A row runs through the weights of its scenario; those are made once for a batch.
            flops_per_row: networks.len() * product_flops(dims),
        })
    }

    /// One network of one layer, at the builder's own path.
    pub(crate) fn one_layer(
        widths: (usize, usize),
        activation: Activation,
        vb: &VarBuilder,
        num_scenarios: usize,
    ) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            layers: vec![vec![StarMap::new(widths, num_scenarios, vb)?]],
            between: activation,
            last: activation,
            flops_per_row: product_flops(&[widths.0, widths.1]),
        })
    }

    /// # Shapes
    /// - xs: [networks, batch, in], or [1, batch, in] where all read the same
    /// - result: [networks, batch, out]
    pub(crate) fn forward(&self, xs: &Tensor, rows: &ScenarioRows) -> Result<Tensor> {
        let mut hidden = xs.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            let maps = layer.iter().map(StarMap::by_group);
            let (weights, biases): (Vec<_>, Vec<_>) =
                maps.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            let (weights, biases) = (Tensor::stack(&weights, 0)?, Tensor::stack(&biases, 0)?);
            let ys = grouped_linear(&hidden, &weights, &biases, &rows.groups)?;
            let activation = match index + 1 == self.layers.len() {
                true => self.last,
                false => self.between,
            };
            hidden = match activation {
                Activation::Identity => ys,
                Activation::Relu => ys.relu()?,
                Activation::Silu => silu(&ys)?,
            };
        }
        Ok(hidden)
    }

    pub(crate) fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
