//! `[metrics]` and `[cohorts]`: what is scored beside the metrics that every experiment has.

use super::metric_name::named_metric;
use super::source::Source;
use super::wire::WireMetrics;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_metric::Metric;
use homebench_train::{Cohort, MetricChoice, NEW_USERS, Scoring};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn resolve(
    metrics: Option<&WireMetrics>,
    cohorts: &toml::Table,
    source: &Source,
) -> Result<Scoring, Diagnostic> {
    let mut scoring = Scoring::default();
    if let Some(wire) = metrics {
        scoring.metrics = MetricChoice {
            extra: extra(wire, source)?,
            group: wire.group.clone(),
        };
    }
    for (name, value) in cohorts {
        let at = KeyPath::new(["cohorts", name]);
        let cohort = cohort(&at, value, source)?;
        scoring.cohorts.insert(name.clone(), cohort);
    }
    Ok(scoring)
}

/// The metrics of `extra`, in the order of tables.
fn extra(wire: &WireMetrics, source: &Source) -> Result<Vec<Metric>, Diagnostic> {
    let mut extra: Vec<Metric> = Vec::with_capacity(wire.extra.len());
    for (index, name) in wire.extra.iter().enumerate() {
        let at = KeyPath::new(["metrics", "extra"]).join(index.to_string());
        let metric = metric(&at, name, source)?;
        if extra.contains(&metric) {
            let message = format!("`metrics.extra`: `{name}` is given twice");
            return Err(source
                .at_value(&at, message)
                .hint("leave one of the two out"));
        }
        extra.push(metric);
    }
    extra.sort_unstable();
    Ok(extra)
}

fn metric(at: &KeyPath, name: &str, source: &Source) -> Result<Metric, Diagnostic> {
    let refuse = |message: &str| source.at_value(at, format!("`metrics.extra`: {message}"));
    let on_request = Metric::ALL.iter().filter(|metric| metric.is_on_request());
    let known: Vec<String> = on_request.map(|metric| metric.example_name()).collect();
    match named_metric(name, &known) {
        Ok(metric) if metric.is_on_request() => Ok(metric),
        Ok(
            metric @ (Metric::Loss
            | Metric::AuxiliaryLoss
            | Metric::DistillationLoss
            | Metric::LossWeight),
        ) => Err(refuse(&format!(
            "`{}` is of training, and no score of a split",
            metric.name()
        ))
        .hint("leave it out: `curves.csv` has it")),
        Ok(_) => Err(
            refuse(&format!("`{name}` is one that every experiment has"))
                .hint("leave it out: it is computed wherever rows have it"),
        ),
        Err(refusal) => Err(refusal.of(refuse(&refusal.message))),
    }
}

/// A table of a cohort.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBuckets {
    training_rows: Vec<u64>,
}

fn cohort(at: &KeyPath, value: &toml::Value, source: &Source) -> Result<Cohort, Diagnostic> {
    let name = at.last().unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        let message = format!("`{at}`: a cohort can't be called `{name}`");
        let said = source.at_key(at, message);
        return Err(said.hint("use letters, digits, `_`, `-` and `.`"));
    }
    let hint = format!(
        "write {name} = \"a_column\", {name} = \"a_column > 3\", {name} = \"{NEW_USERS}\" or {name} = {{ training_rows = [1, 10] }}"
    );
    match value {
        toml::Value::String(text) if !text.trim().is_empty() => {
            let words: Vec<&str> = text.split_whitespace().collect();
            // However it is spaced, the cell is the same.
            Ok(Cohort::Expression(match words.join(" ") == NEW_USERS {
                true => NEW_USERS.to_owned(),
                false => text.trim().to_owned(),
            }))
        }
        toml::Value::Table(_) => {
            let buckets: WireBuckets = homebench_diagnostic::read(value)
                .map_err(|refusal| super::Locator::new(source).refuse(&refusal.within(at)))?;
            let rows = buckets.training_rows;
            let place = at.join("training_rows");
            let rises = rows.is_sorted_by(|a, b| a < b);
            if rows.is_empty() || rows[0] == 0 || !rises {
                let message = format!(
                    "`{place}`: expected rising numbers of training rows, the first 1 or more, found {rows:?}"
                );
                return Err(source
                    .at_value(&place, message)
                    .hint("[1, 10] makes the buckets 0, 1 to 9, and 10 or more"));
            }
            Ok(Cohort::TrainingRows {
                training_rows: rows,
            })
        }
        other => {
            let message =
                format!("`{at}`: expected a column, an SQL expression or buckets, found {other}");
            Err(source.at_value(at, message).hint(hint))
        }
    }
}

