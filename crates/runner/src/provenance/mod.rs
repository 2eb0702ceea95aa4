//! `provenance.toml`: on what, from what and when an experiment was run.

mod host;
mod usage;

use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::{self as results_folder, ResultsFolder, read_provenance, timestamp};
pub(crate) use host::{cores, cpu_model, memory_bytes};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;
pub use usage::Usage;

/// Where `provenance.toml` has the runs.
const RUNS: &str = "runs";

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
    cells: Vec<String>,
    source: SourceProvenance,
    build: BuildProvenance,
    host: HostProvenance,
    dataset: DatasetProvenance,
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
                .chain(std::env::args().skip(1))
                .collect(),
            started: timestamp(SystemTime::now()),
            ended: None,
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
            place: None,
        }
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
        let mut table = read_provenance(results);
        let mut runs = match table.remove(RUNS) {
            Some(toml::Value::Array(runs)) => runs,
            _ => Vec::new(),
        };
        let run = toml::Value::try_from(&*self)?;
        match self.place.and_then(|place| runs.get_mut(place)) {
            Some(there) => *there = run,
            None => {
                self.place = Some(runs.len());
                runs.push(run);
            }
        }
        table.insert(RUNS.to_owned(), toml::Value::Array(runs));
        let text = toml::to_string(&table)?;
        results_folder::write(&results.provenance(), |out| {
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
    // Asked when it runs, not when it is built: a build script would have to run anew for every commit.
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
        let runs = || match read_provenance(&results).remove(RUNS) {
            Some(toml::Value::Array(runs)) => runs,
            other => panic!("{other:?}"),
        };
        let cells = |run: &toml::Value| run["cells"].to_string();
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
