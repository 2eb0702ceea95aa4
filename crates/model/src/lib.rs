//! Multi-task mixture-of-experts rankers on candle: layers, experts, gates, towers; one file per architecture.

/// Tasks and their groups, as a model sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLayout {
    /// Task names, in the order of the logits.
    pub tasks: Vec<String>,
    /// Groups in order.
    pub groups: Vec<TaskGroup>,
}

/// A task group: the HoME paper's category.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGroup {
    /// Name of the group.
    pub name: String,
    /// Indices into [`TaskLayout::tasks`].
    pub tasks: Vec<usize>,
}

/// A refused configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// No architecture has this name.
    #[error("unknown model `{name}`; expected one of: {}", .known.join(", "))]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names that exist.
        known: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
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
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// A knob has a value that makes no model.
    #[error("{knob}: {message}")]
    InvalidKnob {
        /// Name of the knob, as in the spec.
        knob: String,
        /// What was expected and what was found.
        message: String,
    },
}

/// An architecture with its knobs resolved: defaults filled in, every value checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Name in the registry.
    pub name: &'static str,
    knobs: toml::Table,
}

impl ModelConfig {
    /// Resolves `knobs` (without the key `model`) for the architecture `name`.
    ///
    /// # Errors
    /// An unknown architecture or knob, or a value that makes no model.
    pub fn from_table(_name: &str, _knobs: &toml::Table) -> Result<Self, ModelError> {
        unimplemented!()
    }

    /// Every knob with its value, defaults included, keys in order: canonical content for a cell's id.
    pub fn knobs(&self) -> &toml::Table {
        &self.knobs
    }
}

/// What the registry says of an architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEntry {
    /// Name in specs.
    pub name: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its equation in one line.
    pub equation: &'static str,
    /// Knobs with their defaults.
    pub knobs: toml::Table,
}

/// Every architecture, in the order of the docs.
pub fn registry() -> Vec<ModelEntry> {
    Vec::new()
}
