//! What a variant's training starts from, what of it stays, and whose features it learns from: `init_from`, `freeze` and `distill`.

use super::distill::{DISTILL, Distill};
use super::source::Source;
use super::wire::{WireDistill, WireInitFrom};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::{ModelConfig, Tables};
use homebench_train::StartPaths;
use std::fmt;
use toml::Value;

/// What the training of a variant's cells begins with beside fresh weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    /// The cells that its cells start from; absent where all weights are fresh.
    pub init_from: Option<InitFrom>,
    /// Paths of the variables that training leaves as they are.
    pub freeze: Vec<String>,
    /// The cells from whose features its cells learn; absent where they learn from labels alone.
    pub distill: Option<Distill>,
}

/// The variant whose cells have to be done before those of another, and where that is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParentVariant<'a> {
    /// Its name.
    pub(crate) variant: &'a str,
    /// Seed of the one cell that all need; each needs that of its own seed where absent.
    pub(crate) seed: Option<u64>,
    /// The key of the variant whose table names it, and its own in there.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
}

/// Cells whose selected weights others start from.
#[derive(Debug, Clone, PartialEq)]
pub struct InitFrom {
    /// Name of their variant; of a configuration's parent, that of a configuration.
    pub variant: String,
    /// Seed of the one cell that all start from; each from that of its own seed where absent.
    pub seed: Option<u64>,
    /// Which variables.
    pub variables: StartPaths,
}

impl Start {
    /// Whether every embedding table of this model stays as it begins.
    pub(super) fn freezes_tables(&self, model: &ModelConfig) -> bool {
        // Of models with tables of tasks, the path is that of the shared ones alone.
        model.tables() == Tables::Shared && self.freeze.iter().any(|path| path == "embedding")
    }

    /// Its keys, as a spec has them.
    pub(super) fn keys(&self) -> Vec<(&'static str, String)> {
        let mut keys = Vec::new();
        if let Some(from) = &self.init_from {
            keys.push((INIT_FROM, from.written()));
        }
        if !self.freeze.is_empty() {
            keys.push(("freeze", texts(&self.freeze).to_string()));
        }
        if let Some(distill) = &self.distill {
            keys.push((DISTILL, distill.written()));
        }
        keys
    }

    /// The variant whose cells have to be done before its own.
    pub(crate) fn parent(&self) -> Option<ParentVariant<'_>> {
        let of_weights = self.init_from.as_ref().map(|from| ParentVariant {
            variant: &from.variant,
            seed: from.seed,
            table: INIT_FROM,
            key: "variant",
        });
        let of_features = || {
            self.distill.as_ref().map(|distill| ParentVariant {
                variant: &distill.from,
                seed: None,
                table: DISTILL,
                key: "from",
            })
        };
        of_weights.or_else(of_features)
    }

    /// Its name, where there is one.
    pub fn parent_variant(&self) -> Option<&str> {
        self.parent().map(|parent| parent.variant)
    }

    pub(super) fn set_parent(&mut self, name: &str) {
        if let Some(from) = &mut self.init_from {
            from.variant = name.to_owned();
        }
        if let Some(distill) = &mut self.distill {
            distill.from = name.to_owned();
        }
    }
}

impl InitFrom {
    fn written(&self) -> String {
        let seed = match self.seed {
            Some(seed) => Value::Integer(seed as i64),
            None => text(SAME_SEED),
        };
        let mut parts = vec![
            format!("variant = {}", text(&self.variant)),
            format!("seed = {seed}"),
        ];
        let StartPaths { paths, rename } = &self.variables;
        parts.extend(
            paths
                .iter()
                .map(|paths| format!("paths = {}", texts(paths))),
        );
        if !rename.is_empty() {
            let rename = rename.iter();
            let rename = rename.map(|(from, to)| (from.clone(), text(to))).collect();
            parts.push(format!("rename = {}", Value::Table(rename)));
        }
        format!("{{ {} }}", parts.join(", "))
    }
}

