//! Whether tables can begin with pretrained vectors: by the widths of these, and by what else variants start from.

use super::budget::variable_shapes;
use super::starts::configurations;
use crate::spec::{
    Configured, Experiment, Locator, PRETRAINED, Source, Variant, WIDTHS, model_diagnostic,
    training_with,
};
use homebench_data::Schema;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::Tables;
use homebench_train::{
    PathError, PretrainedUse, VariableShapes, check_frozen, feature_dims, pretrained_paths,
    task_layout,
};
use std::collections::BTreeMap;

/// Checks every table that begins with pretrained vectors, in every configuration of every variant; `vectors` has the numbers of a vector by
/// table.
///
/// # Errors
/// Vectors of another width than the table's, nothing left to train, a table that is to begin as another variant's too, each at its place.
pub fn check_pretrained(
    experiment: &Experiment,
    source: &Source,
    schema: &Schema,
    vectors: &BTreeMap<String, usize>,
) -> Result<(), Diagnostic> {
    for variant in &experiment.variants {
        for (place, configured) in configurations(variant) {
            if configured.training.pretrained.is_empty() || configured.model.is_program() {
                continue;
            }
            let locator = match place {
                Some(trial) => variant.trial_locator(trial, source),
                None => variant.locator(source),
            };
            let check = Check {
                variant,
                configured,
                schema,
                locator,
            };
            check.widths(vectors)?;
            let shapes = check.shapes(configured)?;
            check.frozen(&shapes)?;
            check.start(experiment, &shapes)?;
        }
    }
    Ok(())
}

/// A configuration of a variant.
struct Check<'a> {
    variant: &'a Variant,
    configured: &'a Configured,
    schema: &'a Schema,
    locator: Locator<'a>,
}

