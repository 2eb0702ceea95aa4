//! `provenance.toml`: on what, from what and when an experiment was run.

mod host;
mod usage;

use crate::execute::HostRecord;
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{Ledger, ResultsFolder, cell_of, timestamp};
pub(crate) use host::{cores, cpu_model, gpus, memory_bytes};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::SystemTime;
pub use usage::Usage;

const LOCKFILE: &str = include_str!("../../../../Cargo.lock");

/// Where the numbers of one run came from.
#[derive(Debug, Clone, Serialize)]
pub struct Provenance {
    homebench_version: String,
    command_line: Vec<String>,
    started: String,
    /// Absent of a run that was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    jobs: usize,
    threads_per_cell: usize,
    device: String,
    /// Where its cells ran, where that isn't this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    executor: Option<String>,
    cells: Vec<String>,
    source: SourceProvenance,
    build: BuildProvenance,
    host: HostProvenance,
    dataset: DatasetProvenance,
    /// The machines of a cluster, each with the cells that ended there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostRecord>,
    /// Its place among the runs of the file, once it is there.
    #[serde(skip)]
    place: Option<usize>,
}

/// The code.
#[derive(Debug, Clone, Serialize)]
struct SourceProvenance {
    #[serde(skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_dirty: Option<bool>,
    /// Of every file that was compiled.
    source_blake3: String,
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
    /// The instruction set that its kernels used.
    instructions: &'static str,
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
    /// Of each split: its seed where there are several, and the digests of its files.
    pub splits: Vec<SplitProvenance>,
}

/// How the rows are divided.
#[derive(Debug, Clone, Serialize)]
pub struct SplitProvenance {
    /// Seed of the split, where rows are divided by a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// Hash of the description, this seed and every source file.
    pub content_hash: String,
    /// Of the prepared training rows.
    pub train_blake3: String,
    /// Of the prepared validation rows.
    pub validation_blake3: String,
    /// Of the prepared test rows.
    pub test_blake3: String,
}

impl Provenance {
    /// What is known at the start of a run.
    pub fn begin(jobs: usize, threads: usize, device: String, dataset: DatasetProvenance) -> Self {
        Self {
            homebench_version: env!("CARGO_PKG_VERSION").to_owned(),
            // Where the program lay is nobody's business but this machine's.
            command_line: std::iter::once("homebench".to_owned())
                .chain(std::env::args_os().skip(1).map(shown))
                .collect(),
            started: timestamp(SystemTime::now()),
            ended: None,
            jobs,
            threads_per_cell: threads,
            device,
            executor: None,
            cells: Vec::new(),
            source: source(),
            build: build(),
            host: HostProvenance {
                cpu_model: host::cpu_model(),
                cores: host::cores(),
                instructions: homebench_kernels::simd::instruction_set().name(),
                caches: host::caches(),
                gpus: host::gpus(),
                memory_bytes: host::memory_bytes(),
                operating_system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            },
            dataset,
            hosts: Vec::new(),
            place: None,
        }
    }

    /// Says what starts the processes of cells, where they are on other machines.
    pub fn set_executor(&mut self, name: &str) {
        self.executor = Some(name.to_owned());
    }

    /// Says where cells ended; it is written with the end of the run.
    pub fn set_hosts(&mut self, hosts: Vec<HostRecord>) {
        self.hosts = hosts;
    }

