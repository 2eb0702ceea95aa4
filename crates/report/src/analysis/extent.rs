//! How much of an experiment a report is of: what has not ended yet, and what was left out on purpose.

use crate::format::{counted, named, seeds};
use homebench_results::read::distinct;

/// A cell that the spec asks for and that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingCell {
    /// Its variant, with its split where there are several.
    pub variant: String,
    /// Its seed.
    pub seed: u64,
    /// `missing`, `running`, `unfinished` and the like.
    pub state: &'static str,
}

/// What a report is of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent {
    /// Cells that the spec asks for; 0 where that isn't known.
    pub num_planned: usize,
    /// Those that have not ended.
    pub missing: Vec<MissingCell>,
    /// The pattern of the cells that are reported, where it is not all of them.
    pub only: Option<String>,
    /// Cells that ended and don't fit the pattern.
    pub num_left_out: usize,
    /// Whether the numbers come from the cells, since the tables lack some that have ended.
    pub is_of_cells: bool,
}

impl Extent {
    /// What lacks, in a sentence or two; nothing where everything is here.
    pub(crate) fn sentence(&self) -> Option<String> {
        let mut said = Vec::new();
        if let Some(pattern) = &self.only {
            said.push(format!(
                "Only cells that fit `{pattern}` are reported; {} left out.",
                match self.num_left_out {
                    1 => "1 other that ended is".to_owned(),
                    number => format!("{number} others that ended are"),
                }
            ));
        }
        if !self.missing.is_empty() {
            let have = if self.missing.len() == 1 {
                "has"
            } else {
                "have"
            };
            said.push(format!(
                "{} of {} {have} not ended: {}.",
                self.missing.len(),
                counted(self.num_planned, "cell"),
                named(self.by_variant())
            ));
        }
        if self.is_of_cells {
            said.push("Read from the cells that have ended; warnings of the data and the parts of models come with the tables when the run ends.".to_owned());
        }
        (!said.is_empty()).then(|| said.join(" "))
    }

    /// `home (seeds 1, 2, 3: missing)`.
    fn by_variant(&self) -> Vec<String> {
        let keys = self.missing.iter().map(|cell| (&cell.variant, cell.state));
        let keys = distinct(keys).into_iter();
        let words = keys.map(|(variant, state)| {
            let cells = self.missing.iter();
            let same = cells.filter(|cell| (&cell.variant, cell.state) == (variant, state));
            let of_variant: Vec<u64> = same.map(|cell| cell.seed).collect();
            let word = if of_variant.len() == 1 {
                "seed"
            } else {
                "seeds"
            };
            let seeds = seeds(of_variant);
            match state {
                "missing" => format!("{variant} ({word} {seeds})"),
                _ => format!("{variant} ({word} {seeds}, {state})"),
            }
        });
        words.collect()
    }
}
