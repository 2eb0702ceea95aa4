//! What can be wrong with a model.

/// A refused configuration, or a tensor operation that failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// No architecture has this name.
    #[error("unknown model `{name}`; expected one of: {}", .known.join(", "))]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names that exist.
        known: Vec<String>,
    },
    /// The architecture has no such knob.
    #[error("`{model}` has no knob `{knob}`; it has: {}", .known.join(", "))]
    UnknownKnob {
        /// The architecture.
        model: String,
        /// The name asked for.
        knob: String,
        /// Its knobs.
        known: Vec<String>,
    },
    /// A knob has a value that makes no model.
    #[error("{knob}: {message}")]
    InvalidKnob {
        /// Name of the knob, as in the spec.
        knob: String,
        /// What was expected and what was found.
        message: String,
    },
    /// The model would be larger than any that can be trained.
    #[error(
        "this would have at least {parameters} parameters, {:.1} GiB of 32-bit numbers; expected at most {most}",
        *parameters as f64 * 4.0 / f64::from(1 << 30)
    )]
    TooLarge {
        /// Numbers of the variables that were asked for before the limit was passed.
        parameters: u128,
        /// The limit.
        most: u128,
        /// The largest knob, which is to blame.
        knob: Option<String>,
    },
    /// The tasks and groups make no model.
    #[error("{message}")]
    InvalidLayout {
        /// What was expected and what was found.
        message: String,
    },
    /// Weights to load don't fit the model.
    #[error("weights: {message}")]
    InvalidWeights {
        /// The variable, what was expected and what was found.
        message: String,
    },
    /// A tensor operation failed.
    #[error("{message}")]
    Tensor {
        /// candle's words.
        message: String,
    },
}

impl From<candle_core::Error> for ModelError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor {
            // Its words alone: candle's type can be neither cloned nor compared, which callers and tests do with this one.
            message: error.to_string(),
        }
    }
}

impl ModelError {
    pub(crate) fn knob(knob: &str, message: impl Into<String>) -> Self {
        Self::InvalidKnob {
            knob: knob.to_string(),
            message: message.into(),
        }
    }
}
