//! `provenance.toml`: on what, from what and when an experiment was run.

use super::host;
use super::layout::ResultsFolder;
use super::{atomic, seal, time};
use crate::diagnostic::Diagnostic;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Where `provenance.toml` has the runs.
const RUNS: &str = "runs";

const LOCKFILE: &str = include_str!("../../../../Cargo.lock");

/// Where the numbers of one run came from.
#[derive(Debug, Clone, Serialize)]
pub struct Provenance {
    homebench_version: String,
    command_line: Vec<String>,
    started: String,
    ended: String,
    jobs: usize,
    threads_per_cell: usize,
    device: String,
    cells: Vec<String>,
    source: SourceProvenance,
    build: BuildProvenance,
    host: HostProvenance,
    dataset: DatasetProvenance,
}

/// The code.
#[derive(Debug, Clone, Serialize)]
struct SourceProvenance {
    #[serde(skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_dirty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_diff_blake3: Option<String>,
    cargo_lock_blake3: String,
    /// Of the crates that compute or keep numbers.
    crate_versions: BTreeMap<String, String>,
}

/// The build.
#[derive(Debug, Clone, Serialize)]
struct BuildProvenance {
    rustc: String,
    rustflags: String,
    target: String,
    opt_level: String,
    allocator: String,
}

/// The machine.
#[derive(Debug, Clone, Serialize)]
struct HostProvenance {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_model: Option<String>,
    cores: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    caches: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    operating_system: String,
}

/// The data.
#[derive(Debug, Clone, Serialize)]
pub struct DatasetProvenance {
    /// Name of the description.
    pub name: String,
    /// The protocol.
    pub protocol: String,
    /// Hash of the description and of every source file.
    pub content_hash: String,
    /// Rows of the training split.
    pub train_rows: usize,
    /// Rows of the validation split.
    pub validation_rows: usize,
    /// Rows of the test split.
    pub test_rows: usize,
    /// Where its source files come from: `made`, `fetched` or `placed`.
    pub origin: String,
}

impl Provenance {
    /// What is known at the start of a run.
    pub fn begin(jobs: usize, threads: usize, device: String, dataset: DatasetProvenance) -> Self {
        Self {
            homebench_version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: std::env::args().collect(),
            started: time::timestamp(SystemTime::now()),
            ended: String::new(),
            jobs,
            threads_per_cell: threads,
            device,
            cells: Vec::new(),
            source: source(),
            build: build(),
            host: HostProvenance {
                cpu_model: host::cpu_model(),
                cores: host::cores(),
                caches: host::caches(),
                gpus: host::gpus(),
                memory_bytes: host::memory_bytes(),
                operating_system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            },
            dataset,
        }
    }

    /// Adds this run, with now as its end, to `provenance.toml`: a folder may be the work of several runs, and each
    /// lists the cells that it trained.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(mut self, cells: Vec<String>, results: &ResultsFolder) -> Result<()> {
        self.cells = cells;
        self.ended = time::timestamp(SystemTime::now());
        let mut table = seal::read(results);
        let mut runs = match table.remove(RUNS) {
            Some(toml::Value::Array(runs)) => runs,
            _ => Vec::new(),
        };
        runs.push(toml::Value::try_from(&self)?);
        table.insert(RUNS.to_owned(), toml::Value::Array(runs));
        let text = toml::to_string(&table)?;
        atomic::write(&results.provenance(), |out| {
            Ok(out.write_all(text.as_bytes())?)
        })
    }

    /// Refuses sources that no commit holds.
    ///
    /// # Errors
    /// Changes that are not committed, or sources that git knows nothing of.
    pub fn require_clean(&self) -> Result<(), Diagnostic> {
        let refuse = |message: &str| Err(Diagnostic::new("--require-clean", message));
        match (&self.source.git_commit, self.source.git_dirty) {
            (Some(_), Some(false)) => Ok(()),
            (Some(_), Some(true)) => refuse("the sources have changes that are not committed")
                .map_err(|said| said.hint("commit them, or run without `--require-clean`")),
            _ => refuse("git doesn't tell which commit the sources are of")
                .map_err(|said| said.hint("build from a clone, and have git installed")),
        }
    }
}

/// The state of the sources that the binary was built from, as long as they are where they were.
fn source() -> SourceProvenance {
    let git = |arguments: &[&str]| {
        let folder = ["-C", env!("CARGO_MANIFEST_DIR")];
        host::output("git", &[&folder, arguments].concat())
    };
    // Results are what runs write, and no source.
    let sources = [":/", ":(top,exclude)results"];
    let diff = git(&[&["diff", "HEAD", "--"], &sources[..]].concat());
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let dirty = git(&[&status[..], &sources].concat()).map(|text| !text.is_empty());
    SourceProvenance {
        git_commit: git(&["rev-parse", "HEAD"]),
        git_dirty: dirty,
        git_diff_blake3: diff
            .filter(|text| !text.is_empty())
            .map(|text| blake3::hash(text.as_bytes()).to_hex().to_string()),
        cargo_lock_blake3: blake3::hash(LOCKFILE.as_bytes()).to_hex().to_string(),
        crate_versions: crate_versions(LOCKFILE),
    }
}

/// Crates whose version a number may depend on.
const CRATES: [&str; 8] = [
    "arrow",
    "candle-core",
    "gemm",
    "half",
    "mimalloc",
    "rayon",
    "safetensors",
    "toml",
];

/// Versions that a lockfile has of [`CRATES`]; several of one crate are separated by spaces.
fn crate_versions(lockfile: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::<String, String>::new();
    let table: toml::Table = toml::from_str(lockfile).unwrap_or_default();
    let packages = table.get("package").and_then(toml::Value::as_array);
    for package in packages.into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        if let (Some(name), Some(version)) = (text("name"), text("version"))
            && CRATES.contains(&name)
        {
            let known = versions.entry(name.to_owned()).or_default();
            if !known.is_empty() {
                known.push(' ');
            }
            known.push_str(version);
        }
    }
    versions
}

fn build() -> BuildProvenance {
    BuildProvenance {
        rustc: env!("HOMEBENCH_RUSTC").to_owned(),
        rustflags: env!("HOMEBENCH_RUSTFLAGS").to_owned(),
        target: env!("HOMEBENCH_TARGET").to_owned(),
        opt_level: env!("HOMEBENCH_OPT_LEVEL").to_owned(),
        allocator: "mimalloc".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lockfile() {
        let versions = crate_versions(
            "[[package]]\nname = \"gemm\"\nversion = \"0.18.2\"\n[[package]]\nname = \"gemm\"\nversion = \"0.19.0\"\n",
        );
        assert_eq!(versions["gemm"], "0.18.2 0.19.0");
        let own = crate_versions(LOCKFILE);
        assert!(CRATES.iter().all(|name| own.contains_key(*name)), "{own:?}");
    }
}
