//! The layers that architectures are built from.

mod balance;
mod chained;
mod expert;
mod gate;
mod level;
mod level_config;
mod levels;
mod sparse_gates;
mod sparse_level;
mod tower;

pub(crate) use balance::{BalanceConfig, gates_learn};
pub(crate) use chained::{Chains, logit_of_product};
pub(crate) use expert::{
    ExpertConfig, linear_maps, linear_maps_without_bias, plain_layers, plain_networks,
};
pub(crate) use level::Level;
pub(crate) use level_config::{ExpertSet, FeatureGateConfig, Gate, LevelConfig, product_flops};
pub(crate) use levels::{Levels, find_own};
pub(crate) use sparse_gates::{SparseGates, linear, on_every_row, task_embeddings};
pub(crate) use sparse_level::{Encoder, SparseLevel, SparseParts};
pub(crate) use tower::Towers;
