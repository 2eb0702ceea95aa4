//! Fused operators for candle: forward, backward, and a composed reference of each.
//!
//! An operator is a folder or a file: `composed` is the definition, built from candle's own operators; `fused` gives the same in
//! fewer passes over memory; `cuda` has it for a GPU, behind the feature `cuda`. Tests compare all of them.
//!
//! May import: `random`, for dropout and initial embeddings. Must not hold: architectures, files, clocks, or a sum whose order
//! depends on the number of threads, since the same experiment has the same bytes on any of them.
// Tests compare with the platform's functions, which results must not depend on.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod composed;
pub use composed::{matmul, sigmoid, silu, softmax, spread, sum_of_rows};
pub mod cuda;
mod distillation;
pub mod dropout;
pub mod feature_gate;
pub mod gate;
pub mod grouped;
pub mod interaction;
mod layer_norm;
pub mod loss;
mod masked;
pub mod mixture;
mod operator;
pub mod optimizer;
mod parameter;
mod precision;
pub mod product;
pub use homebench_random as random;
mod rows;
mod saved;
mod selection;
mod several_passes;
pub mod simd;
mod softmax;
pub mod sparse;
mod stack;
pub mod stacked_mlp;
pub mod target_attention;

pub use distillation::{normalised_distance, normalised_distance_composed};
pub use layer_norm::{layer_norm, layer_norm_composed};
pub use masked::{masked, masked_composed};
pub use parameter::{Parameter, Role};
pub use precision::{Precision, precision, set_precision};
pub use several_passes::not_the_last_pass;
pub use stack::Stack;
