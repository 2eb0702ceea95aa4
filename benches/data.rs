//! Data on its way: made by the feed, read from text into the cache, gathered into batches, and scored within users.
//!
//!   HOMEBENCH_BENCH_ROWS=1,10,50 cargo bench -p homebench-benches --bench data -- 'feed|gauc'
//!
//! shows how cost grows: the feed and GAUC are measured at each of these millions of rows (1 where nothing is said). Census-Income
//! is measured where its files are (`homebench data fetch census-income`). Everything is written below the folder for temporary
//! files (TMPDIR): 4.3 GB for 50 M rows of the feed.

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use homebench_benches::operator::criterion;
use homebench_data::feed::Feed;
use homebench_data::generated::Generated;
use homebench_data::schema::{Description, Source};
use homebench_data::{self as data, Batch, DatasetRef, Places, Quiet, RowSubset};
use homebench_kernels::random::Philox;
use homebench_metric::{Cutoff, average_precision, grouped_auc, ranking_means};
use rayon::prelude::*;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Rows that the feed makes at a time.
const FEED_BLOCK: u64 = 8192;
/// Rows of a batch.
const BATCH: usize = 4096;
/// Rows and features of the table that batches are gathered from; larger than the processor's caches.
const TABLE_ROWS: usize = 500_000;
const CATEGORICAL: usize = 30;
const NUMERIC: usize = 10;
/// Tasks of GAUC, and rows of each user.
const TASKS: usize = 8;
const ROWS_OF_USER: usize = 100;

fn main() {
    let mut criterion = criterion();
    feed(&mut criterion);
    census(&mut criterion);
    batches(&mut criterion);
    gauc(&mut criterion);
    criterion.final_summary();
}

/// Numbers of rows to measure at.
fn sizes() -> Vec<usize> {
    let Ok(asked) = std::env::var("HOMEBENCH_BENCH_ROWS") else {
        return vec![1_000_000];
    };
    let millions = asked.split(',').map(|text| {
        let millions: f64 = text
            .trim()
            .parse()
            .expect("HOMEBENCH_BENCH_ROWS: millions of rows, as in 1,10,50");
        (millions * 1e6) as usize
    });
    millions.collect()
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The project's descriptions and data, and a cache of its own.
fn places(cache: &Path) -> Places {
    let home = project();
    let data = std::env::var_os("HOMEBENCH_DATA").map(PathBuf::from);
    Places {
        descriptions: home.join("experiments/datasets"),
        data: data.unwrap_or_else(|| home.join(".homebench/data")),
        cache: cache.to_path_buf(),
    }
}

fn group<'a>(
    criterion: &'a mut Criterion,
    rows: usize,
) -> criterion::BenchmarkGroup<'a, criterion::measurement::WallTime> {
    let mut group = criterion.benchmark_group("data");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(rows as u64));
    group
}

fn label(rows: usize) -> String {
    match rows % 1_000_000 {
        0 => format!("rows{}M", rows / 1_000_000),
        _ => format!("rows{}k", rows / 1_000),
    }
}

/// The feed of experiments/datasets/feed.toml: rows made and dropped, and made and written.
fn feed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let places = places(folder.path());
    let description = Description::load(&places.descriptions, "feed").expect("a description");
    let protocol = description.protocol(None).expect("a protocol");
    let Source::Generated(Generated::Feed(config)) = &protocol.source else {
        panic!("the feed is made, not read")
    };
    let of_train = config.rows[0] as f64 / config.rows.iter().sum::<u64>() as f64;
    let feed = Feed::new(config);
    for rows in sizes() {
        let mut group = group(criterion, rows);
        group.bench_function(BenchmarkId::new("feed/made", label(rows)), |bencher| {
            bencher.iter(|| {
                let blocks = rows.div_ceil(FEED_BLOCK as usize);
                (0..blocks).into_par_iter().for_each(|block| {
                    let start = block as u64 * FEED_BLOCK;
                    let end = (start + FEED_BLOCK).min(rows as u64);
                    black_box(feed.rows(0, start..end));
                });
            });
        });
        let reference = DatasetRef {
            rows: RowSubset::TrainRows((rows as f64 * of_train).round() as usize),
            ..DatasetRef::new("feed")
        };
        group.bench_function(BenchmarkId::new("feed/to_cache", label(rows)), |bencher| {
            bencher.iter_batched(
                || empty(folder.path(), true),
                |()| data::prepare(&reference, &places, &mut Quiet).expect("a dataset"),
                BatchSize::PerIteration,
            );
        });
    }
}

