//! What two folders were asked to do otherwise: their specs, setting by setting, and their data.

use anyhow::Result;
use homebench_results::read::context::spec_settings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A setting that two folders have otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDifference {
    /// Its path in the spec, or `data`.
    pub name: String,
    /// Its value in A; a dash where it has none.
    pub a: String,
    /// The same in B.
    pub b: String,
}

/// What decides no number, or is said in another place.
const PASSED_OVER: [&str; 3] = ["question", "outcome", "run."];
/// Letters of a content hash that tell it apart.
const HASH_LETTERS: usize = 12;

/// Every setting that differs, the data first. Of variants that one folder alone has, nothing is said here.
pub(super) fn setting_differences(
    a: &Path,
    b: &Path,
    (contents_a, contents_b): (&[String], &[String]),
) -> Result<Vec<SettingDifference>> {
    let (settings_a, settings_b) = (spec_settings(a)?, spec_settings(b)?);
    let mut found = Vec::new();
    let is_known = !contents_a.is_empty() && !contents_b.is_empty();
    if is_known && contents_a != contents_b {
        let hashes = |contents: &[String]| {
            let short = contents
                .iter()
                .map(|hash| hash.chars().take(HASH_LETTERS).collect());
            short.collect::<Vec<String>>().join(", ")
        };
        found.push(SettingDifference {
            name: "data (content hash)".to_owned(),
            a: hashes(contents_a),
            b: hashes(contents_b),
        });
    }
    let names: BTreeSet<&String> = settings_a.keys().chain(settings_b.keys()).collect();
    let value = |settings: &BTreeMap<String, String>, name: &str| {
        let value = settings.get(name).map(String::as_str);
        value.unwrap_or("-").to_owned()
    };
    let is_passed_over = |name: &str| PASSED_OVER.iter().any(|start| name.starts_with(start));
    let are_of_both = |name: &str| {
        let Some(variant) = variant_of(name) else {
            return true;
        };
        let has = |settings: &BTreeMap<String, String>| {
            settings
                .keys()
                .any(|name| variant_of(name) == Some(variant))
        };
        has(&settings_a) && has(&settings_b)
    };
    for name in names {
        let (a, b) = (value(&settings_a, name), value(&settings_b, name));
        if a != b && !is_passed_over(name) && are_of_both(name) {
            found.push(SettingDifference {
                name: name.clone(),
                a,
                b,
            });
        }
    }
    Ok(found)
}

/// The variant that a setting is of: `home` of `variants.home.rank`.
fn variant_of(name: &str) -> Option<&str> {
    name.strip_prefix("variants.")?.split('.').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(a: &str, b: &str) -> Vec<String> {
        let folders = [a, b].map(|spec| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("spec.resolved.toml"), spec).unwrap();
            folder
        });
        let contents = (["feed".repeat(5)], ["beef".repeat(5)]);
        let found = setting_differences(
            folders[0].path(),
            folders[1].path(),
            (&contents.0, &contents.1),
        );
        let said = found.unwrap().into_iter();
        said.map(|one| format!("{}: {} {}", one.name, one.a, one.b))
            .collect()
    }

    #[test]
    fn the_data_and_every_setting_that_decides_a_number_are_compared() {
        let a = "question = \"A\"\nseeds = [1, 2]\n[run]\njobs = 1\n[training]\nlearning_rate = 0.1\n\
                 [variants.home]\nrank = 2\n[variants.old]\nmodel = \"mmoe\"\n";
        let b = "question = \"B\"\nseeds = [1, 2]\n[run]\njobs = 2\n[training]\nlearning_rate = 0.2\nmax_epochs = 3\n\
                 [variants.home]\nrank = 4\n[variants.new]\nmodel = \"mmoe\"\n";
        assert_eq!(
            differences(a, b),
            [
                "data (content hash): feedfeedfeed beefbeefbeef",
                "training.learning_rate: 0.1 0.2",
                "training.max_epochs: - 3",
                "variants.home.rank: 2 4",
            ]
        );
    }
}
