//! Kills at random moments: an experiment of 24 cells whose parent and cells are killed again and again ends with the bytes of
//! one that nobody disturbed.
//!
//! The same with one that is tuned: killed in its trials, between phases and in its final cells.
//!
//! Ten kills of either by default; `just torture` asks for 200 with `HOMEBENCH_TORTURE_KILLS`. Which process is killed when comes from
//! a seed, though what it was doing then depends on the machine.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, SMALL, experiment};
use crate::process::{LONG_ENOUGH, cells_of, send, wait_until_gone};
use crate::tuning;
use homebench_kernels::random::Philox;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Kills of one experiment before it is left to end.
const KILLS_OF_A_ROUND: usize = 10;
/// A parent is disturbed after at most this long.
const LONGEST_PEACE: Duration = Duration::from_millis(600);

/// Starts an experiment in a folder.
type Start = fn(&Bench, &str) -> Child;

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
        start_tuned(&bench, "undisturbed")
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
        let mut parent = start_tuned(&bench, "out");
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
        start_tuned(&bench, "out")
            .wait()
            .expect("it ends")
            .success()
    );
    bench.assert_same_results("out", "undisturbed");
}

/// Kills an experiment again and again, until there were as many kills as are asked for.
fn torture(start: Start, purpose: &str) {
    let kills = std::env::var("HOMEBENCH_TORTURE_KILLS").map_or(KILLS_OF_A_ROUND, |text| {
        text.parse().expect("a number of kills")
    });
    let bench = Bench::new();
    let mut undisturbed = start(&bench, "undisturbed");
    assert!(undisturbed.wait().expect("it ends").success());
    let mut torturer = Torturer {
        start,
        draws: Philox::new(2408, "torture", purpose),
        drawn: 0,
        killed: [0, 0],
    };
    for round in 0..kills.div_ceil(KILLS_OF_A_ROUND) {
        let out = format!("round{round}");
        let wanted = (kills - round * KILLS_OF_A_ROUND).min(KILLS_OF_A_ROUND);
        torturer.disturb(&bench, &out, wanted);
        let status = start(&bench, &out).wait().expect("it ends");
        let said =
            || std::fs::read_to_string(bench.path(&format!("{out}.said"))).unwrap_or_default();
        assert!(status.success(), "round {round}: {status}\n{}", said());
        bench.assert_same_results(&out, "undisturbed");
        std::fs::remove_dir_all(bench.path(&out)).expect("a folder of this test");
        println!("round {round}: byte-identical after {wanted} kills");
    }
    let [parents, cells] = torturer.killed;
    println!("{kills} of {kills} kills survived: {parents} of parents, {cells} of cells");
}

/// Starts one of three variants with eight seeds.
fn start(bench: &Bench, out: &str) -> Child {
    let more = [SMALL, &["--set", "seeds=[1,2,3,4,5,6,7,8]"]].concat();
    spawn(bench, &experiment("quickstart.toml"), out, &more)
}

/// Starts one of twelve trials and four final cells.
fn start_tuned(bench: &Bench, out: &str) -> Child {
    bench.write("tuned.toml", tuning::SPEC);
    spawn(bench, "tuned.toml", out, &[])
}

/// Starts an experiment on two cores, with a checkpoint after every step.
fn spawn(bench: &Bench, spec: &str, out: &str, more: &[&str]) -> Child {
    let descriptions = experiment("datasets");
    let mut arguments = vec!["run", spec, "--out", out, "--descriptions", &descriptions];
    arguments.extend(more);
    for setting in ["run.checkpoint_every_seconds=0", "run.retries=1000"] {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(["--jobs", "2", "--threads", "1"]);
    let said = std::fs::File::create(bench.path(&format!("{out}.said"))).expect("a file");
    let mut command = bench.command(&arguments);
    let command = command.stdout(Stdio::null()).stderr(said);
    command.spawn().expect("it starts")
}

struct Torturer {
    start: Start,
    draws: Philox,
    drawn: u64,
    /// Of parents, of cells.
    killed: [usize; 2],
}

impl Torturer {
    fn draw(&mut self, below: u32) -> u32 {
        self.drawn += 1;
        self.draws.below(self.drawn, below)
    }

    /// Kills the parent or one of its cells until there were `wanted` kills, or the experiment has ended in peace.
    fn disturb(&mut self, bench: &Bench, out: &str, wanted: usize) {
        let mut done = 0;
        while done < wanted {
            let mut parent = (self.start)(bench, out);
            let status = loop {
                if let Some(status) = self.wait_a_moment(&mut parent) {
                    break Some(status);
                }
                let cells = cells_of(parent.id());
                let victim = self.draw(3) as usize;
                let Some(cell) = cells.get(victim) else {
                    // Not yet waited for, so it is there, if only as a dead one.
                    assert!(send("KILL", parent.id()));
                    parent.wait().expect("it ends");
                    cells.into_iter().for_each(wait_until_gone);
                    self.killed[0] += 1;
                    done += 1;
                    break None;
                };
                if !send("KILL", *cell) {
                    continue;
                }
                self.killed[1] += 1;
                done += 1;
                if done == wanted {
                    break Some(parent.wait().expect("it ends"));
                }
            };
            // An experiment that ended in spite of all can't be disturbed any more: another one is.
            if done < wanted && status.is_some_and(|status| status.success()) {
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
