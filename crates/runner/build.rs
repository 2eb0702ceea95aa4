//! Keeps what the compiler was, how it was asked to compile, and what it compiled, for `provenance.toml`.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let rustc = Command::new(variable("RUSTC"))
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    // cargo separates flags by the unit separator, so that flags may hold spaces.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " ");
    println!("cargo::rustc-env=HOMEBENCH_RUSTC={}", rustc.trim());
    println!("cargo::rustc-env=HOMEBENCH_RUSTFLAGS={flags}");
    println!("cargo::rustc-env=HOMEBENCH_TARGET={}", variable("TARGET"));
    println!(
        "cargo::rustc-env=HOMEBENCH_OPT_LEVEL={}",
        variable("OPT_LEVEL")
    );
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    sources(Path::new(&variable("CARGO_MANIFEST_DIR")));
}

/// What is compiled, relative to the workspace.
const SOURCES: [&str; 3] = ["crates", "Cargo.toml", "Cargo.lock"];

/// A digest of the sources and, where they are of a git checkout, its commit. Told when they are compiled: what lies there when the
/// program runs may be other sources.
fn sources(manifest: &Path) {
    let workspace = manifest.join("../..");
    // A package that was unpacked alone has the folders of no workspace above it.
    let (root, sources) = match workspace.join("crates/runner/build.rs").is_file() {
        true => (workspace, &SOURCES[..]),
        false => (manifest.to_owned(), &["src", "Cargo.toml"][..]),
    };
    let mut files = BTreeMap::new();
    for source in sources {
        let path = root.join(source);
        if path.exists() {
            // Every crate: a change of any of them compiles this one again anyway.
            println!("cargo::rerun-if-changed={}", path.display());
        }
        collect(&path, source, &mut files);
    }
    println!(
        "cargo::rustc-env=HOMEBENCH_SOURCE_BLAKE3={}",
        digest(&files)
    );
    let Some(commit) = git(&root, &["rev-parse", "HEAD"], None) else {
        return;
    };
    // Sources that were unpacked inside another repository are not of its commit.
    let tracked = ["ls-files", "--error-unmatch", "--", sources[1]];
    if git(&root, &tracked, None).is_none() {
        return;
    }
    watch(&root);
    println!("cargo::rustc-env=HOMEBENCH_GIT_COMMIT={commit}");
    if let Some(is_dirty) = is_dirty(&root, sources) {
        println!("cargo::rustc-env=HOMEBENCH_GIT_DIRTY={is_dirty}");
    }
}

/// Files by their names, without hidden ones and what editors, tests and Python leave.
fn collect(path: &Path, name: &str, files: &mut BTreeMap<String, PathBuf>) {
    if path.is_file() {
        files.insert(name.to_owned(), path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let Ok(part) = entry.file_name().into_string() else {
            continue;
        };
        let is_left = part.starts_with('.') || part == "target" || part == "__pycache__";
        if !is_left && !part.ends_with('~') && !part.ends_with(".snap.new") {
            collect(&entry.path(), &format!("{name}/{part}"), files);
        }
    }
}

fn digest(files: &BTreeMap<String, PathBuf>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, path) in files {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        hasher.update(format!("{name}\0{}\0", bytes.len()).as_bytes());
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Whether a file differs from the commit's. By hashes of the files' bytes: `git diff` and `git status` run filters and monitors of
/// the user's configuration.
fn is_dirty(root: &Path, sources: &[&str]) -> Option<bool> {
    let tree = git(
        root,
        &[&["ls-tree", "-r", "-z", "HEAD", "--"], sources].concat(),
        None,
    )?;
    let entry = |line: &str| {
        let (about, path) = line.split_once('\t')?;
        let mut words = about.split(' ');
        let (mode, hash) = (words.next()?, words.nth(1)?);
        // Regular files: a link's hash is that of where it leads.
        mode.starts_with("100")
            .then(|| (path.to_owned(), hash.to_owned()))
    };
    let committed: Vec<(String, String)> = tree.split('\0').filter_map(entry).collect();
    if committed.iter().any(|(path, _)| !root.join(path).is_file()) {
        return Some(true);
    }
    let paths: String = committed
        .iter()
        .map(|(path, _)| format!("{path}\n"))
        .collect();
    let hashes = git(
        root,
        &["hash-object", "--no-filters", "--stdin-paths"],
        Some(paths),
    )?;
    Some(
        !hashes
            .lines()
            .eq(committed.iter().map(|(_, hash)| hash.as_str())),
    )
}

/// Has cargo ask again after a commit or a checkout.
fn watch(root: &Path) {
    let path = |arguments: &[&str]| Some(root.join(git(root, arguments, None)?));
    let (own, common) = (
        path(&["rev-parse", "--absolute-git-dir"]),
        path(&["rev-parse", "--git-common-dir"]),
    );
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"], None);
    let mut watched: Vec<PathBuf> = own.map(|own| own.join("HEAD")).into_iter().collect();
    if let Some(common) = common {
        let branch = branch
            .map(|branch| common.join(branch))
            .filter(|branch| branch.exists());
        // A branch without a file of its own has one after the next commit. A file that is watched and absent would be built for always.
        watched.push(branch.unwrap_or_else(|| common.join("refs/heads")));
        watched.extend(["packed-refs", "reftable"].map(|name| common.join(name)));
    }
    for path in watched.iter().filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// What git says on stdout, trimmed; absent where it is not there or fails.
fn git(root: &Path, arguments: &[&str], stdin: Option<String>) -> Option<String> {
    let mut command = Command::new("git");
    // Without what asks for another repository, as in git's own hooks, and without programs of the user's configuration.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .arg("-C")
        .arg(root)
        .args([
            "--no-pager",
            "--no-optional-locks",
            "-c",
            "core.fsmonitor=false",
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut pipe = child.stdin.take()?;
    let writer = std::thread::spawn(move || pipe.write_all(stdin.unwrap_or_default().as_bytes()));
    let output = child.wait_with_output().ok()?;
    // One that ended without reading all of it is told by its status.
    let _ = writer.join();
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
