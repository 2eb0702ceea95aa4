//! Multi-task mixture-of-experts rankers on candle: layers, experts, gates, towers; one file per architecture.
//!
//! A model is a [`Ranker`]: inputs [batch, input_dim] in, one logit per task out. [`ModelConfig`] names an architecture and
//! its knobs, [`VarBuilder`] makes or loads its variables, [`registry`] lists what there is. Nothing here reads files or
//! clocks or keeps global state.
//!
//! May import: `kernels`, `random`. Must not hold: training, data, anything that reads a tensor back in a forward pass, or a name of a
//! task or variant that means something.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use homebench_model::{BuildContext, InputColumns, ModelConfig, TaskGroup, TaskLayout, VarBuilder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let group = |name: &str, tasks: &[usize]| TaskGroup { name: name.into(), tasks: tasks.into() };
//! let layout = TaskLayout {
//!     tasks: vec!["click".into(), "long_view".into(), "like".into()],
//!     groups: vec![group("watch", &[0, 1]), group("interaction", &[2])],
//! };
//! let context = BuildContext { layout: &layout, input_dim: 16, num_embedded: 0, input_per_task: false, columns: InputColumns::default(), after: &[] };
//! let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
//! let home = ModelConfig::from_table("home", &"rank = 4".parse()?)?.build(&context, &vb)?;
//!
//! let xs = Tensor::ones((8, 16), DType::F32, &Device::Cpu)?;
//! assert_eq!(home.forward_t(&xs, false, None)?.dims(), [8, 3]);
//! # Ok(())
//! # }
//! ```

mod architectures;
mod bottoms;
mod chain;
mod error;
mod features;
mod input;
mod knobs;
mod layers;
mod layout;
mod part;
mod ranker;
mod registry;
mod scenario;
mod tap;
mod var_builder;
mod variables;

pub use bottoms::{BottomEntry, bottoms};
pub use error::ModelError;
pub use features::{
    AttendingList, Attention, FeatureDims, FeatureTable, Ids, InputColumns, InputFeature, Tables,
};
pub use input::{EmbeddedInput, TargetAttention, table_paths, table_shapes};
pub use knobs::{Knob, KnobKind, Knobs};
pub use layout::{Owner, TaskGroup, TaskLayout};
pub use part::{Part, PartKind};
pub use ranker::{
    AuxiliaryLoss, BuildContext, ExpertTrace, FirstPrediction, GateKind, GateTrace, NoiseSource,
    Ranker, Representation, StepOutput, Trace, TrainingPass,
};
pub use registry::{ModelConfig, ModelEntry, PROGRAM, PROGRAM_KEYS, PROGRAM_SCRIPTS, registry};
pub use scenario::{MOST_SCENARIOS, RowScenarios};
pub use tap::{FeatureTap, TaskFeatures};
pub use var_builder::{Init, MOST_PARAMETERS, VarBuilder};
pub use variables::Variables;
