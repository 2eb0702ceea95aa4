//! Starts the binary and looks at what it left.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A quickstart that takes seconds: few rows, one epoch, small models.
pub(crate) const SMALL: &[&str] = &[
    "--set",
    "dataset.rows=3000",
    "--set",
    "training.max_epochs=2",
    "--set",
    "training.batch_size=256",
];

/// Files of a results folder that tell how a run went and not what it found.
const MAY_DIFFER: [&str; 4] = ["provenance.toml", "log.txt", ".lock", ".drawn.toml"];
/// The table of times, and the charts drawn from it.
const WITH_TIMES: &str = "throughput";

/// Prepared data is keyed by content and safe to share, so it is prepared once for all tests of a process.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a member of a workspace")
}

/// A file of the repository's experiments.
pub(crate) fn experiment(name: &str) -> String {
    let path = repository().join("experiments").join(name);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// An empty folder to run the binary in.
pub(crate) struct Bench {
    folder: TempDir,
}

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
        }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    /// Reads a file of the folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a cell that ended keeps as text: `cell.toml`, or its part of a table.
    pub(crate) fn part(&self, cell: &str, name: &str) -> String {
        let outcome: toml::Table =
            toml::from_str(&self.read(&format!("{cell}/outcome.toml"))).expect("TOML");
        let part = outcome["parts"].get(name);
        let part = part.unwrap_or_else(|| panic!("{cell} has no {name}"));
        part.as_str().expect("a text").to_owned()
    }

    /// Makes a cell that ended one that has not, as a kill just before its end leaves it.
    pub(crate) fn take_outcome(&self, cell: &str) {
        let content = self.part(cell, "cell.toml");
        self.write(&format!("{cell}/cell.toml"), &content);
        std::fs::remove_file(self.path(&format!("{cell}/outcome.toml"))).expect("an outcome");
    }

    /// Reads report.md of a results folder, with each paragraph on one line, as Markdown has it.
    pub(crate) fn report(&self, folder: &str) -> String {
        let mut report = String::new();
        let mut before = "";
        let text = self.read(&format!("{folder}/report.md"));
        for line in text.lines() {
            let begins = line.starts_with(['|', '#', '-', '`', '<', '!']);
            let goes_on = !begins && !line.is_empty() && !before.is_empty();
            report += match goes_on {
                true => " ",
                false => "\n",
            };
            report += if goes_on { line.trim_start() } else { line };
            before = line;
        }
        report + "\n"
    }

    /// The binary with these arguments, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homebench-under-test"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env("HOMEBENCH_DATA", self.path("data"))
            .env("HOMEBENCH_CACHE", CACHE.path())
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::finish(&mut self.command(arguments))
    }

    /// Runs the binary with a variable of the environment.
    pub(crate) fn run_with(&self, (name, value): (&str, &str), arguments: &[&str]) -> Ran {
        Ran::finish(self.command(arguments).env(name, value))
    }

    /// Runs an experiment of the repository, cut down, into `out`.
    pub(crate) fn quickstart(&self, out: &str, more: &[&str]) -> Ran {
        // A variable that every process has anyway.
        self.quickstart_with(("NO_COLOR", "1"), out, more)
    }

    /// The same with a variable of the environment.
    pub(crate) fn quickstart_with(&self, variable: (&str, &str), out: &str, more: &[&str]) -> Ran {
        let spec = experiment("quickstart.toml");
        let descriptions = experiment("datasets");
        let mut arguments = vec!["run", &spec, "--out", out, "--descriptions", &descriptions];
        arguments.extend(SMALL);
        arguments.extend(more);
        self.run_with(variable, &arguments)
    }

    /// Takes the digests from a results folder, so that what a test changes by hand is read as if it were written so.
    pub(crate) fn unseal(&self, out: &str) {
        let name = format!("{out}/provenance.toml");
        let provenance: toml::Table = toml::from_str(&self.read(&name)).expect("TOML");
        let runs = toml::Table::from_iter([("runs".to_owned(), provenance["runs"].clone())]);
        self.write(&name, &toml::to_string(&runs).expect("TOML"));
    }

    /// Rows of a CSV file of the folder, without the header.
    pub(crate) fn rows(&self, name: &str) -> Vec<csv::StringRecord> {
        rows(&self.read(name))
    }

    /// The same of a cell's part of a table.
    pub(crate) fn rows_of(&self, cell: &str, name: &str) -> Vec<csv::StringRecord> {
        rows(&self.part(cell, name))
    }

    /// Fails, naming the first file, unless two results folders are the same but for times, logs and the lock.
    #[track_caller]
    pub(crate) fn assert_same_results(&self, found: &str, expected: &str) {
        let difference = self.difference(found, expected);
        assert_eq!(difference, None);
    }

    /// What differs first between two results folders, times, logs and the lock aside.
    pub(crate) fn difference(&self, found: &str, expected: &str) -> Option<String> {
        let has_times = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(WITH_TIMES)
        };
        let [found, expected] = [found, expected].map(|name| {
            let mut files = self.files(name, &MAY_DIFFER);
            // How tasks went is no result.
            files.retain(|(path, _)| !has_times(path) && !path.starts_with(".cluster"));
            files
        });
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(path, _)| path.clone()).collect()
        };
        if names(&found) != names(&expected) {
            return Some(format!(
                "files: {:?} instead of {:?}",
                names(&found),
                names(&expected)
            ));
        }
        let mut pairs = found.iter().zip(&expected);
        let (other, _) = pairs.find(|((_, found), (_, expected))| found != expected)?;
        Some(format!("{} differs", other.0.display()))
    }

    /// Every file under a folder with its bytes, but for those whose name is in `without`.
    pub(crate) fn files(&self, name: &str, without: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
        let root = self.path(name);
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let file = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !without.contains(&file.as_str()) {
                    let bytes = std::fs::read(&path).expect("a file");
                    files.push((path.strip_prefix(&root).expect("inside").to_owned(), bytes));
                }
            }
        }
        files.sort();
        files
    }
}

fn rows(text: &str) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().collect::<Result<_, _>>().expect("a table")
}

impl Ran {
    pub(crate) fn finish(command: &mut Command) -> Self {
        let output = command.output().expect("the binary starts");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics with everything that was said, unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
