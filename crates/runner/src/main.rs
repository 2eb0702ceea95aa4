//! The homebench command line.

use homebench_runner::{candle_threads, memory};
use std::process::ExitCode;

// Large temporaries come and go at every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: memory::MiMalloc = memory::MiMalloc;

macro_rules! bundle {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../../experiments/", $name)))),*]
    };
}

/// What `homebench run quickstart` finds where there is no clone. Here, and not in the library: an edited experiment compiles this file
/// alone.
const BUNDLE: homebench_runner::bundled::Bundle = bundle![
    "ablation.toml",
    "anomalies-tuned.toml",
    "anomalies.toml",
    "balance-conflict.toml",
    "balance-real.toml",
    "balance-scale.toml",
    "balance-speed.toml",
    "census-8.toml",
    "census.toml",
    "chain.toml",
    "compare-census-8.toml",
    "compare-census-g1.toml",
    "compare-feed-tuned.toml",
    "compare-feed.toml",
    "compare-journey.toml",
    "compare-movielens.toml",
    "correlation.toml",
    "datasets/ali-ccp.toml",
    "datasets/aliexpress-nl.toml",
    "datasets/census-income.toml",
    "datasets/click-chain.toml",
    "datasets/complete-journey.toml",
    "datasets/feed-extra.toml",
    "datasets/feed-small.toml",
    "datasets/feed.toml",
    "datasets/kuairand-1k.toml",
    "datasets/kuairand-27k.toml",
    "datasets/kuairand-pure.toml",
    "datasets/kuairand-slice.toml",
    "datasets/movielens-100k.toml",
    "datasets/shared/kuairand.toml",
    "datasets/synthetic.toml",
    "datasets/task-arc.toml",
    "datasets/task-depths.toml",
    "datasets/two-task.toml",
    "distillation-balance.toml",
    "feed.toml",
    "industry.toml",
    "kuairand-slice.toml",
    "peers/census-mmoe.toml",
    "precision.toml",
    "quickstart.toml",
    "rcm-forgetting.toml",
    "scenario.toml",
    "search.toml",
    "sensitivity.toml",
    "smes-front.toml",
    "sparse-low-resource.toml",
    "sparse-routing-truth.toml",
    "sparse-unrelated.toml",
    "sparse-unseen-task.toml",
    "switch-prior.toml",
    "task-expert-depth.toml",
    "task-expert-dynamic.toml",
    "trade-off.toml",
    "tuned.toml",
    "zoo.toml",
];

fn main() -> ExitCode {
    // SAFETY: nothing has started a thread.
    unsafe { candle_threads::keep_to_one() }
    memory::keep_freed_pages();
    homebench_runner::cmd::main(BUNDLE)
}