/// In words, for the terminal and the report.
impl fmt::Display for Start {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |paths: &[String]| paths.join(", ");
        let mut parts = Vec::new();
        if let Some(InitFrom {
            variant,
            seed,
            variables,
        }) = &self.init_from
        {
            let seed = match seed {
                Some(seed) => format!("seed {seed}"),
                None => "the same seed".to_owned(),
            };
            let mut what = match &variables.paths {
                None => vec!["all variables".to_owned()],
                Some(paths) if paths.is_empty() => Vec::new(),
                Some(paths) => vec![listed(paths)],
            };
            let renamed = variables.rename.iter();
            what.extend(renamed.map(|(from, to)| format!("{to} as {from}")));
            parts.push(format!(
                "starts from the selected weights of {variant} ({seed}): {}",
                listed(&what)
            ));
        }
        if !self.freeze.is_empty() {
            parts.push(format!("frozen: {}", listed(&self.freeze)));
        }
        parts.extend(self.distill.iter().map(Distill::to_string));
        formatter.write_str(&parts.join("; "))
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|one| text(one)).collect())
}

/// What `seed` says by default.
const SAME_SEED: &str = "same";
const INIT_FROM: &str = "init_from";

/// Reads what a variant says; `path` is that of its table.
pub(super) fn resolve(
    (init_from, freeze, distill): (
        Option<WireInitFrom>,
        Option<Vec<String>>,
        Option<WireDistill>,
    ),
    model: &ModelConfig,
    path: &KeyPath,
    source: &Source,
) -> Result<Start, Diagnostic> {
    let given = [
        (INIT_FROM, init_from.is_some()),
        ("freeze", freeze.is_some()),
        (DISTILL, distill.is_some()),
    ];
    if let Some((key, _)) = given.iter().find(|(_, given)| *given && model.is_program()) {
        let path = path.join(*key);
        let message = format!(
            "`{path}`: a program has no variables here that it could be given or kept from"
        );
        return Err(source
            .at_key(&path, message)
            .hint("leave it out; a program may read weights of its own from its `files`"));
    }
    if init_from.is_some() && distill.is_some() {
        // A cell names one other that has to be done before it.
        let path = path.join(DISTILL);
        let message = format!("`{path}`: a variant has either `init_from` or `distill`");
        return Err(source.at_key(&path, message).hint("leave one of them out"));
    }
    let init_from = match init_from {
        Some(wire) => Some(from_wire(wire, &path.join(INIT_FROM), source)?),
        None => None,
    };
    Ok(Start {
        init_from,
        freeze: freeze.unwrap_or_default(),
        distill: distill
            .map(|wire| Distill::from_wire(wire, &path.join(DISTILL), source))
            .transpose()?,
    })
}