/// The tables of a resolved spec; nothing where nothing is asked for.
pub(super) fn written(scoring: &Scoring) -> String {
    let mut text = String::new();
    let mut add = |name: &str, table: toml::Value| {
        let root = BTreeMap::from([(name, table)]);
        text += &toml::to_string(&root).expect("scores are plain TOML");
        text.push('\n');
    };
    if !scoring.metrics.is_default() {
        let metrics = toml::Value::try_from(&scoring.metrics).expect("scores are plain TOML");
        add("metrics", metrics);
    }
    if !scoring.cohorts.is_empty() {
        let cohorts = toml::Value::try_from(&scoring.cohorts).expect("scores are plain TOML");
        add("cohorts", cohorts);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use homebench_metric::Metric;
    use homebench_train::{Cohort, Scoring};

    const BASE: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n[variants.a]\nmodel = \"mmoe\"\n";

    fn load_with(tables: &str) -> Result<Scoring, homebench_diagnostic::Diagnostic> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{BASE}{tables}")).unwrap();
        load(&path, &[]).map(|(experiment, _)| experiment.scoring)
    }

    #[test]
    fn metrics_come_in_the_order_of_tables_and_cohorts_by_name() {
        let scoring = load_with(
            "[metrics]\nextra = [\"ndcg@10\", \"pr_auc\", \"ndcg@5\"]\ngroup = \"session\"\n\
             [cohorts]\ntab = \" tab \"\nnew = \"user  not in train\"\nactivity = { training_rows = [1, 10] }\n",
        )
        .unwrap();
        let names: Vec<&str> = scoring
            .metrics
            .extra
            .iter()
            .map(|metric| metric.name())
            .collect();
        assert_eq!(names, ["pr_auc", "ndcg@5", "ndcg@10"]);
        assert!(scoring.metrics.extra.contains(&Metric::PrAuc));
        assert_eq!(scoring.metrics.group.as_deref(), Some("session"));
        let names: Vec<&String> = scoring.cohorts.keys().collect();
        assert_eq!(names, ["activity", "new", "tab"]);
        assert!(scoring.cohorts["new"].is_of_users());
        assert_eq!(scoring.cohorts["tab"], Cohort::Expression("tab".into()));
        let written = super::written(&scoring);
        assert_eq!(load_with(&written).unwrap(), scoring, "{written}");
        assert_eq!(super::written(&Scoring::default()), "");
    }

    #[test]
    fn what_no_metric_or_cohort_can_be_is_refused_with_its_place_and_a_fix() {
        for (tables, said, hint) in [
            (
                "[metrics]\nextra = [\"pr_acu\"]",
                "there is no metric `pr_acu`",
                "did you mean `pr_auc`?",
            ),
            (
                "[metrics]\nextra = [\"ndgc@10\"]",
                "there is no metric `ndgc@10`",
                "did you mean `ndcg`?",
            ),
            (
                "[metrics]\nextra = [\"ndcg@0\"]",
                "expected a number of first rows, 1 or more, after the @ of `ndcg@0`",
                "write `ndcg@10`",
            ),
            (
                "[metrics]\nextra = [\"recall@ten\"]",
                "1 or more, after the @ of `recall@ten`",
                "write `recall@10`",
            ),
            (
                "[metrics]\nextra = [\"recall\"]",
                "`recall` needs the number of first rows",
                "write `recall@10`",
            ),
            (
                "[metrics]\nextra = [\"pr_auc@10\"]",
                "`pr_auc` is of all rows",
                "write `pr_auc`",
            ),
            (
                "[metrics]\nextra = [\"auc\"]",
                "`auc` is one that every experiment has",
                "leave it out",
            ),
            (
                "[metrics]\nextra = [\"loss\"]",
                "`loss` is of training",
                "curves.csv",
            ),
            (
                "[metrics]\nextra = [\"brier\", \"brier\"]",
                "`brier` is given twice",
                "leave one of the two out",
            ),
            ("[metrics]\nextras = [\"brier\"]", "extras", "extra"),
            (
                "[cohorts]\ntab = 3",
                "expected a column, an SQL expression or buckets, found 3",
                "tab = \"a_column\"",
            ),
            (
                "[cohorts]\ntab = \" \"",
                "expected a column",
                "tab = \"a_column\"",
            ),
            (
                "[cohorts]\n\"a b\" = \"tab\"",
                "a cohort can't be called `a b`",
                "letters, digits",
            ),
            (
                "[cohorts]\na = { training_rows = [] }",
                "expected rising numbers",
                "[1, 10] makes the buckets",
            ),
            (
                "[cohorts]\na = { training_rows = [0, 1] }",
                "found [0, 1]",
                "[1, 10] makes the buckets",
            ),
            (
                "[cohorts]\na = { training_rows = [9, 1] }",
                "found [9, 1]",
                "[1, 10] makes the buckets",
            ),
            ("[cohorts]\na = { rows = [9, 1] }", "rows", "training_rows"),
        ] {
            let refused = load_with(tables).unwrap_err();
            let rendered = refused.render();
            assert!(rendered.contains(said), "{tables}\n{rendered}");
            assert!(rendered.contains(hint), "{tables}\n{rendered}");
            assert_eq!(
                refused.location.map(|place| place.line),
                Some(7),
                "{rendered}"
            );
        }
    }
}
