//! Programs of a batch system, called so that nothing of this process's surroundings changes what they do, and that none is waited for
//! for ever.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an answer is waited for. A controller that is away lets its programs try for up to 20 seconds by themselves.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers longer than this are cut: 100,000 tasks have a line of 100 bytes each.
const LONGEST_ANSWER: u64 = 64 << 20;

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Called {
    /// It ended so.
    Ended(Answer),
    /// No answer came in time, and it was ended. What it was to do may have been done.
    TooLate,
    /// There is no such program.
    NotThere,
}

/// What a program said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) is_success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Answer {
    /// What it said of what is wrong.
    pub(super) fn complaint(&self) -> String {
        let lines = self.stderr.lines().chain(self.stdout.lines());
        let mut lines = lines.map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("it gave no reason");
        let second = lines
            .next()
            .map_or_else(String::new, |line| format!("; {line}"));
        format!("{first}{second}")
    }
}

/// Calls a program with these arguments, and waits for it for a time.
pub(super) fn call(program: &str, arguments: &[String]) -> Called {
    let patience = patience();
    let answer = || -> io::Result<Option<Answer>> {
        // Files and not pipes: a child of the program may hold a pipe open long after its end.
        let (mut out, mut said) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(said.try_clone()?)
            // A Ctrl-C on the terminal is this process's, which then asks what it has to.
            .process_group(0);
        for (name, _) in std::env::vars_os() {
            if changes_calls(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        // Messages are shown to people and never read, but states are words.
        command.env("LC_ALL", "C");
        close_files_in_child(&mut command, false);
        let mut child = command.spawn()?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > patience {
                let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |file: &mut std::fs::File| -> io::Result<String> {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.take(LONGEST_ANSWER).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Some(Answer {
            is_success: status.success(),
            stdout: text(&mut out)?,
            stderr: text(&mut said)?,
        }))
    };
    match answer() {
        Ok(Some(answer)) => Called::Ended(answer),
        Ok(None) => Called::TooLate,
        Err(error) if error.kind() == ErrorKind::NotFound => Called::NotThere,
        Err(error) => Called::Ended(Answer {
            is_success: false,
            stdout: String::new(),
            stderr: error.to_string(),
        }),
    }
}

/// How long an answer is waited for; tests have less patience.
pub(super) fn patience() -> Duration {
    let text = std::env::var("HOMEBENCH_CALL_SECONDS").ok();
    let seconds = text.and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    time.unwrap_or(PATIENCE)
}

/// Whether a variable of the environment would change what Slurm's programs do, such as those that a job gives what it starts. Where the
/// cluster is has to stay.
fn changes_calls(name: &str) -> bool {
    let stays = ["SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER"];
    let families = [
        "SLURM_",
        "SLURMD_",
        "SBATCH_",
        "SRUN_",
        "SALLOC_",
        "SCANCEL_",
        "SQUEUE_",
        "SCONTROL_",
        "SINFO_",
    ];
    !stays.contains(&name) && families.iter().any(|family| name.starts_with(family))
}

/// Has every file that is open now closed in the program that a command starts, also those that children inherit, such as the lock of a
/// results folder; and where asked for, gives the program a session of its own, which no terminal ends.
pub(crate) fn close_files_in_child(command: &mut Command, has_own_session: bool) {
    let open: Vec<i32> = std::fs::read_dir("/dev/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    let prepare = move || {
        crate::signals::heed_size_limit();
        if has_own_session {
            // Fails only for the leader of a group, which a new process is not.
            let _ = rustix::process::setsid();
        }
        for file in &open {
            // SAFETY: sets a flag of a number; one that is closed by now is refused without harm.
            unsafe { libc::fcntl(*file, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes calls of the system alone, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_answers_in_time_or_is_ended() {
        let shell = |script: &str| call("sh", &["-c".to_owned(), script.to_owned()]);
        let Called::Ended(answer) = shell("echo one; echo two >&2; exit 3") else {
            panic!("it answers");
        };
        assert!(!answer.is_success);
        assert_eq!(
            (answer.stdout.as_str(), answer.stderr.as_str()),
            ("one\n", "two\n")
        );
        assert_eq!(answer.complaint(), "two; one");
        // A child that stays keeps nobody waiting.
        let start = Instant::now();
        assert!(matches!(shell("sleep 30 & echo one"), Called::Ended(answer) if answer.is_success));
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(call("homebench-no-such-program", &[]), Called::NotThere);
    }

    #[test]
    fn what_a_job_gives_its_children_is_kept_from_calls() {
        for name in [
            "SLURM_JOB_ID",
            "SBATCH_TIMELIMIT",
            "SQUEUE_FORMAT",
            "SLURM_CPU_BIND",
        ] {
            assert!(changes_calls(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_CLUSTERS", "PATH", "HOMEBENCH_CACHE"] {
            assert!(!changes_calls(name), "{name}");
        }
    }
}
