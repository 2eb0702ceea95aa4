//! Fused operators for candle: forward, backward, and a composed reference of each.

mod composed;
pub mod cuda;
pub mod dropout;
pub mod feature_gate;
mod fresh;
pub mod gate;
pub mod loss;
pub mod mixture;
mod operator;
pub mod optimizer;
mod parameter;
mod product;
pub use homebench_random as random;
mod rows;
pub mod simd;
mod softmax;
mod stack;
pub mod stacked_mlp;

pub use parameter::{Parameter, Role};
pub use stack::Stack;
