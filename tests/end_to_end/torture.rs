//! Kills at random moments: an experiment of 24 cells whose parent and cells are killed again and again ends with the bytes of
//! one that nobody disturbed.
//!
//! Ten kills by default; `just torture` asks for 200 with `HOMEBENCH_TORTURE_KILLS`. Which process is killed when comes from
//! a seed, though what it was doing then depends on the machine.
#![cfg(target_os = "linux")]

use crate::harness::{Bench, SMALL, experiment};
use crate::process::{cells_of, send, wait_until_gone};
use homebench_kernels::random::Philox;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Kills of one experiment before it is left to end.
const KILLS_OF_A_ROUND: usize = 10;
/// A parent is disturbed after at most this long.
const LONGEST_PEACE: Duration = Duration::from_millis(600);
#[test]
fn killed_at_any_moment_an_experiment_ends_with_the_same_bytes() {
    let kills = std::env::var("HOMEBENCH_TORTURE_KILLS").map_or(KILLS_OF_A_ROUND, |text| {
        text.parse().expect("a number of kills")
    });
    let bench = Bench::new();
    let mut undisturbed = start(&bench, "undisturbed");
    assert!(undisturbed.wait().expect("it ends").success());
    let mut torturer = Torturer {
        draws: Philox::new(2408, "torture", "kills"),
        drawn: 0,
        killed: [0, 0],
    };
    for round in 0..kills.div_ceil(KILLS_OF_A_ROUND) {
        let out = format!("round{round}");
        let wanted = (kills - round * KILLS_OF_A_ROUND).min(KILLS_OF_A_ROUND);
        torturer.disturb(&bench, &out, wanted);
        let status = start(&bench, &out).wait().expect("it ends");
        assert!(status.success(), "round {round}: {status}");
        bench.assert_same_results(&out, "undisturbed");
        std::fs::remove_dir_all(bench.path(&out)).expect("a folder of this test");
        println!("round {round}: byte-identical after {wanted} kills");
    }
    let [parents, cells] = torturer.killed;
    println!("{kills} of {kills} kills survived: {parents} of parents, {cells} of cells");
}

/// Starts the experiment: three variants with eight seeds, a checkpoint after every step.
fn start(bench: &Bench, out: &str) -> Child {
    let (spec, descriptions) = (experiment("quickstart.toml"), experiment("datasets"));
    let mut arguments = vec!["run", &spec, "--out", out, "--descriptions", &descriptions];
    arguments.extend(SMALL);
    for setting in [
        "seeds=[1,2,3,4,5,6,7,8]",
        "run.checkpoint_every_seconds=0",
        "run.retries=1000",
    ] {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(["--jobs", "2", "--threads", "1"]);
    let mut command = bench.command(&arguments);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

struct Torturer {
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
            let mut parent = start(bench, out);
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