impl Check<'_> {
    /// Where its training names a table with pretrained vectors, or all of them.
    fn place(&self, table: Option<&str>) -> KeyPath {
        let at = training_with(PRETRAINED, &self.variant.name, self.locator).join(PRETRAINED);
        table.map_or(at.clone(), |table| at.join(table))
    }

    fn refuse(&self, table: Option<&str>, message: String) -> Diagnostic {
        let at = self.place(table);
        self.locator.at_key(&at, format!("`{at}`: {message}"))
    }

    /// How the variant says that its tables begin at random, whatever the file says.
    fn without(&self) -> String {
        let own = KeyPath::new(["variants", &self.variant.base, "training"]);
        format!("set `{PRETRAINED} = {{}}` in [{own}]")
    }

    fn shapes(&self, configured: &Configured) -> Result<VariableShapes, Diagnostic> {
        let at = KeyPath::new(["variants", &self.variant.name]);
        let built = variable_shapes(configured, self.schema);
        built.map_err(|error| model_diagnostic(&error, &at, self.locator))
    }

    fn widths(&self, vectors: &BTreeMap<String, usize>) -> Result<(), Diagnostic> {
        let (model, training) = (&self.configured.model, &self.configured.training);
        let dims = feature_dims(self.schema, model.tables(), training);
        for (table, [_, width]) in dims.distinct_tables() {
            let found = vectors.get(table).copied().unwrap_or(width);
            if found == width || !training.pretrained.contains_key(table) {
                continue;
            }
            let name = model.name();
            if model.tables() == Tables::Weights {
                let message = format!(
                    "`{name}` has one number for each value, and the pretrained vectors of `{table}` have {found}"
                );
                return Err(self.refuse(Some(table), message).hint(self.without()));
            }
            let message = format!(
                "the pretrained vectors of `{table}` have {found} numbers, and its embeddings {width}"
            );
            let mut widths = training.embedding_dims.clone();
            widths.insert(table.to_owned(), found);
            let widths = widths.iter().map(|(table, width)| {
                let table = KeyPath::new([table.as_str()]);
                format!("{table} = {width}")
            });
            let widths = widths.collect::<Vec<_>>().join(", ");
            let at = self.table_of_widths();
            let hint = format!(
                "set `{WIDTHS} = {{ {widths} }}` in [{at}]; on a GPU give all tables the width {found} by `embedding_dim`"
            );
            return Err(self.refuse(Some(table), message).hint(hint));
        }
        Ok(())
    }

    /// The table in which a width of the configuration has to be set: where it has widths, else where it names the vectors.
    fn table_of_widths(&self) -> KeyPath {
        let name = &self.variant.name;
        let own = KeyPath::new(["variants", name, "training"]);
        let has_own = [WIDTHS, PRETRAINED].iter();
        let mut has_own = has_own.filter(|key| self.locator.has(&own.join(**key)));
        match has_own.next() {
            Some(_) => KeyPath::new(["variants", &self.variant.base, "training"]),
            None => KeyPath::new(["training"]),
        }
    }

    fn frozen(&self, shapes: &VariableShapes) -> Result<(), Diagnostic> {
        let mut freeze = self.variant.start.freeze.clone();
        freeze.extend(
            self.paths()
                .filter(|(_, how)| *how == PretrainedUse::Frozen)
                .map(|(path, _)| path),
        );
        match check_frozen(&freeze, shapes) {
            Err(error @ PathError::AllFrozen) => Err(self.refuse(None, error.to_string()).hint(
                "set \"trained\" for a table, or leave out of `freeze` what is to be trained",
            )),
            // Paths of `freeze` that name nothing have been refused.
            _ => Ok(()),
        }
    }

    fn paths(&self) -> impl Iterator<Item = (String, PretrainedUse)> {
        let layout = task_layout(self.schema);
        let (model, training) = (&self.configured.model, &self.configured.training);
        pretrained_paths(training, model, &layout).into_iter()
    }

    /// Refuses a table that is to begin both with vectors and as that of another variant.
    fn start(&self, experiment: &Experiment, shapes: &VariableShapes) -> Result<(), Diagnostic> {
        let Some(from) = &self.variant.start.init_from else {
            return Ok(());
        };
        let mut all = experiment.variants.iter();
        let parent = all.find(|other| other.name == from.variant);
        let parent = parent.map(configurations).into_iter().flatten().next();
        let Some((_, parent)) = parent else {
            return Ok(());
        };
        // What can't be meant has been refused.
        let sources = from.variables.sources(shapes, &self.shapes(parent)?);
        let sources = sources.unwrap_or_default();
        let Some((path, _)) = self.paths().find(|(path, _)| sources.contains_key(path)) else {
            return Ok(());
        };
        let message = format!(
            "`{path}` is to begin with pretrained vectors, and by `init_from` as that of `{}`",
            from.variant
        );
        Err(self.refuse(None, message).hint(format!(
            "{}, and freeze it by `freeze` where it is to stay; or name in `paths` of `init_from` what is to begin as the other's",
            self.without()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::starts::tests::schema;
    use super::*;
    use crate::spec::load;

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
        [defaults]\nexpert_dims = [4]\ntower_dims = []\n\
        [variants.base]\nmodel = \"shared_bottom\"\n[variants.single]\nmodel = \"single_task\"\n\
        [variants.child]\nmodel = \"shared_bottom\"\n";

    /// Of vectors of 16 numbers.
    fn checked(lines: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, source) = load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
        let vectors = [("author".to_owned(), 16)].into();
        check_pretrained(&experiment, &source, &schema(), &vectors).map_err(|said| {
            let (place, hint) = (said.location.unwrap(), said.hint.unwrap_or_default());
            let (line, column) = (place.line, place.column);
            format!("{line}:{column}: {} ({hint})", said.message)
        })
    }

    #[test]
    fn tables_as_wide_as_their_vectors_are_taken() {
        for lines in [
            "",
            "[training]\nembedding_dim = 16\npretrained = { author = \"frozen\" }",
            "[training]\nembedding_dims = { author = 16 }\npretrained = { author = \"trained\" }",
            "training = { embedding_dim = 16, pretrained = { author = \"frozen\" } }\n\
             init_from = { variant = \"base\", paths = [\"shared\"] }",
            "[training]\nembedding_dim = 16\npretrained = { author = \"frozen\" }\n\
             [variants.linear]\nmodel = \"logistic\"\ntraining = { pretrained = {} }",
            "[grid]\n\"training.pretrained\" = [{}, { author = \"frozen\" }]\n\"training.embedding_dim\" = [16]",
        ] {
            checked(lines).unwrap_or_else(|said| panic!("{lines}: {said}"));
        }
    }

    #[test]
    fn others_are_refused_at_their_place_and_the_mend_is_one() {
        let found = [
            "[training]\npretrained = { author = \"frozen\" }",
            "training = { pretrained = { author = \"frozen\" } }",
            "training = { embedding_dims = { author = 4 } }\n[training]\nembedding_dim = 16\npretrained = { author = \"frozen\" }",
            "[training]\nembedding_dim = 16\npretrained = { author = \"frozen\" }\n[variants.linear]\nmodel = \"logistic\"",
            "[grid]\n\"training.pretrained\" = [{}, { author = \"frozen\" }]",
            "freeze = [\"shared\", \"task\"]\ntraining = { embedding_dim = 16, pretrained = { author = \"frozen\" } }",
            "init_from = { variant = \"base\" }\n[training]\nembedding_dim = 16\npretrained = { author = \"trained\" }",
            "init_from = { variant = \"base\", paths = [\"embedding.author\"] }\n\
             training = { pretrained = { author = \"trained\" } }\n[training]\nembedding_dim = 16",
            "init_from = { variant = \"single\", paths = [], rename = { \"task.like.embedding\" = \"embedding\" } }\n\
             training = { pretrained = { author = \"trained\" } }\n[training]\nembedding_dim = 16",
        ]
        .map(|lines| checked(lines).unwrap_err());
        insta::assert_snapshot!(found.join("\n"), @r#"
        14:16: `training.pretrained.author`: the pretrained vectors of `author` have 16 numbers, and its embeddings 8 (set `embedding_dims = { author = 16 }` in [training]; on a GPU give all tables the width 16 by `embedding_dim`)
        13:29: `variants.child.training.pretrained.author`: the pretrained vectors of `author` have 16 numbers, and its embeddings 8 (set `embedding_dims = { author = 16 }` in [variants.child.training]; on a GPU give all tables the width 16 by `embedding_dim`)
        16:16: `training.pretrained.author`: the pretrained vectors of `author` have 16 numbers, and its embeddings 4 (set `embedding_dims = { author = 16 }` in [variants.child.training]; on a GPU give all tables the width 16 by `embedding_dim`)
        15:16: `training.pretrained.author`: `logistic` has one number for each value, and the pretrained vectors of `author` have 16 (set `pretrained = {}` in [variants.linear.training])
        14:30: `variants."base[pretrained=(author=frozen)]".training.pretrained.author`: the pretrained vectors of `author` have 16 numbers, and its embeddings 8 (set `embedding_dims = { author = 16 }` in [variants.base.training]; on a GPU give all tables the width 16 by `embedding_dim`)
        14:34: `variants.child.training.pretrained`: every variable is frozen, so that there is nothing to train (set "trained" for a table, or leave out of `freeze` what is to be trained)
        16:1: `training.pretrained`: `embedding.author.weight` is to begin with pretrained vectors, and by `init_from` as that of `base` (set `pretrained = {}` in [variants.child.training], and freeze it by `freeze` where it is to stay; or name in `paths` of `init_from` what is to begin as the other's)
        14:14: `variants.child.training.pretrained`: `embedding.author.weight` is to begin with pretrained vectors, and by `init_from` as that of `base` (set `pretrained = {}` in [variants.child.training], and freeze it by `freeze` where it is to stay; or name in `paths` of `init_from` what is to begin as the other's)
        14:14: `variants.child.training.pretrained`: `embedding.author.weight` is to begin with pretrained vectors, and by `init_from` as that of `single` (set `pretrained = {}` in [variants.child.training], and freeze it by `freeze` where it is to stay; or name in `paths` of `init_from` what is to begin as the other's)
        "#);
        // What the hints say, followed.
        for mended in [
            "[training]\nembedding_dims = { author = 16 }\npretrained = { author = \"frozen\" }",
            "training = { embedding_dims = { author = 16 }, pretrained = { author = \"frozen\" } }",
            "training = { embedding_dims = { author = 16 } }\n[training]\npretrained = { author = \"frozen\" }\n\
             [variants.base.training]\npretrained = {}\n[variants.single.training]\npretrained = {}",
            "init_from = { variant = \"base\" }\ntraining = { pretrained = {} }\nfreeze = [\"embedding\"]\n\
             [training]\nembedding_dim = 16\npretrained = { author = \"trained\" }",
        ] {
            checked(mended).unwrap_or_else(|said| panic!("{mended}: {said}"));
        }
    }
}
