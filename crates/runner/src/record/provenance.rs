//! `provenance.toml`: on what, from what and when an experiment was run.

use super::host;
use super::layout::ResultsFolder;
use super::{atomic, time};
use anyhow::Result;
use serde::Serialize;
use std::time::SystemTime;

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
}

impl Provenance {
    /// What is known at the start of a run.
    pub fn begin(
        jobs: usize,
        threads: usize,
        device: String,
        cells: Vec<String>,
        dataset: DatasetProvenance,
    ) -> Self {
        Self {
            homebench_version: env!("CARGO_PKG_VERSION").to_owned(),
            command_line: std::env::args().collect(),
            started: time::timestamp(SystemTime::now()),
            ended: String::new(),
            jobs,
            threads_per_cell: threads,
            device,
            cells,
            source: source(),
            build: build(),
            host: HostProvenance {
                cpu_model: host::cpu_model(),
                cores: host::cores(),
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
    pub fn write(mut self, results: &ResultsFolder) -> Result<()> {
        self.ended = time::timestamp(SystemTime::now());
        let mut runs = earlier_runs(results);
        runs.push(toml::Value::try_from(&self)?);
        let text = toml::to_string(&toml::Table::from_iter([(
            "runs".to_owned(),
            toml::Value::Array(runs),
        )]))?;
        atomic::write(&results.provenance(), |out| {
            Ok(out.write_all(text.as_bytes())?)
        })
    }
}

fn earlier_runs(results: &ResultsFolder) -> Vec<toml::Value> {
    let table = std::fs::read_to_string(results.provenance())
        .ok()
        .and_then(|text| toml::from_str::<toml::Table>(&text).ok());
    match table.and_then(|mut table| table.remove("runs")) {
        Some(toml::Value::Array(runs)) => runs,
        _ => Vec::new(),
    }
}

/// The state of the sources that the binary was built from, as long as they are where they were.
fn source() -> SourceProvenance {
    let git = |arguments: &[&str]| {
        let folder = ["-C", env!("CARGO_MANIFEST_DIR")];
        host::output("git", &[&folder, arguments].concat())
    };
    let diff = git(&["diff", "HEAD"]);
    let dirty =
        git(&["status", "--porcelain", "--untracked-files=no"]).map(|text| !text.is_empty());
    SourceProvenance {
        git_commit: git(&["rev-parse", "HEAD"]),
        git_dirty: dirty,
        git_diff_blake3: diff
            .filter(|text| !text.is_empty())
            .map(|text| blake3::hash(text.as_bytes()).to_hex().to_string()),
        cargo_lock_blake3: blake3::hash(LOCKFILE.as_bytes()).to_hex().to_string(),
    }
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
