//! Options of `sbatch` that users can't give, since homebench does.

/// Options of `sbatch` that homebench gives itself: long, short, and how a user has a say in it.
const OWN_OPTIONS: [(&str, Option<char>, &str); 23] = [
    ("array", Some('a'), "set `tasks`"),
    (
        "begin",
        Some('b'),
        "start `homebench run` when it is to begin",
    ),
    (
        "chdir",
        Some('D'),
        "leave it out: tasks work in their own folder",
    ),
    (
        "clusters",
        Some('M'),
        "set SLURM_CLUSTERS in the environment",
    ),
    ("constraint", Some('C'), "set `constraint`"),
    (
        "cpus-per-task",
        Some('c'),
        "give `--threads`, or set `run.threads` in the spec",
    ),
    (
        "dependency",
        Some('d'),
        "leave it out: homebench waits for what it needs",
    ),
    (
        "error",
        Some('e'),
        "leave it out: logs are in .cluster/ of the results",
    ),
    (
        "exclude",
        Some('x'),
        "set `constraint`, or exclude nodes by a partition",
    ),
    ("export", None, "set `environment`"),
    (
        "job-name",
        Some('J'),
        "leave it out: homebench finds its jobs by their name",
    ),
    ("mem", None, "set `memory`"),
    ("nodes", Some('N'), "leave it out: a task has one node"),
    ("no-requeue", None, "leave it out: homebench gives it"),
    ("ntasks", Some('n'), "set `tasks`"),
    ("open-mode", None, "leave it out: homebench gives it"),
    (
        "output",
        Some('o'),
        "leave it out: logs are in .cluster/ of the results",
    ),
    ("parsable", None, "leave it out: homebench gives it"),
    (
        "requeue",
        None,
        "leave it out: homebench submits lost cells again itself",
    ),
    (
        "signal",
        None,
        "leave it out: homebench asks for a signal two minutes before the end",
    ),
    ("time", Some('t'), "set `time`"),
    ("wait", Some('W'), "leave it out: homebench waits"),
    ("wrap", None, "leave it out, or use `setup`"),
];

/// The option of homebench's own that an argument gives, with what to do instead. `sbatch` takes beginnings of long names too.
pub(super) fn own_option(argument: &str) -> Option<(String, &'static str)> {
    if let Some(long) = argument.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        let is_it = |own: &&(&str, Option<char>, &str)| {
            own.0 == name || (name.len() > 2 && own.0.starts_with(name))
        };
        let own = OWN_OPTIONS.iter().find(is_it)?;
        return Some((format!("--{}", own.0), own.2));
    }
    let letter = argument.strip_prefix('-')?.chars().next()?;
    let own = OWN_OPTIONS.iter().find(|own| own.1 == Some(letter))?;
    Some((format!("--{} (-{letter})", own.0), own.2))
}
