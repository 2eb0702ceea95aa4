//! Scripts that play a batch system: they start tasks as processes, and behave badly where a test asks for it.
#![cfg(target_os = "linux")]

use crate::harness::Bench;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// What a script begins with: where it is, how it is to behave this time, and a line for what it was asked.
const HEAD: &str = r#"#!/bin/bash
home=$(dirname "$(readlink -f "$0")")
own=$(basename "$0")
echo "$*" >>"$home/$own.asked"
mode=$(cat "$home/$own.mode" 2>/dev/null)
name=$(printf '%s\n' "$@" | sed -n 's/^--name=//p; s/^--job-name=//p')
"#;

/// Accepts an array and starts its tasks; what it says and whether it ever comes back is the mode's.
const SBATCH: &str = r#"
case " $* " in *" --test-only "*)
    if [ "$mode" = refuse ]; then echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1; fi
    exit 0
esac
if [ "$mode" = hang ]; then rm "$home/sbatch.mode"; sleep 100; fi
mkdir -p "$home/jobs/$name"
last=$(printf '%s\n' "$@" | sed -n 's/^--array=0-\([0-9]*\).*/\1/p')
folder=$(printf '%s\n' "$@" | sed -n 's/^--chdir=//p')
script=${!#}
echo 101 >"$home/jobs/$name/id"
case "$mode" in
never) for task in $(seq 0 "$last"); do echo never >"$home/jobs/$name/$task.pid"; done ;;
cancelled)
    rm "$home/sbatch.mode"
    for task in $(seq 0 "$last"); do echo cancelled >"$home/jobs/$name/$task.pid"; done
    ;;
broken)
    for task in $(seq 0 "$last"); do
        echo "bash: $folder/homebench: cannot execute binary file: Exec format error" >"$folder/$task.log"
        echo broken >"$home/jobs/$name/$task.pid"
    done
    ;;
*)
    cd "$folder" || exit 1
    for task in $(seq 0 "$last"); do
        SLURM_ARRAY_JOB_ID=101 SLURM_ARRAY_TASK_ID=$task SLURMD_NODENAME=fake1 SLURM_EXPORT_ENV=A \
            setsid bash "$script" </dev/null >>"$task.log" 2>&1 &
        echo $! >"$home/jobs/$name/$task.pid"
    done
    ;;
esac
case "$mode" in
silent) ;;
garbage) echo "Welcome to the cluster! Maintenance on Monday." ;;
late) sleep 100 ;;
lost) echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1 ;;
*) echo 101 ;;
esac
"#;

/// Says what runs. A task that ended is forgotten at once.
const SQUEUE: &str = r#"
case "$mode" in
down) echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1 ;;
garbage) echo "|||"; echo "hb-zz|x|WHAT|?|"; exit 1 ;;
forgets) exit 0 ;;
away) if [ "$(wc -l <"$home/squeue.asked")" -le 2 ]; then exit 1; fi ;;
esac
case " $* " in *" --format=%F "*) cat "$home/jobs/$name/id" 2>/dev/null; exit 0 ;; esac
for one in ${name//,/ }; do
    for file in "$home/jobs/$one"/*.pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file") task=$(basename "$file" .pid)
        case "$pid" in
        never) echo "$one|$task|PENDING|PartitionConfig|" ;;
        broken) echo "$one|$task|FAILED|NonZeroExitCode|fake1" ;;
        cancelled) echo "$one|$task|CANCELLED|None|fake1" ;;
        *) if kill -0 "$pid" 2>/dev/null; then echo "$one|$task|RUNNING|None|fake1"; fi ;;
        esac
    done
done
"#;

const SCANCEL: &str = r#"
case " $* " in *" --state=PENDING "*) exit 0 ;; esac
signal=TERM
case " $* " in *" --signal=USR1 "*) signal=USR1 ;; esac
for file in "$home/jobs/$name"/*.pid; do
    pid=$(cat "$file" 2>/dev/null)
    case "$pid" in never | broken | cancelled) rm -f "$file" ;; ?*) kill -$signal "$pid" 2>/dev/null ;; esac
done
exit 0
"#;

const SCONTROL: &str = r#"
most=1001
if [ "$mode" = small ]; then most=1; fi
printf 'MaxArraySize            = %s\nMaxJobCount             = 10000\n' "$most"
"#;

/// A folder of scripts.
pub(crate) struct FakeSlurm(TempDir);

impl FakeSlurm {
    pub(crate) fn new(bench: &Bench) -> Self {
        let folder = TempDir::new_in(bench.path(".")).expect("a folder");
        let scripts = [
            ("sbatch", SBATCH),
            ("squeue", SQUEUE),
            ("scancel", SCANCEL),
            ("scontrol", SCONTROL),
        ];
        for (name, text) in scripts {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{HEAD}{text}")).expect("a file");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, executable).expect("its mode");
        }
        Self(folder)
    }

    /// Has a program behave in some way.
    pub(crate) fn set(&self, program: &str, mode: &str) {
        std::fs::write(self.path(&format!("{program}.mode")), mode).expect("a file");
    }

    /// What a program was asked so far.
    pub(crate) fn asked(&self, program: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(&format!("{program}.asked")));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Has a command find the scripts, and wait for their answers for seconds rather than a minute.
    pub(crate) fn set_up(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.0.path().display()));
        command.env("HOMEBENCH_CALL_SECONDS", "3");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
