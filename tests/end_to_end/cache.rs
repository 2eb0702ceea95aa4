//! The cache of prepared datasets: damage before and in the middle of training, upkeep, and packages that are fetched.

use crate::harness::{Bench, experiment};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// One cell that trains for some seconds, and keeps a checkpoint after every step.
const SPEC: &str = r#"question = "Which?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 2000
[training]
batch_size = 32
max_epochs = 12
patience = 12
embedding_dim = 2
[run]
checkpoint_every_seconds = 0
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"#;

fn arguments(out: &str) -> Vec<String> {
    let descriptions = experiment("datasets");
    [
        "run",
        "s.toml",
        "--out",
        out,
        "--threads",
        "1",
        "--cache-dir",
        "cache",
        "--descriptions",
        &descriptions,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn run(bench: &Bench, out: &str, code: i32) -> String {
    let arguments = arguments(out);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench.run(&arguments).expect(code).stderr
}

/// A run that has begun to train.
fn start(bench: &Bench, out: &str) -> Child {
    let arguments = arguments(out);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = bench.command(&arguments);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let begun = Instant::now();
    let has_checkpoint = || {
        let cells = std::fs::read_dir(bench.path(out).join("cells"))
            .into_iter()
            .flatten()
            .flatten();
        cells
            .into_iter()
            .any(|cell| cell.path().join("checkpoint").is_file())
    };
    while !has_checkpoint() {
        assert!(begun.elapsed() < LONG_ENOUGH, "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn train_file(bench: &Bench) -> PathBuf {
    let folders = std::fs::read_dir(bench.path("cache")).expect("the cache");
    let files = folders.map(|folder| folder.expect("an entry").path().join("train.arrow"));
    files
        .into_iter()
        .find(|file| file.is_file())
        .expect("a prepared dataset")
}

#[test]
fn a_prepared_file_that_changes_while_it_is_trained_on_is_named_and_leaves_no_trace_in_results() {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    run(&bench, "whole", 0);
    let child = start(&bench, "cut");
    let file = train_file(&bench);
    let bytes = std::fs::read(&file).expect("the file");
    let shrink = std::fs::File::options()
        .write(true)
        .open(&file)
        .expect("the file");
    shrink.set_len(4096).expect("a shorter file");
    let (code, said) = end(child);
    assert_eq!(code, Some(2), "{said}");
    // Cut, where a row behind its end was read, or changed, where a checkpoint came first.
    assert!(
        said.contains("train.arrow: the prepared dataset was c"),
        "{said}"
    );
    assert!(said.contains("hint: run this again"), "{said}");
    let said = run(&bench, "cut", 0);
    assert!(
        said.contains("is not whole") && said.contains("prepared again"),
        "{said}"
    );
    bench.assert_same_results("cut", "whole");

    let child = start(&bench, "changed");
    // Every label and number in place, in the middle of the map.
    let mut other = bytes.clone();
    let third = other.len() / 3;
    for byte in &mut other[third..2 * third] {
        *byte ^= 0x01;
    }
    std::fs::write(&file, &other).expect("the file");
    let (code, said) = end(child);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("train.arrow"), "{said}");
    let said = run(&bench, "changed", 0);
    assert!(said.contains("is not whole"), "{said}");
    bench.assert_same_results("changed", "whole");
}

#[test]
fn a_cell_on_its_own_never_trains_on_a_damaged_cache() {
    let bench = Bench::new();
    bench.write("s.toml", &SPEC.replace("max_epochs = 12", "max_epochs = 1"));
    run(&bench, "o", 0);
    let cell = std::fs::read_dir(bench.path("o/cells"))
        .expect("cells")
        .next()
        .expect("a cell");
    let cell = cell.expect("an entry").path();
    let id = cell.file_name().expect("an id").to_string_lossy();
    let name = format!("o/cells/{id}");
    let scores = bench.part(&name, "metrics.csv");
    bench.take_outcome(&name);
    let mut bytes = std::fs::read(train_file(&bench)).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x80;
    std::fs::write(train_file(&bench), bytes).expect("the file");
    let descriptions = experiment("datasets");
    let mut command = bench.command(&[
        "cell",
        cell.to_str().expect("UTF-8"),
        "--cache-dir",
        "cache",
        "--descriptions",
        &descriptions,
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("train.arrow has other bytes than were written")
            && said.contains("prepared again"),
        "{said}"
    );
    assert_eq!(bench.part(&name, "metrics.csv"), scores);
}

#[test]
fn the_cache_is_listed_and_cleared_but_for_what_is_in_use() {
    let bench = Bench::new();
    bench.write("s.toml", SPEC);
    let child = start(&bench, "o");
    let places = [
        "--cache-dir",
        "cache",
        "--descriptions",
        &experiment("datasets"),
    ];
    let cache = |words: &[&str], code: i32| {
        let arguments: Vec<&str> = ["cache"]
            .iter()
            .chain(words)
            .chain(&places)
            .copied()
            .collect();
        bench.run(&arguments).expect(code)
    };
    let listed = cache(&["list"], 0).stdout;
    let row = listed.lines().nth(1).expect("a row");
    assert!(
        row.starts_with("synthetic-") && row.ends_with("same") && row.contains("  now "),
        "{listed}"
    );
    let kept = cache(&["clear", "--all"], 0).stdout;
    assert!(
        kept.contains(": kept, it is in use\n0 of 1: 0 B removed"),
        "{kept}"
    );
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        cache(&["clear", "--unused-for", "1"], 0)
            .stdout
            .starts_with("0 of 0")
    );
    let trial = cache(&["clear", "synthetic", "--dry-run"], 0).stdout;
    assert!(trial.contains("would be removed"), "{trial}");
    assert!(train_file(&bench).is_file());
    let said = cache(&["clear", "synthetik"], 2).stderr;
    assert!(said.contains("hint: did you mean `synthetic`?"), "{said}");
    cache(&["clear"], 2);
    cache(&["clear", "synthetic", "--all"], 2);
    cache(&["clear", "--unused-for", "-1"], 2);
    let gone = cache(&["clear", "synthetic"], 0).stdout;
    assert!(gone.contains("1 of 1: "), "{gone}");
    assert!(
        cache(&["list"], 0)
            .stdout
            .starts_with("no prepared dataset is in ")
    );
}

/// Writes a package whose set-up leaves a mark when it runs, and an index that has it.
const PACKAGE: &str = r#"
import hashlib, io, os, sys, tarfile
os.makedirs("index/shop", exist_ok=True)
mark = os.path.abspath("it-ran")
files = {
    "shop-1/setup.py": f"open({mark!r}, 'w').close()",
    "shop-1/PKG-INFO": "Metadata-Version: 1.0\nName: shop\nVersion: 1\n",
    "shop-1/log.csv": "size,label\n" + "".join(f"{row},{row % 2}\n" for row in range(100)),
}
path = "index/shop/shop-1.tar.gz"
with tarfile.open(path, "w:gz") as archive:
    for name, text in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
open("index/shop/index.html", "w").write('<a href="shop-1.tar.gz#sha256=0">shop-1.tar.gz</a>')
# Modules of the working folder, which no interpreter may take for its own.
for name in ("pip", "html", "ssl"):
    open(name + ".py", "w").write(f"open({mark!r}, 'w').close()")
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
"#;

#[test]
fn a_package_is_fetched_from_the_configured_index_and_none_of_its_code_runs() {
    let bench = Bench::new();
    let mut python = std::process::Command::new("python3");
    python
        .args(["-I", "-c", PACKAGE])
        .current_dir(bench.path(""));
    let made = python.output().expect("Python 3");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let sha256 = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    std::fs::create_dir(bench.path("descriptions")).expect("a folder");
    let describe = |sha256: &str, archive: &str| {
        let text = format!(
            "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [\"size\", \"label\"]\n[files.log]\nname = \"log.csv\"\n\
             [fetch]\npackage = \"shop\"\nversion = \"1\"\narchive = \"{archive}\"\nsha256 = \"{sha256}\"\n\
             [fetch.members]\nlog = \"shop-1/log.csv\"\n[features]\nsize = {{ kind = \"numeric\" }}\n\
             [tasks.buys]\nlabel = \"label\"\ngroup = \"shop\"\n\
             [split]\nkind = \"hash\"\nvalidation_fraction = 0.1\ntest_fraction = 0.1\nseed = 1\n\
             [protocols.all]\ntasks = [\"buys\"]\n[format]\nseparator = \",\"\nhas_header = true\n"
        );
        bench.write("descriptions/shop.toml", &text);
    };
    let fetch = |code: i32| {
        let index = format!("file://{}", bench.path("index").display());
        let mut command = bench.command(&[
            "data",
            "fetch",
            "shop",
            "--descriptions",
            "descriptions",
            "--data-dir",
            "d",
            "--cache-dir",
            "c",
        ]);
        let output = command
            .env("PIP_INDEX_URL", index)
            .env_remove("PIP_FIND_LINKS")
            .env_remove("PIP_EXTRA_INDEX_URL")
            .env("PYTHONPATH", bench.path(""))
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            !bench.path("it-ran").exists(),
            "code of the package or of the folder ran: {said}"
        );
        said
    };
    describe(&"0".repeat(64), "shop-1.tar.gz");
    let said = fetch(2);
    assert!(said.contains("expected SHA-256 0000"), "{said}");
    assert!(
        !bench.path("d/shop").exists(),
        "something stays after a refusal"
    );
    describe(&sha256, "shop-2.tar.gz");
    let said = fetch(2);
    assert!(
        said.contains("shop-2.tar.gz can't be downloaded: ") && said.contains("does not have it"),
        "{said}"
    );
    describe(&sha256, "../shop-1.tar.gz");
    fetch(2);
    describe(&sha256, "shop-1.tar.gz");
    fetch(0);
    let names: Vec<_> = std::fs::read_dir(bench.path("d/shop"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["log.csv"]);
}