/// Removes prepared datasets, and where asked the checksums of source files.
fn empty(cache: &Path, checksums: bool) {
    for entry in std::fs::read_dir(cache).expect("the cache").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).expect("a folder that can be removed"),
            false if checksums => std::fs::remove_file(path).expect("a file that can be removed"),
            false => {}
        }
    }
}

/// Census-Income, 299,285 rows of 42 columns in two files: from text to the cache, with and without the checksums of the files.
fn census(criterion: &mut Criterion) {
    const ROWS: usize = 299_285;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let places = places(folder.path());
    let reference = DatasetRef::new("census-income");
    let prepare = || data::prepare(&reference, &places, &mut Quiet);
    if let Err(missing) = prepare() {
        eprintln!("data/census: left out ({missing})");
        return;
    }
    let mut group = group(criterion, ROWS);
    for (name, checksums) in [
        ("census/to_cache", false),
        ("census/checked_to_cache", true),
    ] {
        group.bench_function(BenchmarkId::new(name, label(ROWS)), |bencher| {
            bencher.iter_batched(
                || empty(folder.path(), checksums),
                |()| prepare().expect("a dataset"),
                BatchSize::PerIteration,
            );
        });
    }
}

const TABLE: &str = r#"
source = "table"
default_protocol = "all"
user = "user"
[files.rows]
name = "rows.csv"
[files.more]
name = "more.csv"
[split]
train = "rows"
holdout = "more"
validation_fraction = 0.5
seed = 1
"#;

