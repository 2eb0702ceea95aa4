//! The layers that architectures are built from.

mod balance;
mod expert;
mod gate;
mod level;
mod level_config;
mod levels;
mod sparse_gates;
mod sparse_level;
mod tower;

pub(crate) use balance::BalanceConfig;
pub(crate) use expert::{ExpertConfig, linear_maps, plain_layers, plain_networks};
pub(crate) use level::Level;
pub(crate) use level_config::{ExpertSet, FeatureGateConfig, Gate, LevelConfig, product_flops};
pub(crate) use levels::Levels;
pub(crate) use sparse_gates::{SparseGates, linear, on_every_row, task_embeddings};
pub(crate) use sparse_level::SparseLevel;
pub(crate) use tower::Towers;
