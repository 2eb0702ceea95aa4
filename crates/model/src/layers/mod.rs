//! The layers that architectures are built from.

mod expert;
mod gate;
mod level;
mod levels;
mod tower;

pub(crate) use expert::ExpertConfig;
pub(crate) use level::{ExpertSet, FeatureGateConfig, Gate, Level, LevelConfig};
pub(crate) use levels::Levels;
pub(crate) use tower::Towers;
