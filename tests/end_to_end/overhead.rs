//! What an experiment costs beside its training, with bounds that a busy machine keeps as well; `just parent-speed` measures it.
#![cfg(target_os = "linux")]

use crate::harness::Bench;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Cells that do everything but train: one step of a logistic model on 64 rows.
const SPEC: &str = r#"question = "How long does it take?"
[dataset]
name = "visits"
[training]
batch_size = 64
max_epochs = 1
"#;

const DESCRIPTION: &str = include_str!("visits.toml");

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("descriptions")).unwrap();
    std::fs::create_dir_all(bench.path("data/visits")).unwrap();
    let mut rows = String::from("place,size,part,stays\n");
    for row in 0..192 {
        let stays = u32::from((row * 7) % 5 < 2);
        rows += &format!("p{},{},u{row},{stays}\n", row % 11, row % 13);
    }
    bench.write("data/visits/visits.csv", &rows);
    bench.write("descriptions/visits.toml", DESCRIPTION);
    bench
}

#[test]
fn a_plan_of_cells_whose_models_all_differ_is_made_at_once() {
    let bench = bench();
    let widths =
        |from: usize| -> Vec<String> { (from..from + 50).map(|w| format!("[{w}]")).collect() };
    let (experts, towers) = (widths(8).join(", "), widths(4).join(", "));
    let variant = "[variants.v]\nmodel = \"mmoe\"\n";
    bench.write("spec.toml", &format!("seeds = [1]\n{SPEC}{variant}[grid]\nexpert_dims = [{experts}]\ntower_dims = [{towers}]\n"));
    let start = Instant::now();
    let plan = bench
        .run(&["plan", "spec.toml", "--descriptions", "descriptions"])
        .expect(0);
    assert_eq!(plan.stdout.lines().count(), 1 + 50 * 50);
    // A quarter of 10,000 cells, which take less than a second on a machine that does nothing else.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

/// Runs so many trivial cells; gives the time and the parent's largest resident memory in bytes.
fn run(bench: &Bench, count: usize) -> (Duration, u64) {
    let seeds: Vec<String> = (1..=count).map(|seed| seed.to_string()).collect();
    let variant = "[variants.v]\nmodel = \"logistic\"\n";
    bench.write(
        "spec.toml",
        &format!("seeds = [{}]\n{SPEC}{variant}", seeds.join(", ")),
    );
    let out = format!("out{count}");
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        &out,
        "--descriptions",
        "descriptions",
        "--jobs",
        "2",
        "--threads",
        "1",
    ];
    let start = Instant::now();
    let mut command = bench.command(&arguments);
    // One figure is drawn after the other: which of them are in memory together would be chance, and more than what a cell leaves.
    let mut parent = command
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let status_file = format!("/proc/{}/status", parent.id());
    let mut peak = 0;
    let status = loop {
        let text = std::fs::read_to_string(&status_file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kibibytes.unwrap_or(0u64) * 1024);
        if let Some(status) = parent.try_wait().expect("a child of this process") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success());
    assert_eq!(bench.rows(&format!("{out}/cells.csv")).len(), count);
    (start.elapsed(), peak)
}

#[test]
fn trivial_cells_go_through_fast_and_leave_no_memory_behind_but_their_rows() {
    let bench = bench();
    let (_, few) = run(&bench, 20);
    let (time, many) = run(&bench, 120);
    // 100 a second is the aim on a machine that does nothing else, and the charts and the report are in this time.
    assert!(time < Duration::from_secs(60), "{time:?}");
    let of_a_cell = many.saturating_sub(few) / 100;
    assert!(
        of_a_cell < 200_000,
        "{of_a_cell} bytes a cell: {few}, {many}"
    );
}
