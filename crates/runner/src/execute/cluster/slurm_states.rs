//! What `squeue` says of tasks.

use super::engine::{States, TaskState};

/// Name, index, state, reason and node.
pub(super) const FORMAT: &str = "%j|%K|%T|%r|%N";

/// What our jobs' names begin with.
const NAME: &str = "hb-";

/// States in which a task is over, by Slurm's word.
const ENDED: [&str; 10] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
];

/// Reasons for which a task that waits will wait for ever. What an administrator or the end of others' jobs may change is none.
const NEVER: [&str; 22] = [
    "AccountNotAllowed",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxMemPerJob",
    "AssocMaxWallDurationPerJobLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "MaxCpuPerAccount",
    "MaxMemPerLimit",
    "PartitionConfig",
    "PartitionInactive",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxCpuPerUserLimit",
    "QOSMaxMemoryPerJob",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "QOSMinCpuNotSatisfied",
    "QOSNotAllowed",
    "QOSTimeLimit",
];

/// Reasons for which Slurm itself has laid a task aside, such as after it lost sight of it: it is as good as ended.
const LAID_ASIDE: [&str; 2] = ["JobHeldAdmin", "launch failed requeued held"];

/// The tasks of an answer; lines that can't be understood say nothing.
pub(super) fn read_states(text: &str) -> States {
    let line = |line: &str| {
        let parts: Vec<&str> = line.trim().split('|').collect();
        let [name, task, state, reason, host] = parts.as_slice() else {
            return None;
        };
        let token = name.strip_prefix(NAME)?.to_owned();
        Some((
            (token, task.parse().ok()?),
            read_state(state, reason, host)?,
        ))
    };
    text.lines().filter_map(line).collect()
}

fn read_state(state: &str, reason: &str, host: &str) -> Option<TaskState> {
    let laid_aside = reason.trim_matches(['(', ')'].as_slice());
    let ended = |how: String| TaskState::Ended {
        how,
        host: host.to_owned(),
        out_of_memory: state == "OUT_OF_MEMORY",
    };
    Some(match state {
        _ if ENDED.contains(&state) => ended(state.to_owned()),
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "SPECIAL_EXIT"
            if LAID_ASIDE.iter().any(|aside| laid_aside.starts_with(aside)) =>
        {
            ended(format!("Slurm holds it: {laid_aside}"))
        }
        "PENDING" if NEVER.contains(&reason) => TaskState::Never(reason.to_owned()),
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" => {
            TaskState::Queued(reason.to_owned())
        }
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT"
        | "RESIZING" => TaskState::Running(host.to_owned()),
        // Of a newer Slurm, perhaps: nothing is concluded from a word that isn't known.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_what_is_unknown_says_nothing() {
        let text = "\
hb-aa|0|RUNNING|None|node1
hb-aa|1|PENDING|Resources|
hb-aa|2|PENDING|PartitionConfig|
hb-aa|3|NODE_FAIL|NodeDown|node2
hb-aa|4|OUT_OF_MEMORY|OutOfMemory|node2
hb-aa|5|PENDING|launch failed requeued held|
hb-aa|6|PENDING|JobHeldUser|
hb-aa|7|SHINY_NEW|None|node1
hb-aa|8-9%4|PENDING|Resources|
other|0|RUNNING|None|node1
slurm_load_jobs error: Invalid job id
";
        let found = read_states(text);
        let state = |task| found.get(&("aa".to_owned(), task)).cloned();
        let ended = |how: &str, host: &str, out_of_memory| TaskState::Ended {
            how: how.to_owned(),
            host: host.to_owned(),
            out_of_memory,
        };
        assert_eq!(state(0), Some(TaskState::Running("node1".into())));
        assert_eq!(state(1), Some(TaskState::Queued("Resources".into())));
        assert_eq!(state(2), Some(TaskState::Never("PartitionConfig".into())));
        assert_eq!(state(3), Some(ended("NODE_FAIL", "node2", false)));
        assert_eq!(state(4), Some(ended("OUT_OF_MEMORY", "node2", true)));
        let held = "Slurm holds it: launch failed requeued held";
        assert_eq!(state(5), Some(ended(held, "", false)));
        assert_eq!(state(6), Some(TaskState::Queued("JobHeldUser".into())));
        assert_eq!(found.len(), 7);
    }
}
