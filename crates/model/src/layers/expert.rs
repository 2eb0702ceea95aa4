//! Experts: `activation(norm(x W + b))`, layer after layer (HoME, arXiv:2408.05430, "expert normalization & Swish"; plain
//! experts have no norm and ReLU).
//!
//! Deviation: before batch norm there is no `b`, which batch norm would cancel.

use super::level_config::product_flops;
use crate::ModelError;
use crate::knobs::Knobs;
use crate::var_builder::{Init, VarBuilder};
use homebench_kernels::Stack;
use homebench_kernels::stacked_mlp::{Activation, Norm, StackedLayer, StackedMlp};

/// What experts normalise by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NormKind {
    None,
    Batch,
    Layer,
}

/// Widths, norm and activation of experts.
#[derive(Debug, Clone)]
pub(crate) struct ExpertConfig {
    dims: Vec<usize>,
    norm: NormKind,
    norm_output_only: bool,
    activation: Activation,
}

impl ExpertConfig {
    pub(crate) fn from_knobs(knobs: &Knobs) -> Self {
        Self {
            dims: knobs.widths("expert_dims"),
            norm: match knobs.choice("norm") {
                "batch" => NormKind::Batch,
                "layer" => NormKind::Layer,
                _ => NormKind::None,
            },
            norm_output_only: knobs.choice("norm_position") == "output",
            activation: match knobs.choice("activation") {
                "silu" => Activation::Silu,
                _ => Activation::Relu,
            },
        }
    }

    /// The same with other widths.
    pub(crate) fn with_dims(&self, dims: &[usize]) -> Self {
        Self {
            dims: dims.to_vec(),
            ..self.clone()
        }
    }

    /// The layer of this index by itself, for experts between whose layers something happens.
    pub(crate) fn layer(&self, index: usize) -> Self {
        let is_normalised = !self.norm_output_only || index + 1 == self.dims.len();
        Self {
            dims: vec![self.dims[index]],
            norm: if is_normalised {
                self.norm
            } else {
                NormKind::None
            },
            ..self.clone()
        }
    }

    /// Widths of the layers.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Width of an expert's output.
    pub(crate) fn output_dim(&self) -> usize {
        self.dims.last().copied().unwrap_or(0)
    }

    /// FLOPs of one expert's products for one row.
    pub(crate) fn flops_per_row(&self, input_dim: usize) -> usize {
        product_flops(&[&[input_dim], self.dims.as_slice()].concat())
    }

    /// Experts of several sets as one operator: `sets` holds each set's builder and number of experts, `sources` the input
    /// of each expert.
    pub(crate) fn build(
        &self,
        input_dim: usize,
        sets: &[(VarBuilder, usize)],
        sources: Vec<usize>,
    ) -> Result<StackedMlp, ModelError> {
        let mut layers = Vec::with_capacity(self.dims.len());
        let mut inputs = input_dim;
        for (index, outputs) in self.dims.iter().enumerate() {
            layers.push(self.build_layer(index, inputs, *outputs, sets)?);
            inputs = *outputs;
        }
        Ok(StackedMlp::new(sources, layers)?)
    }

    fn build_layer(
        &self,
        index: usize,
        inputs: usize,
        outputs: usize,
        sets: &[(VarBuilder, usize)],
    ) -> Result<StackedLayer, ModelError> {
        // `norm_position = "output"` keeps the norm where gates see it: collapse is about the scale of what experts give.
        let normalised = !self.norm_output_only || index + 1 == self.dims.len();
        let norm = if normalised {
            self.norm
        } else {
            NormKind::None
        };
        let maker = StackMaker { index, sets };
        let stack = |shape: &[usize], name: &str, init: Init| maker.trained(shape, name, init);
        let statistic = |name: &str, value: f32| maker.statistic(outputs, name, value);
        // A fresh norm changes nothing but mean and deviation, and its running statistics are those of normalised units.
        let scale = || stack(&[outputs], "norm.weight", Init::Constant(1.0));
        let shift = || stack(&[outputs], "norm.bias", Init::Constant(0.0));
        Ok(StackedLayer {
            weight: stack(&[inputs, outputs], "weight", Init::fan_in(inputs))?,
            bias: match norm {
                // Batch norm takes the column's mean away, and with it any bias: it would be a variable without a gradient.
                NormKind::Batch => None,
                _ => Some(stack(&[outputs], "bias", Init::fan_in(inputs))?),
            },
            norm: match norm {
                NormKind::None => Norm::None,
                NormKind::Layer => Norm::Layer {
                    scale: scale()?,
                    shift: shift()?,
                },
                NormKind::Batch => Norm::Batch {
                    scale: scale()?,
                    shift: shift()?,
                    running_mean: statistic("norm.running_mean", 0.0)?,
                    running_variance: statistic("norm.running_var", 1.0)?,
                },
            },
            activation: self.activation,
        })
    }
}

