//! The layers that architectures are built from.

mod balance;
mod chained;
mod expert;
mod fusion;
mod gate;
mod level;
mod level_config;
mod levels;
mod partitioned_norm;
mod scenario_networks;
mod sparse_gates;
mod sparse_level;
mod star;
mod tower;

pub(crate) use balance::{BalanceConfig, gates_learn};
pub(crate) use chained::{Chains, logit_of_product};
pub(crate) use expert::{
    ExpertConfig, linear_maps, linear_maps_without_bias, plain_layers, plain_networks,
};
pub(crate) use fusion::Fusion;
pub(crate) use level::Level;
pub(crate) use level_config::{ExpertSet, FeatureGateConfig, Gate, LevelConfig, product_flops};
pub(crate) use levels::{Levels, find_own};
pub(crate) use partitioned_norm::PartitionedNorm;
pub(crate) use scenario_networks::ScenarioNetworks;
pub(crate) use sparse_gates::{SparseGates, linear, on_every_row, task_embeddings};
pub(crate) use sparse_level::{Encoder, SparseLevel, SparseParts};
pub(crate) use star::StarNetworks;
pub(crate) use tower::Towers;
