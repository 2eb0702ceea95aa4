//! Made-up results folders for tests: any number of variants, tasks and seeds, with holes where asked.
// A made-up wave decides nothing.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use tempfile::TempDir;

/// What to make up.
pub struct Sample {
    /// Names of the variants.
    pub variants: Vec<String>,
    /// Their models; `mmoe` where none is named.
    pub models: Vec<String>,
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// Seeds of each variant.
    pub num_seeds: u64,
    /// Cells that failed: variant and seed.
    pub failed: Vec<(usize, u64)>,
    /// Cells, variant and seed, whose first task scores by chance.
    pub chance: Vec<(usize, u64)>,
    /// Tasks whose AUC is undefined.
    pub undefined: Vec<usize>,
    /// By how much each variant is better than the one before.
    pub step: f64,
    /// By how much scores differ from those of a folder without.
    pub jitter: f64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            variants: ["shared-bottom", "MMoE", "HoME"].map(str::to_owned).into(),
            models: Vec::new(),
            tasks: ["income", "never_married"].map(str::to_owned).into(),
            num_seeds: 3,
            failed: Vec::new(),
            chance: Vec::new(),
            undefined: Vec::new(),
            step: 0.004,
            jitter: 0.0,
        }
    }
}

impl Sample {
    /// Numbered variants and tasks.
    pub fn sized(num_variants: usize, num_tasks: usize, num_seeds: u64) -> Self {
        const MODELS: [&str; 12] = [
            "single-task",
            "shared-bottom",
            "OMoE",
            "MMoE",
            "ML-MMoE",
            "CGC",
            "PLE (2 levels)",
            "AdaTT-sp",
            "AdaTT",
            "HoME",
            "HoME w/o fg-sg-mask, one expert a task",
            "HoME_rank=64_num_lora=4_gate_input=gated",
        ];
        const TASKS: [&str; 10] = [
            "income",
            "never_married",
            "click",
            "long_view",
            "finish_playing_the_whole_video",
            "like",
            "comment",
            "follow",
            "share",
            "hate",
        ];
        let tasks = (0..num_tasks).map(|task| match TASKS.get(task) {
            Some(name) => name.to_string(),
            None => format!("task_{task}"),
        });
        Self {
            variants: MODELS[12 - num_variants..]
                .iter()
                .map(|s| s.to_string())
                .collect(),
            tasks: tasks.collect(),
            num_seeds,
            ..Self::default()
        }
    }

