//! What a run writes of itself before its first cell: its resolved spec, what the report is to say of models and data, and where
//! its numbers come from.

use super::session::Session;
use crate::provenance::{DatasetProvenance, Provenance, SplitProvenance};
use anyhow::Result;
use homebench_data::DataWarning;
use homebench_data::{DatasetRef, Origin, Summary, about_embedded};
use homebench_experiment::spec::{CellDataset, Start, Variant};
use homebench_results::tables::DataWarningsRow;
use homebench_results::{self as record, Facts, ModelFact, ResultsFolder, SourceFact, StartFact};
use homebench_train::{self as train, PretrainedUse};

/// A second run of the same experiment touches nothing.
pub(super) fn write_resolved(results: &ResultsFolder, resolved: &str) -> Result<()> {
    let path = results.resolved_spec();
    if record::read_text(&path)?.is_some_and(|there| there == resolved) {
        return Ok(());
    }
    record::write(&path, |out| Ok(out.write_all(resolved.as_bytes())?))
}

/// What a report is to say of models and data, as this program knows them.
pub(super) fn facts(session: &Session) -> Facts {
    let variants = &session.experiment.variants;
    // Of the models that are used and no others, so that a model that is added changes no folder.
    let is_used = |name: &str| {
        variants
            .iter()
            .any(|variant| variant.configured.model.name() == name)
    };
    let models = homebench_model::registry().into_iter();
    let models = models.filter(|model| is_used(model.name));
    let is_before = |bottom: &str| {
        let mut models = variants.iter().map(|variant| &variant.configured.model);
        models.any(|model| model.bottom() == Some(bottom))
    };
    let bottoms = homebench_model::bottoms().into_iter();
    let bottoms = bottoms.filter(|bottom| is_before(bottom.name));
    let datasets = session.datasets.iter().map(|(_, data)| data);
    let made = datasets.clone().filter(|data| data.origin == Origin::Made);
    let mut names: Vec<&String> = made.map(|data| &data.name).collect();
    // Every split and every point of the knobs has the name of the one source.
    names.dedup();
    let selection = &session.experiment.selection;
    Facts {
        selected_by: (!selection.is_default()).then(|| selection.to_string()),
        starts: variants.iter().filter_map(start_fact).collect(),
        shuffled_by_blocks: datasets
            .clone()
            .any(|data| train::shuffle_notice(data.train.rows).is_some()),
        models: models
            .map(|model| ModelFact {
                name: model.name.to_owned(),
                equation: model.equation.to_owned(),
                paper: model.paper.to_owned(),
            })
            .collect(),
        bottoms: bottoms
            .map(|bottom| ModelFact {
                name: bottom.name.to_owned(),
                equation: bottom.equation.to_owned(),
                paper: bottom.paper.to_owned(),
            })
            .collect(),
        sources: names
            .into_iter()
            .filter_map(|name| {
                Some(SourceFact {
                    name: name.clone(),
                    about: about_embedded(name)?.to_owned(),
                })
            })
            .collect(),
    }
}

/// What a report says of a variant that doesn't begin with fresh weights alone, or whose lists attend in place of being pooled.
fn start_fact(variant: &Variant) -> Option<StartFact> {
    let start = &variant.start;
    let of_start = (*start != Start::default()).then(|| start.to_string());
    let tables = variant.configured.training.pretrained.iter();
    let tables = tables.map(|(table, how)| match how {
        PretrainedUse::Frozen => format!("{table} (frozen)"),
        PretrainedUse::Trained => format!("{table} (trained)"),
    });
    let tables: Vec<String> = tables.collect();
    let pretrained = (!tables.is_empty())
        .then(|| format!("begins with pretrained vectors of {}", tables.join(", ")));
    let lists = &variant.configured.training.attention.lists;
    let lists = lists
        .iter()
        .map(|(list, target)| format!("{list} to {target}"));
    let lists: Vec<String> = lists.collect();
    let attention = (!lists.is_empty()).then(|| {
        let listed = lists.join(", ");
        format!("has lists attend to a target in place of being pooled: {listed}")
    });
    let said = of_start.into_iter().chain(pretrained).chain(attention);
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| StartFact {
        variant: variant.name.clone(),
        from: start.parent_variant().map(str::to_owned),
        said: said.join("; "),
    })
}

/// What is known at the start of a run.
pub(super) fn provenance(session: &Session, jobs: usize, threads: usize) -> Provenance {
    let dataset = session.dataset();
    Provenance::begin(
        jobs,
        threads,
        session.device.to_string(),
        DatasetProvenance {
            name: dataset.name.clone(),
            protocol: dataset.protocol.clone(),
            content_hash: dataset.content_hash.clone(),
            train_rows: dataset.train.rows,
            validation_rows: dataset.validation.rows,
            test_rows: dataset.test_rows,
            origin: dataset.origin.name().to_owned(),
            splits: session.datasets.iter().map(split_provenance).collect(),
        },
    )
}

fn split_provenance((_, data): &(DatasetRef, Summary)) -> SplitProvenance {
    let [train, validation, test] = data.split_digests.clone();
    SplitProvenance {
        split_seed: data.split_seed,
        content_hash: data.content_hash.clone(),
        train_blake3: train,
        validation_blake3: validation,
        test_blake3: test,
    }
}

/// What preparation found in every dataset of the experiment: also where it was prepared long before this run.
pub(super) fn data_warnings(session: &Session) -> Vec<DataWarningsRow> {
    let has_splits = !session.experiment.split_seeds.is_empty();
    let rows = session.datasets.iter().flat_map(|(reference, data)| {
        let title = CellDataset::new(reference, &data.protocol, &data.content_hash).title();
        let split_seed = data.split_seed.filter(|_| has_splits);
        warning_rows(&title, &data.protocol, split_seed, &data.warnings)
    });
    rows.collect()
}

fn warning_rows(
    dataset: &str,
    protocol: &str,
    split_seed: Option<u64>,
    warnings: &[DataWarning],
) -> Vec<DataWarningsRow> {
    let row = |warning: &DataWarning| DataWarningsRow {
        dataset: dataset.to_owned(),
        protocol: protocol.to_owned(),
        split_seed,
        kind: warning.kind.clone(),
        is_loud: warning.is_loud,
        message: warning.message.clone(),
    };
    warnings.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_is_a_row_with_the_data_that_it_is_of() {
        let warning = |kind: &str, is_loud| DataWarning {
            kind: kind.to_owned(),
            is_loud,
            message: format!("about {kind}"),
        };
        let warnings = [warning("unseen_values", true), warning("constant", false)];
        let rows = warning_rows("made[rows=3]", "all", Some(7), &warnings);
        assert_eq!(rows.len(), 2);
        let first = &rows[0];
        assert_eq!(
            (first.dataset.as_str(), first.protocol.as_str()),
            ("made[rows=3]", "all")
        );
        assert_eq!((first.split_seed, first.is_loud), (Some(7), true));
        assert_eq!(rows[1].message, "about constant");
        assert!(warning_rows("made", "all", None, &[]).is_empty());
    }
}
