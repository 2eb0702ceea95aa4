//! Signals at random moments: an experiment of 24 cells whose parent and cells are killed or asked to end again and again ends with the
//! bytes of one that nobody disturbed.
//!
//! The same with one that is tuned: disturbed in its trials, between phases and in its final cells. Rounds have one job and two in
//! turn, and before every third the prepared data is removed.
//!
//! Ten signals to either by default; `just torture` asks for 200 with `HOMEBENCH_TORTURE_KILLS`, and prints a table. Which process gets
//! which signal when comes from a seed, `HOMEBENCH_TORTURE_SEED`, though what it was doing then depends on the machine.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, SMALL, experiment};
use crate::process::{LONG_ENOUGH, cells_of, send, wait_until_gone};
use crate::tuning;
use homebench_kernels::random::Philox;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Kills of one experiment before it is left to end.
const KILLS_OF_A_ROUND: usize = 10;
/// Prepared data.
const CACHE: &str = "cache";
/// A parent is disturbed after at most this long.
const LONGEST_PEACE: Duration = Duration::from_millis(600);

/// Starts an experiment in a folder,
/// with so many jobs.
type Start = fn(&Bench, &str, usize) -> Child;

#[test]
fn killed_at_any_moment_an_experiment_ends_with_the_same_bytes() {
    torture(start, "kills");
}

#[test]
fn killed_at_any_moment_a_tuned_experiment_ends_with_the_same_bytes() {
    torture(start_tuned, "kills of a tuned one");
}

#[test]
fn killed_in_each_phase_and_between_them_a_tuned_experiment_ends_with_the_same_bytes() {
    let bench = Bench::new();
    assert!(
        start_tuned(&bench, "undisturbed", 2)
            .wait()
            .expect("it ends")
            .success()
    );
    let ended = || {
        let cells = std::fs::read_dir(bench.path("out/cells"))
            .into_iter()
            .flatten();
        cells
            .flatten()
            .filter(|cell| cell.path().join("outcome.toml").exists())
            .count()
    };
    let winners = bench.path("out/winners.toml");
    let trials = 2 * 3 * 2;
    let moments: [(&str, &dyn Fn() -> bool); 5] = [
        ("in phase 1", &|| ended() >= 2),
        ("as the last trial ends", &|| ended() >= trials),
        ("as the winners are frozen", &|| winners.exists()),
        ("as phase 3 begins", &|| {
            winners.exists() && ended() >= trials
        }),
        ("in phase 3", &|| ended() > trials + 1),
    ];
    for (when, has_come) in moments {
        let mut parent = start_tuned(&bench, "out", 2);
        let start = Instant::now();
        while !has_come() {
            let status = parent.try_wait().expect("a child of this process");
            assert!(
                status.is_none(),
                "it ended before it could be killed {when}"
            );
            assert!(start.elapsed() < LONG_ENOUGH, "{when} never came");
            std::thread::sleep(Duration::from_millis(1));
        }
        let cells = cells_of(parent.id());
        assert!(send("KILL", parent.id()));
        parent.wait().expect("it ends");
        cells.into_iter().for_each(wait_until_gone);
    }
    assert!(
        start_tuned(&bench, "out", 2)
            .wait()
            .expect("it ends")
            .success()
    );
    bench.assert_same_results("out", "undisturbed");
}

/// What a process is sent, by name, and whether that is the parent.
const SIGNALS: [(&str, bool); 6] = [
    ("KILL", true),
    ("TERM", true),
    ("INT", true),
    ("HUP", true),
    ("KILL", false),
    ("TERM", false),
];

/// A number from the environment.
fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    let text = std::env::var(name).ok();
    text.map_or(usual, |text| {
        let number = text.parse().ok();
        number.unwrap_or_else(|| panic!("{name}: expected a number, found {text}"))
    })
}

