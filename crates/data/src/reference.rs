//! Which data a spec asks for, and where files are looked for.

use std::path::{Path, PathBuf};

/// The part of a spec that names its data.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetRef {
    /// Name of a description: `census-income` is `census-income.toml` in [`Places::descriptions`].
    pub name: String,
    /// A protocol of the description; its default where absent.
    pub protocol: Option<String>,
    /// Which of its rows.
    pub rows: RowSubset,
    /// Seed of the split, for a description that divides rows by a hash; that of the description where absent.
    pub split_seed: Option<u64>,
    /// Knobs of an embedded source in place of those of the description.
    pub knobs: toml::Table,
}

impl DatasetRef {
    /// All rows of a dataset under its default protocol.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            protocol: None,
            rows: RowSubset::All,
            split_seed: None,
            knobs: toml::Table::new(),
        }
    }
}

/// How many rows of a dataset are used: a seeded hash of the row's index decides, in every split alike.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum RowSubset {
    /// Every row.
    #[default]
    All,
    /// This many training rows, and the same share of the rows of the other splits.
    TrainRows(usize),
    /// This share of the rows of every split, in (0, 1].
    Fraction(f64),
}

/// The folders that data passes through.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// Where descriptions are: `<name>.toml`.
    pub descriptions: PathBuf,
    /// Where source files are: `<data>/<dataset>/<file>`, or `<data>/<file>` where there is no such folder.
    pub data: PathBuf,
    /// Where prepared datasets are kept.
    pub cache: PathBuf,
}

impl Places {
    /// Folders from arguments, then from `HOMEBENCH_DATA` and `HOMEBENCH_CACHE`, then `.homebench/data` and
    /// `.homebench/cache` under the nearest folder upwards of the working directory that holds `experiments/datasets`
    /// (the working directory itself where none does).
    pub fn resolve(
        descriptions: Option<&Path>,
        data_dir: Option<&Path>,
        cache_dir: Option<&Path>,
    ) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        // Upwards, so that commands work in every folder of a clone.
        let home = here
            .ancestors()
            .find(|folder| folder.join("experiments/datasets").is_dir())
            .unwrap_or(&here);
        let pick = |argument: Option<&Path>, variable: Option<&str>, default: &str| {
            argument
                .map(Path::to_path_buf)
                .or_else(|| {
                    // One that is empty says nothing, as in shells.
                    let value = variable.and_then(std::env::var_os);
                    value.filter(|value| !value.is_empty()).map(PathBuf::from)
                })
                .unwrap_or_else(|| home.join(default))
        };
        Self {
            descriptions: pick(descriptions, None, "experiments/datasets"),
            data: pick(data_dir, Some("HOMEBENCH_DATA"), ".homebench/data"),
            cache: pick(cache_dir, Some("HOMEBENCH_CACHE"), ".homebench/cache"),
        }
    }
}