/// A description of [`CATEGORICAL`] + [`NUMERIC`] features and [`TASKS`] tasks, and its files.
fn write_table(folder: &Path) {
    let columns: Vec<String> = (0..CATEGORICAL)
        .map(|index| format!("c{index}"))
        .chain((0..NUMERIC).map(|index| format!("n{index}")))
        .chain((0..TASKS).map(|index| format!("t{index}")))
        .chain(["user".to_owned()])
        .collect();
    let mut description = format!("columns = {columns:?}{TABLE}");
    for index in 0..CATEGORICAL {
        let _ = writeln!(description, "[features.c{index}]\nkind = \"categorical\"");
    }
    for index in 0..NUMERIC {
        let _ = writeln!(description, "[features.n{index}]\nkind = \"numeric\"");
    }
    for index in 0..TASKS {
        let _ = writeln!(
            description,
            "[tasks.t{index}]\nlabel = \"t{index}\"\ngroup = \"g{}\"",
            index % 2
        );
    }
    let tasks: Vec<String> = (0..TASKS).map(|index| format!("t{index}")).collect();
    let _ = writeln!(description, "[protocols.all]\ntasks = {tasks:?}");
    std::fs::write(folder.join("table.toml"), description).expect("a description");
    for (name, rows) in [("rows.csv", TABLE_ROWS), ("more.csv", 1000)] {
        let lines: Vec<String> = (0..rows as u64).into_par_iter().map(line).collect();
        let text = format!("{}\n{}", columns.join(","), lines.concat());
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

fn line(row: u64) -> String {
    let stream = Philox::new(1, "bench", "table");
    let number = |index: usize| stream.u32x4(row * 64 + index as u64)[0];
    let mut line = String::new();
    for index in 0..CATEGORICAL {
        let _ = write!(line, "{},", number(index) % 1000);
    }
    for index in 0..NUMERIC {
        let _ = write!(
            line,
            "{},",
            f64::from(number(CATEGORICAL + index) % 10_000) / 8.0
        );
    }
    for index in 0..TASKS {
        let _ = write!(line, "{},", number(CATEGORICAL + NUMERIC + index) % 2);
    }
    let _ = writeln!(line, "{}", number(63) % 5000);
    line
}

/// Batches of 40 features, 8 labels and a user, in one thread: rows in random order, as training has them, and one after another.
fn batches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_table(folder.path());
    let places = Places {
        descriptions: folder.path().to_path_buf(),
        data: folder.path().to_path_buf(),
        cache: folder.path().join("cache"),
    };
    let prepared = data::open(&DatasetRef::new("table"), &places, &mut Quiet).expect("a dataset");
    let train = &prepared.train;
    let order = Philox::new(1, "bench", "order").permutation(TABLE_ROWS as u32);
    let name = |kind: &str| {
        let features = CATEGORICAL + NUMERIC;
        BenchmarkId::new(
            format!("batches/{kind}"),
            format!("{}_features{features}", label(TABLE_ROWS)),
        )
    };
    let mut batch = Batch::default();
    let mut group = group(criterion, TABLE_ROWS);
    group.bench_function(name("shuffled"), |bencher| {
        bencher.iter(|| {
            for rows in order.chunks(BATCH) {
                train.gather(rows, &mut batch).expect("rows of the split");
                black_box(&batch);
            }
        });
    });
    group.bench_function(name("in_order"), |bencher| {
        bencher.iter(|| {
            for start in (0..TABLE_ROWS).step_by(BATCH) {
                let end = TABLE_ROWS.min(start + BATCH);
                train
                    .read(start..end, &mut batch)
                    .expect("rows of the split");
                black_box(&batch);
            }
        });
    });
}

/// GAUC, and rankings with PR-AUC, of eight tasks, one after another, over users with a hundred rows each.
fn gauc(criterion: &mut Criterion) {
    for rows in sizes() {
        let of = |name: &str| -> Vec<f32> {
            let stream = Philox::new(1, "bench", name);
            (0..rows as u64)
                .into_par_iter()
                .map(|row| stream.uniform(row))
                .collect()
        };
        let scores: Vec<Vec<f32>> = (0..TASKS)
            .map(|task| of(&format!("score {task}")))
            .collect();
        let labels: Vec<Vec<f32>> = (0..TASKS)
            .map(|task| {
                let drawn = of(&format!("label {task}"));
                let rate = [0.5, 0.3, 0.15, 0.05, 0.03, 0.015, 0.006, 0.004][task];
                drawn
                    .into_iter()
                    .map(|drawn| f32::from(u8::from(drawn < rate)))
                    .collect()
            })
            .collect();
        let num_users = (rows / ROWS_OF_USER) as u32;
        let stream = Philox::new(1, "bench", "user");
        let users: Vec<u32> = (0..rows as u64)
            .map(|row| stream.below(row, num_users))
            .collect();
        let name = format!("{}_users{}k_tasks{TASKS}", label(rows), num_users / 1000);
        let mut group = group(criterion, rows);
        group.bench_function(BenchmarkId::new("gauc", &name), |bencher| {
            bencher.iter(|| {
                for (scores, labels) in scores.iter().zip(&labels) {
                    black_box(grouped_auc(scores, labels, &users));
                }
            });
        });
        let cutoffs = [Cutoff::first(10).expect("rows"), Cutoff::NONE];
        group.bench_function(BenchmarkId::new("ndcg10_mrr_pr_auc", name), |bencher| {
            bencher.iter(|| {
                for (scores, labels) in scores.iter().zip(&labels) {
                    black_box(average_precision(scores, labels));
                    black_box(ranking_means(scores, labels, &users, &cutoffs));
                }
            });
        });
    }
}
