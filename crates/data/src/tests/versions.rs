//! Versions of preparation: raised for what is prepared to other bytes than before, and for nothing else.

use super::tables::{DESCRIBED, dataset};

fn manifest(described: &str) -> String {
    let dataset = dataset(described);
    dataset.open().unwrap_or_else(|error| panic!("{error}"));
    std::fs::read_to_string(dataset.prepared_folder().join("manifest.toml")).unwrap()
}

/// The hashes are those that the program wrote before types held in joined tables and lists.
#[test]
fn text_without_such_types_keeps_its_content_and_its_bytes() {
    let before = manifest(DESCRIBED);
    for expected in [
        "preparation_version = 3\n",
        "content_hash = \"86f88d56815d3abfebd79bd349ed3faf719c62281010e61f93503dd1e4b6c939\"",
        "blake3 = \"e0e05ae0e90c68cf6a39eaaff5a84b3380715defee175aa5d72dbc277468352e\"",
        "blake3 = \"53717b9eb943ffe45361f561283a0d3939e5b40c7338f23618f1dc4db94ff4ba\"",
        "blake3 = \"c23f09e2beef94204512f36aa80aba1dd5e4dd80126469a70a6b4b68d7db104f\"",
    ] {
        assert!(before.contains(expected), "{expected}: {before}");
    }
    // So do types of the rows' own columns, which held before.
    let typed = DESCRIBED.replacen("\"click\"]", "{ name = \"click\", type = \"integer\" }]", 1);
    let hash = "72c1e1afae4a42a56f8e3ac81800c5b97a748c2daedb8898630369ce172a3ae8";
    assert!(manifest(&typed).contains(hash));
}

#[test]
fn what_is_prepared_otherwise_has_another_version() {
    for (from, to) in [
        ("\"length\"]", "{ name = \"length\", type = \"integer\" }]"),
        (
            "\"day\", \"seconds\"",
            "{ name = \"day\", type = \"timestamp\", unit = \"s\" }, \"seconds\"",
        ),
        ("\"seconds\"", "{ name = \"seconds\", missing = [\"-1\"] }"),
    ] {
        let described = DESCRIBED.replacen(from, to, 1);
        let expected = match from {
            "\"length\"]" => "preparation_version = 4\n",
            "\"seconds\"" => "preparation_version = 6\n",
            _ => "preparation_version = 3\n",
        };
        let found = manifest(&described);
        assert!(found.contains(expected), "{to}: {found}");
    }
    // Days, and a column that is computed with and has no type.
    let dated = "{ name = \"date\", expression = \"cast('2022-04-08' as date)\" }";
    let computed = "{ name = \"minutes\", expression = \"seconds / 60\" }";
    for (column, version) in [(computed, 6), (dated, 5)] {
        let described = DESCRIBED.replacen("\"seconds\"", &format!("\"seconds\", {column}"), 1);
        let found = manifest(&described);
        let expected = format!("preparation_version = {version}\n");
        assert!(found.contains(&expected), "{column}: {found}");
    }
    let years = DESCRIBED
        .replacen(
            "\"day\", \"seconds\"",
            "{ name = \"day\", type = \"timestamp\", format = \"%y\" }, \"seconds\"",
            1,
        )
        .replacen("%y", "%y-%j", 1)
        .replace("from = 12", "from = \"2012-01-01\"")
        .replace("from = 13", "from = \"2013-01-01\"");
    let dataset = dataset(&years);
    let log = std::fs::read_to_string(dataset.path("data/shop/log.csv")).unwrap();
    let days = ["10", "11", "12", "13"];
    let log = days.iter().fold(log, |log, day| {
        log.replace(&format!(",{day},"), &format!(",{day}-001,"))
    });
    dataset.write("data/shop/log.csv", &log);
    dataset.open().unwrap_or_else(|error| panic!("{error}"));
    let found = std::fs::read_to_string(dataset.prepared_folder().join("manifest.toml")).unwrap();
    assert!(found.contains("preparation_version = 4\n"), "{found}");
}

#[test]
fn casts_to_days_have_the_version_of_days() {
    for (label, version) in [
        ("try_cast(user as date) is not null", 5),
        ("cast(user as text) is null", 3),
    ] {
        let found =
            manifest(&DESCRIBED.replacen("click == 1", &format!("click == 1 or {label}"), 1));
        let expected = format!("preparation_version = {version}\n");
        assert!(found.contains(&expected), "{label}: {found}");
    }
}

#[test]
fn what_older_rules_prepared_is_made_again() {
    let dataset = dataset(DESCRIBED);
    let before = dataset.open().unwrap().content_hash;
    let manifest = dataset.prepared_folder().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = crate::sealed_text::unsealed(&text).unwrap();
    let older = text.replacen("rules = 2\n", "", 1);
    assert_ne!(older, text);
    std::fs::write(&manifest, crate::sealed_text::sealed(&older)).unwrap();
    let mut notices = super::Notices::default();
    let reference = crate::DatasetRef::new("shop");
    let again = crate::open(&reference, &dataset.places(), &mut notices).unwrap();
    let said = notices.0.join("\n");
    assert!(
        said.contains("is of another version, which prepares a few datasets to other rows"),
        "{said}"
    );
    assert_eq!(again.content_hash, before);
}
