//! The layers that architectures are built from.

mod expert;
mod gate;
mod level;
mod level_config;
mod levels;
mod tower;

pub(crate) use expert::ExpertConfig;
pub(crate) use level::Level;
pub(crate) use level_config::{ExpertSet, FeatureGateConfig, Gate, LevelConfig};
pub(crate) use levels::Levels;
pub(crate) use tower::Towers;
