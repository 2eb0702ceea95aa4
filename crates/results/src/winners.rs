//! `winners.toml`: which trial of each variant won on validation, written before any final cell is trained.

use super::atomic;
use super::kept::{Flaw, Unusable, read_kept, write_kept};
use super::layout::ResultsFolder;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

const HEADER: &str = "\
# Chosen on validation before any final cell was trained, and not chosen again unless a run is given --fresh.\n";

/// What tuning came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Winners {
    /// In the order of the plan.
    #[serde(default)]
    pub winners: Vec<Winner>,
}

/// The winner of a variant on a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Winner {
    /// Name of the variant.
    pub variant: String,
    /// Seed of the split, where rows are divided by a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// Number of the trial, from 1.
    pub trial: usize,
    /// Its score.
    pub validation_score: f64,
    /// What it was chosen from, in the order of trials.
    pub trials: Vec<TriedSettings>,
}

/// A trial and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedSettings {
    /// Mean over its seeds; absent where one failed, which counts as worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_score: Option<f64>,
    /// Ids, by seed.
    pub cells: Vec<String>,
    /// What it set.
    pub settings: toml::Table,
}

impl Winners {
    /// Those of a results folder; none where no winner was frozen.
    ///
    /// # Errors
    /// A file that is not what [`Winners::write`] writes.
    pub fn read(results: &ResultsFolder) -> Result<Self, Diagnostic> {
        Ok(Self::read_or_why(results)?)
    }

    /// As [`Self::read`], with why it can't be used.
    pub(crate) fn read_or_why(results: &ResultsFolder) -> Result<Self, Unusable> {
        let path = results.winners();
        let kept = read_kept::<Self>(&path).map_err(|unusable| match unusable.flaw {
            Flaw::Newer => unusable,
            Flaw::Damaged | Flaw::Altered => altered(unusable.flaw, unusable.said),
        })?;
        let winners = kept.map(|kept| kept.content).unwrap_or_default();
        match winners.winners.iter().find(|winner| !winner.is_best()) {
            None => Ok(winners),
            Some(winner) => {
                let message = format!(
                    "trial {} of `{}` is not the first with the best score in the file",
                    winner.trial, winner.variant
                );
                let said = Diagnostic::new(path.display().to_string(), message);
                Err(altered(Flaw::Altered, said))
            }
        }
    }

    /// The winner of a variant on a split.
    pub fn of(&self, variant: &str, split_seed: Option<u64>) -> Option<&Winner> {
        let is = |winner: &&Winner| winner.variant == variant && winner.split_seed == split_seed;
        self.winners.iter().find(is)
    }

    /// Writes the file; removes it where there is no winner.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, results: &ResultsFolder) -> Result<()> {
        let path = results.winners();
        if self.winners.is_empty() {
            return Ok(atomic::remove(&path)?);
        }
        write_kept(&path, HEADER, self)
    }
}

impl Winner {
    /// The earliest trial with the best score; absent where every one failed.
    pub fn best(trials: &[TriedSettings]) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (index, trial) in trials.iter().enumerate() {
            if let Some(score) = trial.validation_score
                // Not `>=`: of equal scores the earliest trial stays, as METHODOLOGY says.
                && best.is_none_or(|(_, other)| score > other)
            {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index + 1)
    }

    fn is_best(&self) -> bool {
        Self::best(&self.trials) == Some(self.trial)
            && self.trials[self.trial - 1].validation_score == Some(self.validation_score)
    }
}

fn altered(flaw: Flaw, said: Diagnostic) -> Unusable {
    let said = said.hint("the file was altered: restore it, or tune again with `--fresh`");
    Unusable { flaw, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(score: Option<f64>) -> TriedSettings {
        TriedSettings {
            validation_score: score,
            cells: vec!["aa".into()],
            settings: toml::from_str("\"training.learning_rate\" = 0.01").unwrap(),
        }
    }

    fn winners() -> Winners {
        Winners {
            winners: vec![Winner {
                variant: "home".into(),
                split_seed: Some(3),
                trial: 2,
                validation_score: 0.75,
                trials: vec![tried(None), tried(Some(0.75)), tried(Some(0.75))],
            }],
        }
    }

    #[test]
    fn the_earliest_of_the_best_wins_and_a_failed_trial_is_worst() {
        let best = |scores: &[Option<f64>]| {
            Winner::best(&scores.iter().map(|score| tried(*score)).collect::<Vec<_>>())
        };
        assert_eq!(best(&[Some(0.5), Some(0.7), Some(0.7)]), Some(2));
        assert_eq!(best(&[None, Some(f64::NEG_INFINITY)]), Some(2));
        assert_eq!(best(&[None, None]), None);
    }

    #[test]
    fn winners_come_back_and_one_that_was_not_best_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        assert_eq!(Winners::read(&results).unwrap(), Winners::default());
        winners().write(&results).unwrap();
        let read = Winners::read(&results).unwrap();
        assert_eq!(read, winners());
        assert!(read.of("home", Some(3)).is_some() && read.of("home", None).is_none());
        let path = results.winners();
        let text = std::fs::read_to_string(&path).unwrap();
        // Of the first format, which has no digest.
        let first = text.replace("format = 2\n", "");
        let first = first.split("# blake3").next().unwrap();
        std::fs::write(&path, first.replace("trial = 2", "trial = 3")).unwrap();
        let said = Winners::read(&results).unwrap_err().to_string();
        assert!(
            said.contains("trial 3 of `home` is not the first with the best"),
            "{said}"
        );
        // A winner less, as of a file that was cut.
        let start = text.find("[[winners]]").unwrap();
        for damaged in ["winners = 1", &text[..start], ""] {
            std::fs::write(&path, damaged).unwrap();
            let said = Winners::read(&results).unwrap_err().to_string();
            assert!(said.contains("tune again with `--fresh`"), "{said}");
        }
    }
}