/// Makes a layer's variables, one a set, [experts, ...].
struct StackMaker<'a> {
    index: usize,
    sets: &'a [(VarBuilder, usize)],
}

impl StackMaker<'_> {
    fn trained(&self, shape: &[usize], name: &str, init: Init) -> Result<Stack, ModelError> {
        // A variable holds a whole set: the number of experts is in its shape and not in paths, so that reordering or
        // counting experts renames nothing.
        let of_set = |(vb, experts): &(VarBuilder, usize)| {
            vb.pp(self.index)
                .get([&[*experts], shape].concat(), name, init)
        };
        let parameters = self.sets.iter().map(of_set).collect::<Result<_, _>>()?;
        Ok(Stack::new(parameters, shape)?)
    }

    fn statistic(&self, width: usize, name: &str, value: f32) -> Result<Stack, ModelError> {
        let of_set = |(vb, experts): &(VarBuilder, usize)| {
            vb.pp(self.index)
                .statistic((*experts, width), name, Init::Constant(value))
        };
        let parameters = self.sets.iter().map(of_set).collect::<Result<_, _>>()?;
        Ok(Stack::new(parameters, &[width])?)
    }
}

/// A linear map per builder, at the builder's own path; map i reads input `sources[i]`.
pub(crate) fn linear_maps(
    inputs: usize,
    outputs: usize,
    maps: &[VarBuilder],
    sources: Vec<usize>,
) -> Result<StackedMlp, ModelError> {
    let init = Init::fan_in(inputs);
    let biases = maps.iter().map(|vb| vb.get(outputs, "bias", init));
    let biases = Stack::new(biases.collect::<Result<_, _>>()?, &[outputs])?;
    let layer = StackedLayer {
        bias: Some(biases),
        ..map_layer(inputs, outputs, maps)?
    };
    Ok(StackedMlp::new(sources, vec![layer])?)
}

/// The same without biases.
pub(crate) fn linear_maps_without_bias(
    inputs: usize,
    outputs: usize,
    maps: &[VarBuilder],
    sources: Vec<usize>,
) -> Result<StackedMlp, ModelError> {
    let layer = map_layer(inputs, outputs, maps)?;
    Ok(StackedMlp::new(sources, vec![layer])?)
}

fn map_layer(
    inputs: usize,
    outputs: usize,
    maps: &[VarBuilder],
) -> Result<StackedLayer, ModelError> {
    let init = Init::fan_in(inputs);
    let weights = maps
        .iter()
        .map(|vb| vb.get((inputs, outputs), "weight", init));
    Ok(StackedLayer {
        weight: Stack::new(weights.collect::<Result<_, _>>()?, &[inputs, outputs])?,
        bias: None,
        norm: Norm::None,
        activation: Activation::Identity,
    })
}

/// A network of linear layers with `activation` between them, and nothing after the last, per builder. Network i reads input i.
pub(crate) fn plain_layers(
    dims: &[usize],
    activation: Activation,
    networks: &[VarBuilder],
) -> Result<StackedMlp, ModelError> {
    let sources = (0..networks.len()).collect();
    stacked(dims, networks, sources, |is_last| match is_last {
        true => Activation::Identity,
        false => activation,
    })
}

/// A network of linear layers with ReLU between them and after the last where `relu_last`, per builder: towers, and
/// the layers before gates. Network i reads input `sources[i]`.
pub(crate) fn plain_networks(
    dims: &[usize],
    relu_last: bool,
    networks: &[VarBuilder],
    sources: Vec<usize>,
) -> Result<StackedMlp, ModelError> {
    // Nothing after a logit; ReLU after the layer before a gate's linear map, which would else fold into it.
    stacked(dims, networks, sources, |is_last| {
        match is_last && !relu_last {
            true => Activation::Identity,
            false => Activation::Relu,
        }
    })
}

fn stacked(
    dims: &[usize],
    networks: &[VarBuilder],
    sources: Vec<usize>,
    activation: impl Fn(bool) -> Activation,
) -> Result<StackedMlp, ModelError> {
    let mut layers = Vec::with_capacity(dims.len().saturating_sub(1));
    for (index, widths) in dims.windows(2).enumerate() {
        let (inputs, outputs) = (widths[0], widths[1]);
        // A tower's or gate's network is its owner's alone, so its weights have no dimension of experts.
        let init = Init::fan_in(inputs);
        let weights = networks
            .iter()
            .map(|vb| vb.pp(index).get((inputs, outputs), "weight", init));
        let biases = networks
            .iter()
            .map(|vb| vb.pp(index).get(outputs, "bias", init));
        layers.push(StackedLayer {
            weight: Stack::new(weights.collect::<Result<_, _>>()?, &[inputs, outputs])?,
            bias: Some(Stack::new(biases.collect::<Result<_, _>>()?, &[outputs])?),
            norm: Norm::None,
            activation: activation(index + 2 == dims.len()),
        });
    }
    Ok(StackedMlp::new(sources, layers)?)
}