    /// Adds cells that this run is about to train, and writes it to `provenance.toml` at once, so that a kill leaves no cell
    /// without one. A folder may be the work of several runs: of those that list a cell, the last made what is there.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_out(
        &mut self,
        cells: impl IntoIterator<Item = String>,
        results: &ResultsFolder,
    ) -> Result<()> {
        self.cells.extend(cells);
        self.write(results)
    }

    /// Writes now as the end of this run, if it set out on anything.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn complete(&mut self, results: &ResultsFolder) -> Result<()> {
        if self.place.is_none() {
            return Ok(());
        }
        self.ended = Some(timestamp(SystemTime::now()));
        self.write(results)
    }

    fn write(&mut self, results: &ResultsFolder) -> Result<()> {
        // Read anew each time: seals are in the same file.
        let mut ledger = Ledger::read(results)
            .map_err(Diagnostic::from)?
            .unwrap_or_default();
        // Until they have ended, and are sealed again.
        let is_set_out_on =
            |name: &str| cell_of(name).is_some_and(|id| self.cells.iter().any(|cell| cell == id));
        ledger.withdraw(is_set_out_on);
        let run = toml::Table::try_from(&*self)?;
        match self.place.and_then(|place| ledger.runs.get_mut(place)) {
            Some(there) => *there = run,
            None => {
                self.place = Some(ledger.runs.len());
                ledger.runs.push(run);
            }
        }
        ledger.write(results)
    }

    /// Refuses sources that no commit holds.
    ///
    /// # Errors
    /// Changes that are not committed, or sources that git knows nothing of.
    pub fn require_clean(&self) -> Result<(), Diagnostic> {
        let refuse = |message: &str| Err(Diagnostic::new("--require-clean", message));
        match (&self.source.git_commit, self.source.git_dirty) {
            (Some(_), Some(false)) => Ok(()),
            (Some(_), Some(true)) => {
                refuse("this program was built from sources with changes that are not committed")
                    .map_err(|said| {
                        said.hint(
                            "commit them and build it again, or run without `--require-clean`",
                        )
                    })
            }
            _ => refuse(
                "this program was built where git didn't tell of which commit the sources are",
            )
            .map_err(|said| said.hint("build from a clone, and have git installed")),
        }
    }
}

/// What tells this program from others that were built from other sources or in another way.
pub(crate) fn build_id() -> String {
    let parts = [
        env!("CARGO_PKG_VERSION"),
        env!("HOMEBENCH_SOURCE_BLAKE3"),
        env!("HOMEBENCH_RUSTC"),
        env!("HOMEBENCH_RUSTFLAGS"),
        env!("HOMEBENCH_TARGET"),
        env!("HOMEBENCH_OPT_LEVEL"),
    ];
    blake3::hash(parts.join("\n").as_bytes())
        .to_hex()
        .to_string()
}

/// An argument as text; of one that is no UTF-8, other bytes than ASCII's as `\xff`.
fn shown(argument: OsString) -> String {
    let escaped = |argument: OsString| argument.as_encoded_bytes().escape_ascii().to_string();
    argument.into_string().unwrap_or_else(escaped)
}

/// The sources that this program was built from, as they were then.
fn source() -> SourceProvenance {
    SourceProvenance {
        git_commit: option_env!("HOMEBENCH_GIT_COMMIT").map(str::to_owned),
        git_dirty: option_env!("HOMEBENCH_GIT_DIRTY").map(|text| text == "true"),
        source_blake3: env!("HOMEBENCH_SOURCE_BLAKE3").to_owned(),
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
    let table: toml::Table = toml::from_str(lockfile).expect("cargo writes its lockfile as TOML");
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
    fn a_run_is_there_from_its_start_and_completed_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path());
        let begin = || {
            let dataset = DatasetProvenance {
                name: "feed".into(),
                protocol: "all".into(),
                content_hash: "aa".into(),
                train_rows: 3,
                validation_rows: 2,
                test_rows: 1,
                origin: "made".into(),
                splits: Vec::new(),
            };
            Provenance::begin(1, 1, "cpu".into(), dataset)
        };
        let runs = || Ledger::read(&results).unwrap().unwrap().runs;
        let cells = |run: &toml::Table| run["cells"].to_string();
        let mut killed = begin();
        killed
            .set_out(["a".to_owned(), "b".to_owned()], &results)
            .unwrap();
        let mut whole = begin();
        whole.set_out(["b".to_owned()], &results).unwrap();
        whole.set_out(["c".to_owned()], &results).unwrap();
        whole.complete(&results).unwrap();
        // One with nothing to do leaves no trace.
        begin().complete(&results).unwrap();
        let runs = runs();
        assert_eq!(runs.len(), 2);
        assert_eq!(cells(&runs[0]), r#"["a", "b"]"#);
        assert_eq!(cells(&runs[1]), r#"["b", "c"]"#);
        assert!(runs[0].get("ended").is_none() && runs[1].get("ended").is_some());
        // Where the test program lies is not written down.
        assert_eq!(runs[0]["command_line"][0].as_str(), Some("homebench"));
    }

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
