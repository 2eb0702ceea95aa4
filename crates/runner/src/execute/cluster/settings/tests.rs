//! Every key of `cluster.toml`, and what is refused at its place.

use super::*;

fn read(text: &str) -> Result<ClusterSettings, Diagnostic> {
    of_document(&Document::new("cluster.toml", text), EngineKind::Slurm)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().render()
}

#[test]
fn every_key_is_read_and_has_a_default() {
    let text = r#"
[slurm]
tasks = 8
task_seconds = 60
memory = "2GiB"
time = "90m"
constraint = "icelake"
processors = "same"
resubmissions = 0
poll_seconds = 2.5
silence_seconds = 12
arguments = ["--partition=batch", "-Aabc", "-q debug"]
environment = ["LD_LIBRARY_PATH"]
setup = "module load cuda/12"
"#;
    let found = read(text).unwrap();
    assert_eq!(found.memory_bytes, Some(2 << 30));
    assert_eq!(found.longest, Duration::from_secs(5400));
    assert_eq!(found.poll, Duration::from_millis(2500));
    assert_eq!(beat(found.silence), Duration::from_secs(2));
    assert!(found.same_processors && found.resubmissions == 0);
    let default = read("").unwrap();
    assert_eq!(default, ClusterSettings::default_of(EngineKind::Slurm));
    assert_eq!((default.tasks, default.resubmissions), (64, 3));
    // Tables of others are read, and change nothing.
    let others = read("[processes]\ntasks = 3\n[manual]\ntasks = 2\n").unwrap();
    assert_eq!(others, default);
}

#[test]
fn what_cannot_be_meant_is_refused_at_its_place() {
    let all = [
        "[slurm]\ntaks = 3\n",
        "[slrm]\ntasks = 3\n",
        "[processes]\nmemory = \"4GiB\"\n",
        "[slurm]\ntasks = 0\n",
        "[slurm]\nmemory = \"lots\"\n",
        "[slurm]\ntime = \"4\"\n",
        "[slurm]\npoll_seconds = -1\n",
        "[slurm]\nprocessors = \"sam\"\n",
        "[slurm]\nconstraint = \"\"\n",
        "[slurm]\narguments = [\"--partition=b\", \"--array=0-9\"]\n",
        "[slurm]\narguments = [\"-J\", \"mine\"]\n",
        "[slurm]\narguments = [\"--outp=x\"]\n",
        "[slurm]\narguments = [\"batch\"]\n",
        "[slurm]\nenvironment = [\"A=3\"]\n",
    ];
    let said: Vec<String> = all.iter().map(|text| refused(text)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
        error: cluster.toml:2:1: unknown key `taks` in [slurm]; expected one of `tasks`, `task_seconds`, `memory`, `time`, `constraint`, `processors`, `resubmissions`, `poll_seconds`, `silence_seconds`, `arguments`, `environment`, `setup`
        hint: did you mean `tasks`?

        error: cluster.toml:1:2: unknown key `slrm`; expected one of `slurm`, `processes`, `manual`
        hint: did you mean `slurm`?

        error: cluster.toml:2:1: unknown key `memory` in [processes]; expected one of `tasks`, `task_seconds`, `processors`, `resubmissions`, `poll_seconds`, `silence_seconds`

        error: cluster.toml:2:9: `slurm.tasks`: expected a whole number from 1 to 1000000, found 0

        error: cluster.toml:2:10: `slurm.memory`: expected an amount of memory, found "lots"
        hint: such as "4GiB" or "500MB"

        error: cluster.toml:2:8: `slurm.time`: expected a time, found "4"
        hint: such as "90m", "4h" or "2d"

        error: cluster.toml:2:16: `slurm.poll_seconds`: expected seconds, more than 0 and up to 30 days, found -1

        error: cluster.toml:2:14: `slurm.processors`: expected `any` or `same`, found `sam`
        hint: did you mean `same`?

        error: cluster.toml:2:14: `slurm.constraint`: expected a text, found none
        hint: leave the key out

        error: cluster.toml:2:31: `slurm.arguments`: homebench gives --array itself, found `--array=0-9`
        hint: set `tasks`

        error: cluster.toml:2:14: `slurm.arguments`: homebench gives --job-name (-J) itself, found `-J`
        hint: leave it out: homebench finds its jobs by their name

        error: cluster.toml:2:14: `slurm.arguments`: homebench gives --output itself, found `--outp=x`
        hint: leave it out: logs are in .cluster/ of the results

        error: cluster.toml:2:14: `slurm.arguments`: expected options of sbatch with their values in one text, found `batch`
        hint: one text for each, as in `sbatch --partition=batch`

        error: cluster.toml:2:16: `slurm.environment`: expected names of variables, found `A=3`
        hint: values are those of the shell in which `homebench run` starts
        "#);
}

#[test]
fn options_that_only_begin_like_own_ones_are_a_users() {
    for argument in [
        "--mem-per-cpu=2G",
        "--nodelist=n1",
        "--partition=a",
        "-pbatch",
        "--time-min=3",
        "--account=x",
        "--qos=y",
    ] {
        assert_eq!(own_option(argument), None, "{argument}");
    }
    for argument in [
        "--mem=3",
        "--arr=3",
        "-a3",
        "--export=ALL",
        "--time=3",
        "--requeue",
    ] {
        assert!(own_option(argument).is_some(), "{argument}");
    }
}
