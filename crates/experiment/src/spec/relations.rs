//! What a variant says of others, for figures and reports: no number depends on it, so it is no part of a cell's id.

use super::source::Source;
use super::{Base, Variant};
use homebench_diagnostic::{Diagnostic, KeyPath};

/// The variants that a variant is told by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Relations {
    /// The variant that this one is, with a part left out.
    pub ablates: Option<String>,
    /// What is left out, in a word; absent where the variant's name says it.
    pub without: Option<String>,
    /// The variant that this one is the normalised form of.
    pub plain_form: Option<String>,
}

impl Relations {
    /// Each key that is set, as a spec has it.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("ablates", &self.ablates),
            ("without", &self.without),
            ("plain_form", &self.plain_form),
        ];
        all.into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// Refuses a relation to no variant, to itself or to several configurations.
pub(super) fn check(
    bases: &[Base],
    variants: &[Variant],
    source: &Source,
) -> Result<(), Diagnostic> {
    let names = || bases.iter().map(|base| base.name.as_str());
    for base in bases {
        let table = KeyPath::new(["variants", &base.name]);
        let has_ablates = base.relations.ablates.is_some();
        if base.relations.without.is_some() && !has_ablates {
            let path = table.join("without");
            let message = format!("`{path}`: nothing says which variant it is left out of");
            return Err(source
                .at_key(&path, message)
                .hint("add `ablates` with the name of the whole variant"));
        }
        for (key, other) in base.relations.keys().filter(|(key, _)| *key != "without") {
            let path = table.join(key);
            let refuse = |what: String| source.at_value(&path, format!("`{path}`: {what}"));
            if other == base.name {
                return Err(refuse("a variant can't be told by itself".to_owned())
                    .hint("name another variant, or leave this out"));
            }
            if !names().any(|name| name == other) {
                let known: Vec<&str> = names().collect();
                let known = known.join(", ");
                let said = refuse(format!(
                    "no variant is called `{other}`; there are: {known}"
                ));
                return Err(said.did_you_mean(other, names()));
            }
            // Which configuration belongs to which couldn't be said.
            let is_swept = |name: &&str| !variants.iter().any(|variant| variant.name == *name);
            if let Some(swept) = [base.name.as_str(), other]
                .iter()
                .find(|name| is_swept(name))
            {
                return Err(refuse(format!(
                    "`{swept}` is swept, so it is several variants and not one"
                ))
                .hint("leave this out, or the sweep"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{load, resolved_toml};

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
        [variants.home]\nmodel = \"home\"\n[variants.bare]\nmodel = \"home\"\nnorm = \"none\"\n";

    fn loaded(lines: &str) -> Result<super::super::Experiment, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, _) = load(&path, &[]).map_err(|said| {
            let hint = said.hint.unwrap_or_default();
            format!("{} ({hint})", said.message)
        })?;
        Ok(experiment)
    }

    #[test]
    fn relations_are_written_out() {
        let lines = "ablates = \"home\"\nwithout = \"norm\"";
        let resolved = resolved_toml(&loaded(lines).unwrap(), "all");
        let expected = format!("[variants.bare]\nmodel = \"home\"\n{lines}\n");
        assert!(resolved.contains(&expected), "{resolved}");
    }

    #[test]
    fn what_relates_no_two_variants_is_refused() {
        for (lines, expected) in [
            (
                "ablates = \"hom\"",
                "`variants.bare.ablates`: no variant is called `hom`; there are: home, bare (did you mean `home`?)",
            ),
            (
                "plain_form = \"bare\"",
                "`variants.bare.plain_form`: a variant can't be told by itself (name another variant, or leave this out)",
            ),
            (
                "without = \"norm\"",
                "`variants.bare.without`: nothing says which variant it is left out of (add `ablates` with the name of the whole variant)",
            ),
            (
                "ablates = \"home\"\ngrid = { rank = [2, 4] }",
                "`variants.bare.ablates`: `bare` is swept, so it is several variants and not one (leave this out, or the sweep)",
            ),
            (
                "plain_form = \"home\"\n[variants.home.grid]\nrank = [2, 4]",
                "`variants.bare.plain_form`: `home` is swept, so it is several variants and not one (leave this out, or the sweep)",
            ),
        ] {
            assert_eq!(loaded(lines).unwrap_err(), expected, "{lines}");
        }
    }
}
