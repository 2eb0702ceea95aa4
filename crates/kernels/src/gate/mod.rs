//! Gates: what each reads ([`GateLogits`]) and how its weights mix the experts that it sees ([`Mix`]).
//!
//! All gates of a layer are two operators: one product per input for every gate's logits, and one pass that turns logits
//! into weights and sums experts.

mod logits;
mod mix;
mod passes;

pub(crate) use logits::InputGradient;
pub use logits::{GateLogits, LinearGate};
pub use mix::{GateActivation, Mix, MixGate, MixPasses};
