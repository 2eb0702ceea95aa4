//! Weights after 20 steps of every architecture: numbers that change must come with another version of the numerics, or cells of before
//! would be taken for what this program trains.

use crate::harness::{Bench, experiment, repository};
use std::collections::BTreeMap;

const GOLDEN: &str = "tests/golden/weights.toml";
/// Set to write the file anew, after the version was raised.
const RENEW: &str = "HOMEBENCH_RENEW_GOLDEN";

/// What weights rest on, and digests of weights by variant.
fn trained() -> (toml::Table, BTreeMap<String, String>) {
    let bench = Bench::new();
    let zoo = std::fs::read_to_string(experiment("zoo.toml")).expect("the zoo");
    let in_bf16 = ["bf16", "bf16x3"].map(|precision| {
        format!("\n[variants.home_{precision}]\nmodel = \"home\"\ntraining.precision = \"{precision}\"\n")
    });
    bench.write("all.toml", &(zoo + &in_bf16.concat()));
    // The zoo's rows are in no scenario.
    bench.write("scenarios.toml", SCENARIOS);
    let mut digests = BTreeMap::new();
    run(&bench, "scenarios", &mut digests);
    (run(&bench, "all", &mut digests), digests)
}

/// Models that the zoo has no rows for.
const SCENARIOS: &str = "question = \"What do models with weights for each scenario learn?\"\nseeds = [1]\n\
    [dataset]\nname = \"feed-small\"\nknobs = { num_scenarios = 3 }\n\
    [training]\nlearning_rate = 1e-3\nembedding_dim = 8\n\
    [defaults]\nexpert_dims = [32, 16]\ntower_dims = [16]\n\
    [variants.star]\nmodel = \"star\"\n[variants.hinet]\nmodel = \"hinet\"\n[variants.m3oe]\nmodel = \"m3oe\"\n";

/// Runs a spec on few rows and adds the digests of its weights; gives what they rest on.
fn run(bench: &Bench, name: &str, digests: &mut BTreeMap<String, String>) -> toml::Table {
    let (spec, descriptions) = (format!("{name}.toml"), experiment("datasets"));
    let words = ["run", &spec, "--out", name, "--descriptions", &descriptions];
    let small = [
        "dataset.rows=2560",
        "training.max_epochs=1",
        "training.batch_size=128",
    ];
    let small = small.iter().flat_map(|value| ["--set", value]);
    let words: Vec<&str> = words.into_iter().chain(small).collect();
    bench.run(&words).expect(0);
    let mut versions = toml::Table::new();
    for cell in bench.rows(&format!("{name}/cells.csv")) {
        let name = format!("{name}/cells/{}", &cell[0]);
        let folder = bench.path(&name);
        let content: toml::Table = bench.part(&name, "cell.toml").parse().expect("TOML");
        versions = toml::Table::from_iter([
            (
                "numerics_version".to_owned(),
                content["numerics_version"].clone(),
            ),
            (
                "rows".to_owned(),
                content["dataset"]["content_hash"].clone(),
            ),
        ]);
        let weights = std::fs::read(folder.join("weights.safetensors")).expect("weights");
        let digest = blake3::hash(&weights).to_hex()[..16].to_owned();
        digests.insert(
            content["variant"].as_str().expect("a name").to_owned(),
            digest,
        );
    }
    versions
}

#[test]
fn weights_change_with_the_version_of_the_numerics_alone() {
    let path = repository().join(GOLDEN);
    let golden: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap_or_default())
        .expect("the golden file is TOML");
    let (versions, digests) = trained();
    let is_same_version = versions
        .iter()
        .all(|(name, value)| golden.get(name) == Some(value));
    let expected: BTreeMap<String, String> = match golden.get("weights") {
        Some(weights) => weights.clone().try_into().expect("names and digests"),
        None => BTreeMap::new(),
    };
    let of_both: Vec<&String> = digests
        .iter()
        .filter(|(name, digest)| expected.get(*name).is_some_and(|other| other != *digest))
        .map(|(name, _)| name)
        .collect();
    assert!(
        !is_same_version || of_both.is_empty(),
        "weights of {of_both:?} differ from {GOLDEN} under the same version of the numerics and from the same rows: raise \
         NUMERICS_VERSION, then run this test once with {RENEW}=1"
    );
    if std::env::var_os(RENEW).is_some() {
        let weights: toml::Table = digests
            .into_iter()
            .map(|(name, digest)| (name, digest.into()))
            .collect();
        let mut golden = versions;
        golden.insert("weights".to_owned(), weights.into());
        let text = format!("# By tests/end_to_end/numerics.rs.\n{golden}");
        return std::fs::write(path, text).expect("the golden file is writable");
    }
    assert!(
        is_same_version && expected == digests,
        "{GOLDEN} is of another version, other rows or other variants: run this test once with {RENEW}=1"
    );
}