fn from_wire(wire: WireInitFrom, at: &KeyPath, source: &Source) -> Result<InitFrom, Diagnostic> {
    let seed = match &wire.seed {
        None => None,
        Some(Value::String(text)) if text == SAME_SEED => None,
        Some(Value::Integer(seed)) if *seed >= 0 => Some(*seed as u64),
        Some(other) => {
            let path = at.join("seed");
            let message = format!("`{path}`: expected \"same\" or one of `seeds`, found {other}");
            return Err(source.at_value(&path, message));
        }
    };
    if wire.paths.as_ref().is_some_and(Vec::is_empty) && wire.rename.is_empty() {
        let path = at.join("paths");
        let message = format!("`{path}`: expected a path at least, found none");
        return Err(source.at_value(&path, message).hint(
            "leave `paths` out to start every variable from there, or leave `init_from` out",
        ));
    }
    Ok(InitFrom {
        variant: wire.variant,
        seed,
        variables: StartPaths {
            paths: wire.paths,
            rename: wire.rename,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Experiment, load, resolved_toml};

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1, 2]\ndataset = { name = \"feed\" }\n\
        [variants.base]\nmodel = \"mmoe\"\n[variants.program]\ncommand = [\"./ranker\"]\n[variants.child]\nmodel = \"mmoe\"\n";

    fn loaded(lines: &str) -> Result<Experiment, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, _) = load(&path, &[]).map_err(|said| {
            let (line, hint) = (said.location.unwrap().line, said.hint.unwrap_or_default());
            format!("line {line}: {} ({hint})", said.message)
        })?;
        Ok(experiment)
    }

    #[test]
    fn what_a_variant_starts_from_is_written_out_and_said() {
        let lines = "init_from = { variant = \"base\", paths = [\"shared\", \"embedding\"], rename = { \"task.a\" = \"task.b\" } }\n\
            freeze = [\"embedding\"]";
        let experiment = loaded(lines).unwrap();
        insta::assert_snapshot!(experiment.variants[2].start, @"starts from the selected weights of base (the same seed): shared, embedding, task.b as task.a; frozen: embedding");
        let resolved = resolved_toml(&experiment, "all");
        let start = resolved.find("[variants.child]").unwrap();
        let written: Vec<&str> = resolved[start..].lines().take(4).collect();
        insta::assert_snapshot!(written.join("\n"), @r#"
        [variants.child]
        model = "mmoe"
        init_from = { variant = "base", seed = "same", paths = ["shared", "embedding"], rename = { "task.a" = "task.b" } }
        freeze = ["embedding"]
        "#);
    }

    #[test]
    fn a_swept_variant_starts_from_the_configuration_of_its_own_values() {
        let both = "init_from = { variant = \"base\", seed = 2 }\n[grid]\nnum_experts = [2, 4]\n\
            [variants.child.grid]\n\"training.patience\" = [1, 2]";
        let experiment = loaded(both).unwrap();
        let parents = experiment.variants.iter().filter_map(|variant| {
            let from = variant.start.init_from.as_ref()?;
            Some(format!("{} from {}", variant.name, from.variant))
        });
        insta::assert_snapshot!(parents.collect::<Vec<_>>().join("\n"), @r#"
        child[num_experts=2,patience=1] from base[num_experts=2]
        child[num_experts=2,patience=2] from base[num_experts=2]
        child[num_experts=4,patience=1] from base[num_experts=4]
        child[num_experts=4,patience=2] from base[num_experts=4]
        "#);
    }

    #[test]
    fn what_nothing_can_start_from_is_refused_at_its_place() {
        let found = [
            "init_from = { variant = \"bsae\" }",
            "init_from = { variant = \"child\" }",
            "init_from = { variant = \"base\" }\n[variants.base.init_from]\nvariant = \"child\"",
            "init_from = { variant = \"program\" }",
            "init_from = { variant = \"base\", seed = 3 }",
            "init_from = { variant = \"base\", seed = \"other\" }",
            "init_from = { variant = \"base\", seed = 1 }\n[tuning]\nseeds = [9]\ngrid = { \"training.patience\" = [1, 2] }",
            "init_from = { variant = \"base\", paths = [] }",
            "init_from = { variant = \"base\", path = [\"shared\"] }",
            "init_from = \"base\"",
            "freeze = \"embedding\"",
            "[variants.program.init_from]\nvariant = \"base\"",
            "[variants.other]\ncommand = [\"./ranker\"]\nfreeze = [\"embedding\"]",
            "init_from = { variant = \"base\" }\n[variants.base.grid]\nnum_experts = [2, 4]",
        ]
        .map(|lines| loaded(lines).map(|_| ()).unwrap_err());
        insta::assert_snapshot!(found.join("\n"), @r#"
        line 10: `variants.child.init_from.variant`: no variant is called `bsae`; there are: base, program, child (did you mean `base`?)
        line 10: `variants.child.init_from.variant`: `child` would start from itself (the first variant of the chain has to be one without `init_from`)
        line 12: `variants.base.init_from.variant`: `base` would start from itself, by way of `child` (the first variant of the chain has to be one without `init_from`)
        line 10: `variants.child.init_from.variant`: `program` is a program, which keeps no weights here (name a variant with a `model`)
        line 10: `variants.child.init_from.seed`: 3 is none of `seeds`: 1, 2 (write one of them, or leave it out for the seed of each cell)
        line 10: `variants.child.init_from.seed`: expected "same" or one of `seeds`, found "other" ()
        line 10: `variants.child.init_from.seed`: trials and final cells have no seed in common, so that 1 can't be of both (leave it out: each cell starts from the cell of its own seed)
        line 10: `variants.child.init_from.paths`: expected a path at least, found none (leave `paths` out to start every variable from there, or leave `init_from` out)
        line 10: unknown key `path` in [variants.child.init_from]; expected one of `variant`, `seed`, `paths`, `rename` (did you mean `paths`?)
        line 10: `variants.child.init_from`: expected a table, found string "base" ()
        line 10: `variants.child.freeze`: expected a list, found string "embedding" ()
        line 10: `variants.program.init_from`: a program has no variables here that it could be given or kept from (leave it out; a program may read weights of its own from its `files`)
        line 12: `variants.other.freeze`: a program has no variables here that it could be given or kept from (leave it out; a program may read weights of its own from its `files`)
        line 10: `variants.child.init_from.variant`: `base` is swept, and no configuration of it has the values of `child` (sweep the same settings in both, or name one configuration, such as `base[num_experts=2]`)
        "#);
    }
}