    /// Writes the folder; it goes when the value is dropped.
    pub fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write_into(folder.path());
        folder
    }

    /// Writes the files into an existing folder.
    pub fn write_into(&self, folder: &std::path::Path) {
        let mut cells = String::from(
            "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row\n",
        );
        let mut metrics =
            String::from("cell,variant,seed,split,task,metric,value,rows,positives\n");
        let mut curves = String::from("cell,variant,seed,epoch,step,split,task,metric,value\n");
        let mut throughput = String::from(
            "cell,variant,seed,device,threads,train_rows,train_seconds,train_rows_per_second,evaluation_rows,evaluation_seconds,total_seconds,peak_memory_bytes,tries\n",
        );
        for (variant, name) in self.variants.iter().enumerate() {
            let model = self.models.get(variant).map_or("mmoe", String::as_str);
            for seed in 0..self.num_seeds {
                let head = format!("cell-{variant}-{seed},\"{name}\"");
                if self.failed.contains(&(variant, seed)) {
                    writeln!(cells, "{head},{model},census,{seed},failed,\"the loss became NaN at step 7 (epoch 1), a|b\",,,,,").unwrap();
                    continue;
                }
                let epochs = 4 + (variant as u64 + seed) % 3;
                let score = self.auc(variant, 0, seed, 3);
                let parameters = 100_000 + 12_345 * variant;
                writeln!(
                    cells,
                    "{head},{model},census,{seed},done,,3,{epochs},{score},{parameters},{}",
                    2 * parameters
                )
                .unwrap();
                self.scores(&mut metrics, &head, variant, seed);
                self.curves(&mut curves, &head, variant, seed, epochs);
                let speed = 90_000.0 / (1.0 + variant as f64) + 700.0 * seed as f64;
                writeln!(
                    throughput,
                    "{head},{seed},cpu,2,1000000,11.5,{speed},100000,0.9,13,250000000,1"
                )
                .unwrap();
            }
        }
        let files = [
            ("cells.csv", cells),
            ("metrics.csv", metrics),
            ("curves.csv", curves),
            ("throughput.csv", throughput),
            ("spec.resolved.toml", self.spec()),
            ("provenance.toml", PROVENANCE.to_owned()),
            ("facts.toml", FACTS.to_owned()),
        ];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    fn auc(&self, variant: usize, task: usize, seed: u64, epoch: u64) -> f64 {
        if task == 0 && self.chance.contains(&(variant, seed)) {
            return 0.5;
        }
        let wave = ((variant * 7 + task * 3) as f64 + 2.7 * seed as f64).sin();
        let base = 0.917 + self.step * variant as f64 - 0.03 * task as f64;
        let late = 0.05 / epoch as f64 - 0.05 / 3.0;
        let jitter = self.jitter * (wave * 1234.5).sin();
        ((base + 0.002 * wave + jitter - late.max(0.0)) * 1e6).round() / 1e6
    }

    fn scores(&self, out: &mut String, head: &str, variant: usize, seed: u64) {
        for (shift, split) in ["validation", "test"].into_iter().enumerate() {
            for (task, name) in self.tasks.iter().enumerate() {
                let auc = self.auc(variant, task, seed, 3) - 0.001 * shift as f64;
                let loss = 1.1 - auc;
                let auc = match self.undefined.contains(&task) {
                    true => String::new(),
                    false => auc.to_string(),
                };
                for (metric, value) in [("auc", auc), ("log_loss", loss.to_string())] {
                    writeln!(
                        out,
                        "{head},{seed},{split},{name},{metric},{value},49881,3000"
                    )
                    .unwrap();
                }
            }
        }
    }

    fn curves(&self, out: &mut String, head: &str, variant: usize, seed: u64, epochs: u64) {
        for epoch in 1..=epochs {
            let step = epoch * 195;
            let loss = 0.4 + 0.3 / epoch as f64;
            writeln!(out, "{head},{seed},{epoch},{step},train,all,loss,{loss}").unwrap();
            for (task, name) in self.tasks.iter().enumerate() {
                let auc = self.auc(variant, task, seed, epoch);
                for (metric, value) in [("auc", auc), ("log_loss", 1.1 - auc)] {
                    writeln!(
                        out,
                        "{head},{seed},{epoch},{step},validation,{name},{metric},{value}"
                    )
                    .unwrap();
                }
            }
        }
    }

    fn spec(&self) -> String {
        let seeds: Vec<String> = (0..self.num_seeds).map(|seed| seed.to_string()).collect();
        format!(
            "question = \"\"\"\nDoes HoME beat MMoE on Census-Income,\nand by how much?\n\"\"\"\nseeds = [{}]\n\n[dataset]\nname = \"census\"\nprotocol = \"torch-rechub\"\n",
            seeds.join(", ")
        )
    }
}

const FACTS: &str = r#"[[models]]
name = "mmoe"
equation = "y_t = Tower_t(Sum(g_t(v), {E_n(v)}))"
paper = "doi 10.1145/3219819.3220007"
"#;

const PROVENANCE: &str = r#"[[runs]]
homebench_version = "0.1.0"
command_line = ["homebench", "run", "experiments/census.toml", "--jobs", "2"]
started = "2026-11-21T10:00:00Z"
ended = "2026-11-21T10:05:00Z"
jobs = 2
threads_per_cell = 1
device = "cpu"
cells = []

[runs.source]
git_commit = "0123456789abcdef0123456789abcdef01234567"
git_dirty = false
cargo_lock_blake3 = "abcdef"

[runs.build]
rustc = "rustc 1.95.0"
rustflags = ""
target = "x86_64-unknown-linux-gnu"
opt_level = "3"
allocator = "mimalloc"

[runs.host]
cpu_model = "a processor"
cores = 2
operating_system = "linux x86_64"

[runs.dataset]
name = "census"
protocol = "torch-rechub"
content_hash = "feedbeef"
train_rows = 199523
validation_rows = 49881
test_rows = 49881
"#;