/// Disturbs an experiment again and again, until there were as many signals as are asked for.
fn torture(start: Start, purpose: &str) {
    let kills = setting("HOMEBENCH_TORTURE_KILLS", KILLS_OF_A_ROUND);
    let bench = Bench::new();
    let mut undisturbed = start(&bench, "undisturbed", 2);
    assert!(undisturbed.wait().expect("it ends").success());
    let seed = setting("HOMEBENCH_TORTURE_SEED", 2408);
    let mut torturer = Torturer {
        start,
        draws: Philox::new(seed, "torture", purpose),
        drawn: 0,
        jobs: 1,
        sent: [0; SIGNALS.len()],
    };
    let mut table = format!("\n{purpose}, seed {seed}:\n\n| round | jobs | data removed |");
    for (signal, is_parent) in SIGNALS {
        table += &format!(" {signal} {} |", if is_parent { "parent" } else { "cell" });
    }
    table += &format!(
        " identical |\n| ---: | ---: | --- |{} --- |\n",
        " ---: |".repeat(SIGNALS.len())
    );
    let mut differences = Vec::new();
    for round in 0..kills.div_ceil(KILLS_OF_A_ROUND) {
        let out = format!("round{round}");
        let wanted = (kills - round * KILLS_OF_A_ROUND).min(KILLS_OF_A_ROUND);
        torturer.jobs = 1 + (round + 1) % 2;
        torturer.sent = [0; SIGNALS.len()];
        let is_removed = round % 3 == 2;
        if is_removed {
            std::fs::remove_dir_all(bench.path(CACHE)).expect("prepared data");
        }
        torturer.disturb(&bench, &out, wanted);
        let status = start(&bench, &out, torturer.jobs).wait().expect("it ends");
        let said =
            || std::fs::read_to_string(bench.path(&format!("{out}.said"))).unwrap_or_default();
        let difference = match status.success() {
            true => bench.difference(&out, "undisturbed"),
            false => Some(format!("{status}\n{}", said())),
        };
        let yes = |is: bool| if is { "yes" } else { "no" };
        table += &format!("| {round} | {} | {} |", torturer.jobs, yes(is_removed));
        for count in torturer.sent {
            table += &format!(" {count} |");
        }
        table += &format!(" {} |\n", yes(difference.is_none()));
        match difference {
            Some(difference) => differences.push(format!("round {round}: {difference}")),
            None => std::fs::remove_dir_all(bench.path(&out)).expect("a folder of this test"),
        }
    }
    println!("{table}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Starts one of three variants with eight seeds.
fn start(bench: &Bench, out: &str, jobs: usize) -> Child {
    let more = [SMALL, &["--set", "seeds=[1,2,3,4,5,6,7,8]"]].concat();
    spawn(bench, &experiment("quickstart.toml"), out, jobs, &more)
}

/// Starts one of twelve trials and four final cells.
fn start_tuned(bench: &Bench, out: &str, jobs: usize) -> Child {
    bench.write("tuned.toml", tuning::SPEC);
    spawn(bench, "tuned.toml", out, jobs, &[])
}

/// Starts an experiment with a checkpoint after every step, and with prepared data of its own, since that is removed.
fn spawn(bench: &Bench, spec: &str, out: &str, jobs: usize, more: &[&str]) -> Child {
    let descriptions = experiment("datasets");
    let mut arguments = vec!["run", spec, "--out", out, "--descriptions", &descriptions];
    arguments.extend(more);
    for setting in ["run.checkpoint_every_seconds=0", "run.retries=1000"] {
        arguments.extend(["--set", setting]);
    }
    let jobs = jobs.to_string();
    arguments.extend(["--jobs", &jobs, "--threads", "1"]);
    let said = std::fs::File::create(bench.path(&format!("{out}.said"))).expect("a file");
    let mut command = bench.command(&arguments);
    command.env("HOMEBENCH_CACHE", bench.path(CACHE));
    let command = command.stdout(Stdio::null()).stderr(said);
    command.spawn().expect("it starts")
}

struct Torturer {
    start: Start,
    draws: Philox,
    drawn: u64,
    jobs: usize,
    /// Of each of [`SIGNALS`].
    sent: [usize; SIGNALS.len()],
}

impl Torturer {
    fn draw(&mut self, below: u32) -> u32 {
        self.drawn += 1;
        self.draws.below(self.drawn, below)
    }

    /// Disturbs the parent or one of its cells until there were `wanted` signals, or the experiment has ended in peace.
    fn disturb(&mut self, bench: &Bench, out: &str, wanted: usize) {
        let mut done = 0;
        while done < wanted {
            let mut parent = (self.start)(bench, out, self.jobs);
            let status = loop {
                if let Some(status) = self.wait_a_moment(&mut parent) {
                    break status;
                }
                let cells = cells_of(parent.id());
                let place = self.draw(SIGNALS.len() as u32) as usize;
                let (signal, is_parent) = SIGNALS[place];
                let victim = match is_parent {
                    true => Some(parent.id()),
                    false => cells
                        .get(self.draw(2) as usize % cells.len().max(1))
                        .copied(),
                };
                // A parent is not yet waited for, so it is there, if only as a dead one.
                if !victim.is_some_and(|victim| send(signal, victim)) {
                    continue;
                }
                self.sent[place] += 1;
                done += 1;
                if is_parent {
                    let status = parent.wait().expect("it ends");
                    cells.into_iter().for_each(wait_until_gone);
                    break status;
                }
                if done == wanted {
                    break parent.wait().expect("it ends");
                }
            };
            // An experiment that ended in spite of all can't be disturbed any more: another one is.
            if done < wanted && status.success() {
                std::fs::remove_dir_all(bench.path(out)).expect("a folder of this test");
            }
        }
    }

    /// How the parent ended, if it did within a random while.
    fn wait_a_moment(&mut self, parent: &mut Child) -> Option<ExitStatus> {
        let longest = LONGEST_PEACE.as_millis() as u32;
        let peace = Duration::from_millis(u64::from(self.draw(longest)));
        let start = Instant::now();
        while start.elapsed() < peace {
            if let Some(status) = parent.try_wait().expect("a child of this process") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}
