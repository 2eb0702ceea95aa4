//! What a variant's training starts from, and what of it stays: `init_from` and `freeze`.

use super::source::Source;
use super::wire::WireInitFrom;
use super::{Base, Variant};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::ModelConfig;
use homebench_train::StartPaths;
use std::collections::BTreeMap;
use std::fmt;
use toml::Value;

/// What the training of a variant's cells begins with beside fresh weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    /// The cells that its cells start from; absent where all weights are fresh.
    pub init_from: Option<InitFrom>,
    /// Paths of the variables that training leaves as they are.
    pub freeze: Vec<String>,
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
    /// Its keys, as a spec has them.
    pub(super) fn keys(&self) -> Vec<(&'static str, String)> {
        let mut keys = Vec::new();
        if let Some(from) = &self.init_from {
            keys.push((INIT_FROM, from.written()));
        }
        if !self.freeze.is_empty() {
            keys.push(("freeze", texts(&self.freeze).to_string()));
        }
        keys
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
    init_from: Option<WireInitFrom>,
    freeze: Option<Vec<String>>,
    model: &ModelConfig,
    path: &KeyPath,
    source: &Source,
) -> Result<Start, Diagnostic> {
    let given = [
        (INIT_FROM, init_from.is_some()),
        ("freeze", freeze.is_some()),
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
    let init_from = match init_from {
        Some(wire) => Some(from_wire(wire, &path.join(INIT_FROM), source)?),
        None => None,
    };
    Ok(Start {
        init_from,
        freeze: freeze.unwrap_or_default(),
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

/// Finds the configuration that each configuration starts from, and refuses what can't be: no such variant, a program, a
/// circle, a seed that no cell has.
pub(super) fn settle(
    bases: &[Base],
    variants: &mut [Variant],
    seeds: &[u64],
    is_tuned: bool,
    source: &Source,
) -> Result<(), Diagnostic> {
    let mut found = BTreeMap::new();
    for variant in variants.iter() {
        let Some(from) = &variant.start.init_from else {
            continue;
        };
        let parent = parent(variant, from, bases, variants, source)?;
        if parent.configured.model.is_program() {
            let message = format!(
                "`{}` is a program, which keeps no weights here",
                parent.name
            );
            return Err(
                refuse(variant, "variant", &message, source).hint("name a variant with a `model`")
            );
        }
        check_seed(variant, from, seeds, is_tuned, source)?;
        found.insert(variant.name.clone(), parent.name.clone());
    }
    check_circles(variants, &found, source)?;
    for variant in variants {
        if let (Some(from), Some(parent)) = (&mut variant.start.init_from, found.get(&variant.name))
        {
            from.variant.clone_from(parent);
        }
    }
    Ok(())
}

fn refuse(variant: &Variant, key: &str, message: &str, source: &Source) -> Diagnostic {
    let path = KeyPath::new(["variants", &variant.name, INIT_FROM, key]);
    let locator = variant.locator(source);
    locator.at_value(&path, format!("`{path}`: {message}"))
}

/// The configuration of the name; of a variant that is swept, the one that has every value which it sets from the same sweep.
fn parent<'a>(
    variant: &Variant,
    from: &InitFrom,
    bases: &[Base],
    variants: &'a [Variant],
    source: &Source,
) -> Result<&'a Variant, Diagnostic> {
    if let Some(parent) = variants.iter().find(|other| other.name == from.variant) {
        return Ok(parent);
    }
    let own = variant.configured.chosen_values();
    let mut swept = variants.iter().filter(|other| other.base == from.variant);
    let alike = |other: &&Variant| {
        let values = other.configured.chosen_values();
        values.iter().all(|value| own.contains(value))
    };
    if let Some(parent) = swept.clone().find(alike) {
        return Ok(parent);
    }
    if let Some(one) = swept.next() {
        let message = format!(
            "`{}` is swept, and no configuration of it has the values of `{}`",
            from.variant, variant.name
        );
        return Err(refuse(variant, "variant", &message, source).hint(format!(
            "sweep the same settings in both, or name one configuration, such as `{}`",
            one.name
        )));
    }
    let names: Vec<&str> = bases.iter().map(|base| base.name.as_str()).collect();
    let message = format!(
        "no variant is called `{}`; there are: {}",
        from.variant,
        names.join(", ")
    );
    Err(refuse(variant, "variant", &message, source).did_you_mean(&from.variant, names))
}

fn check_seed(
    variant: &Variant,
    from: &InitFrom,
    seeds: &[u64],
    is_tuned: bool,
    source: &Source,
) -> Result<(), Diagnostic> {
    let Some(seed) = from.seed else {
        return Ok(());
    };
    if is_tuned {
        let message = format!(
            "trials and final cells have no seed in common, so that {seed} can't be of both"
        );
        return Err(refuse(variant, "seed", &message, source)
            .hint("leave it out: each cell starts from the cell of its own seed"));
    }
    if !seeds.contains(&seed) {
        let known: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let message = format!("{seed} is none of `seeds`: {}", known.join(", "));
        return Err(refuse(variant, "seed", &message, source)
            .hint("write one of them, or leave it out for the seed of each cell"));
    }
    Ok(())
}

fn check_circles(
    variants: &[Variant],
    parents: &BTreeMap<String, String>,
    source: &Source,
) -> Result<(), Diagnostic> {
    for variant in variants {
        let mut passed: Vec<&str> = Vec::new();
        let mut next = parents.get(&variant.name);
        // A circle that this one only leads to is reported at one that is in it.
        while let Some(name) = next.filter(|name| **name != variant.name) {
            if passed.contains(&name.as_str()) {
                break;
            }
            passed.push(name);
            next = parents.get(name);
        }
        if next == Some(&variant.name) {
            let way = match passed.as_slice() {
                [] => String::new(),
                between => format!(", by way of `{}`", between.join("`, `")),
            };
            let message = format!("`{}` would start from itself{way}", variant.name);
            return Err(refuse(variant, "variant", &message, source)
                .hint("the first variant of the chain has to be one without `init_from`"));
        }
    }
    Ok(())
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
