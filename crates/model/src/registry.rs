//! Every architecture by name.

use crate::ModelError;
use crate::architectures::ARCHITECTURES;
use crate::bottoms;
use crate::chain;
use crate::features::Tables;
use crate::knobs::{Knob, Knobs};
use crate::ranker::{BuildContext, Ranker};
use crate::var_builder::VarBuilder;

/// Builds an architecture.
// Pointers to functions instead of a trait: an entry is a constant, and the list of all of them needs no start-up.
pub(crate) type Build =
    fn(&Knobs, &BuildContext<'_>, &VarBuilder) -> Result<Box<dyn Ranker>, ModelError>;

/// What cells call a program of the user's: a variant with a `command` in place of a model.
pub const PROGRAM: &str = "program";

/// Keys of such a variant that are no knobs of the program: what is run, files that decide what it does, and how it is given its rows.
pub const PROGRAM_KEYS: [&str; 3] = ["command", "files", "rows_as"];

/// What no spec says: the digests of the program's files, which make another cell of one that was edited.
pub const PROGRAM_SCRIPTS: &str = "scripts";

/// Not in the registry: it has neither layers nor knobs of its own.
static PROGRAM_ARCHITECTURE: Architecture = Architecture {
    name: PROGRAM,
    title: "a program of the user's",
    paper: "",
    equation: "",
    knobs: Vec::new,
    build: |_, _, _| {
        Err(ModelError::InvalidLayout {
            message: "a program builds its model itself".to_owned(),
        })
    },
    tables: Tables::Shared,
    no_bottom: None,
    layers: &[],
};

/// What an architecture's file declares.
pub(crate) struct Architecture {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) paper: &'static str,
    pub(crate) equation: &'static str,
    pub(crate) knobs: fn() -> Vec<Knob>,
    pub(crate) build: Build,
    pub(crate) tables: Tables,
    /// Why no bottom can be put before it; none where one can.
    pub(crate) no_bottom: Option<&'static str>,
    /// See [`ModelEntry::layers`].
    pub(crate) layers: &'static [&'static str],
}

/// What the registry says of an architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEntry {
    /// Name in specs.
    pub name: &'static str,
    /// Name in prose.
    pub title: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its equation in one line.
    pub equation: &'static str,
    /// What its layers are called, where they are not just levels with numbers.
    pub layers: &'static [&'static str],
    /// Its knobs.
    pub knobs: Vec<Knob>,
    /// Why no bottom can be put before it; none where one can.
    pub no_bottom: Option<&'static str>,
}

impl ModelEntry {
    /// What to call the layer of a [`Part`](crate::Part).
    pub fn layer_title(&self, layer: usize) -> String {
        let named = self.layers.get(layer).copied();
        named.map_or_else(|| format!("level {layer}"), str::to_string)
    }
}

/// Every architecture, in the order of the docs.
///
/// ```
/// let home = homebench_model::registry().pop().expect("there are models");
/// assert_eq!(home.title, "HoME: hierarchy of multi-gate experts");
/// assert_eq!(home.paper, "arXiv:2408.05430");
/// assert_eq!(home.layer_title(0), "meta layer");
/// ```
pub fn registry() -> Vec<ModelEntry> {
    ARCHITECTURES.iter().map(Architecture::entry).collect()
}

impl Architecture {
    fn entry(&self) -> ModelEntry {
        ModelEntry {
            name: self.name,
            title: self.title,
            paper: self.paper,
            equation: self.equation,
            layers: self.layers,
            knobs: (self.knobs)(),
            no_bottom: self.no_bottom,
        }
    }
}

/// An architecture with its knobs resolved: defaults filled in, every value checked.
///
/// ```
/// use homebench_model::ModelConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ModelConfig::from_table("ple", &"num_levels = 3".parse()?)?;
/// assert_eq!(config.knobs()["num_levels"].as_integer(), Some(3));
/// assert_eq!(config.knobs()["num_shared_experts"].as_integer(), Some(2));
///
/// let error = ModelConfig::from_table("ple", &"num_levels = 0".parse()?).unwrap_err();
/// assert_eq!(error.to_string(), "num_levels: expected a whole number of at least 1, found 0");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ModelConfig {
    architecture: &'static Architecture,
    knobs: Knobs,
}

impl std::fmt::Debug for ModelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelConfig")
            .field("name", &self.architecture.name)
            // An architecture's pointers would say nothing; its name says all.
            .field("knobs", &self.knobs)
            .finish()
    }
}

impl PartialEq for ModelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.knobs == other.knobs
    }
}

