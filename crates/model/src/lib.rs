//! Multi-task mixture-of-experts rankers on candle: layers, experts, gates, towers; one file per architecture.
//!
//! A model is a [`Ranker`]: inputs [batch, input_dim] in, one logit per task out. [`ModelConfig`] names an architecture and
//! its knobs, [`VarBuilder`] makes or loads its variables, [`registry`] lists what there is. Nothing here reads files or
//! clocks or keeps global state.

mod architectures;
mod error;
mod input;
mod knobs;
mod layers;
mod layout;
mod part;
mod ranker;
mod registry;
mod variables;

pub use error::ModelError;
pub use input::{EmbeddedInput, FeatureDims, Ids, Tables};
pub use knobs::{Knob, KnobKind, Knobs};
pub use layout::{Owner, TaskGroup, TaskLayout};
pub use part::{Part, PartKind};
pub use ranker::{BuildContext, ExpertTrace, GateKind, GateTrace, Ranker, Trace};
pub use registry::{ModelConfig, ModelEntry, registry};
pub use variables::{Init, VarBuilder, Variables};