impl ModelConfig {
    /// Resolves `knobs` (without the key `model`) for the architecture `name`.
    ///
    /// # Errors
    /// An unknown architecture or knob, or a value that makes no model.
    pub fn from_table(name: &str, knobs: &toml::Table) -> Result<Self, ModelError> {
        if name == PROGRAM {
            return Ok(Self {
                knobs: Knobs::of_program(knobs)?,
                architecture: &PROGRAM_ARCHITECTURE,
            });
        }
        let Some(architecture) = ARCHITECTURES.iter().find(|a| a.name == name) else {
            let known: Vec<String> = ARCHITECTURES.iter().map(|a| a.name.to_string()).collect();
            return Err(ModelError::UnknownModel {
                name: name.to_string(),
                known,
            });
        };
        let known = bottoms::with_bottom((architecture.knobs)(), knobs)?;
        Ok(Self {
            knobs: bottoms::checked(Knobs::resolve(name, &known, knobs)?, architecture)?,
            architecture,
        })
    }

    /// This one with other knobs on top, as a sweep sets them: where those choose another bottom, the settings of the one before are gone.
    ///
    /// # Errors
    /// As [`Self::from_table`].
    pub fn with_knobs(&self, chosen: &toml::Table) -> Result<Self, ModelError> {
        let mut knobs = self.knobs().clone();
        match self.is_program() {
            true => knobs.extend(chosen.clone()),
            false => knobs = bottoms::replaced(&knobs, chosen),
        }
        Self::from_table(self.name(), &knobs)
    }

    /// The name of the bottom before it, where there is one.
    pub fn bottom(&self) -> Option<&str> {
        match self.is_program() {
            true => None,
            false => self.knobs().get(bottoms::BOTTOM)?.as_str(),
        }
    }

    /// Whether a knob of this name can be set: those that it has, and its bottom where it can have one.
    pub fn has_knob(&self, name: &str) -> bool {
        let takes_bottom = !self.is_program() && self.architecture.no_bottom.is_none();
        self.knobs().contains_key(name) || name == bottoms::BOTTOM && takes_bottom
    }

    /// Name in the registry.
    pub fn name(&self) -> &'static str {
        self.architecture.name
    }

    /// Whether it is a program of the user's, which nothing here builds or trains.
    pub fn is_program(&self) -> bool {
        self.architecture.name == PROGRAM
    }

    /// What the registry says of it.
    pub fn entry(&self) -> ModelEntry {
        self.architecture.entry()
    }

    /// Every knob with its value, defaults included, keys in order: canonical content for a cell's id. Those of a bottom are there where there
    /// is one.
    pub fn knobs(&self) -> &toml::Table {
        self.knobs.values()
    }

    /// What the model wants of the embedding tables.
    pub fn tables(&self) -> Tables {
        self.architecture.tables
    }

    /// Training settings that change nothing of it, by name.
    pub fn unused_settings(&self) -> &'static [&'static str] {
        match self.tables() {
            // Rows of one unit whatever the spec's width, and sums in place of products of matrices.
            Tables::Weights => &["embedding_dim", "embedding_dims", "precision"],
            Tables::Shared | Tables::PerTask | Tables::PerTaskAndShared => &[],
        }
    }

    /// Builds the model's variables and layers.
    ///
    /// # Errors
    /// Tasks and groups or knobs that make no model for this input, or weights that don't fit.
    pub fn build(
        &self,
        context: &BuildContext<'_>,
        vb: &VarBuilder,
    ) -> Result<Box<dyn Ranker>, ModelError> {
        // Once, here: what architectures read of a layout is right.
        context.layout.validate()?;
        context.check_columns()?;
        chain::check(context.after, &context.layout.tasks)?;
        if context.input_dim == 0 {
            return Err(ModelError::InvalidLayout {
                message: "a model needs an input feature; found none".to_string(),
            });
        }
        let built = bottoms::build(self.architecture, &self.knobs, context, vb);
        built.map_err(|error| match error {
            ModelError::TooLarge {
                parameters, most, ..
            } => ModelError::TooLarge {
                parameters,
                most,
                knob: self.knobs.largest(),
            },
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_resolves_its_defaults_and_knob_names_are_unique() {
        for entry in registry() {
            let config = ModelConfig::from_table(entry.name, &toml::Table::new()).unwrap();
            assert_eq!(config.knobs().len(), entry.knobs.len(), "{}", entry.name);
            let defaults = config.knobs().clone();
            let again = ModelConfig::from_table(entry.name, &defaults).unwrap();
            assert_eq!(config, again);
            assert_eq!(config.entry(), entry);
        }
    }

    #[test]
    fn layers_have_names_of_their_own_or_are_levels() {
        let titles = |name: &str| {
            let config = ModelConfig::from_table(name, &toml::Table::new()).unwrap();
            [0, 1].map(|layer| config.entry().layer_title(layer))
        };
        assert_eq!(titles("home"), ["meta layer", "task layer"]);
        assert_eq!(titles("ple"), ["level 0", "level 1"]);
    }

    #[test]
    fn an_unknown_model_is_refused_with_those_that_exist() {
        let error = ModelConfig::from_table("mmeo", &toml::Table::new()).unwrap_err();
        let ModelError::UnknownModel { known, .. } = error else {
            panic!("{error}");
        };
        assert!(known.contains(&"home".to_string()));
    }
}
