//! The `homebench` binary, and the library that it and its tests are made of.
//!
//! [`cmd`] is the command line; [`parent`] decides which cells run and what a start that ended means; [`execute`] has the
//! executors, which run cells somewhere; [`task`] is what the process of a cluster's task does, [`cell`] that of a cell; [`provenance`] says on what and from
//! what numbers were made.
//!
//! May import: every crate but `metric` and `random`, which those below have wrapped. Within it, arrows run from `cmd` to
//! `parent`, `task` and `cell`, `task` to `parent` and `execute`, `parent` to `execute` and `cell`, and what a cell and its parent say to each other is
//! `execute::protocol`, which both import; all of them say things through [`output`]. [`tensorboard`] writes curves for another program to show; [`bundled`] has the experiments that the
//! binary carries. Must not hold: a computation of a result's number (`train`'s), how a
//! table is written (`results`) or a report worded (`report`).

#[cfg(not(unix))]
compile_error!(
    "homebench runs on Unix: cells are ended by signals and their parents wait for them by `wait4`"
);

pub mod bundled;
pub mod candle_threads;
pub mod cell;
pub mod cmd;
pub mod execute;
pub mod memory;
pub mod output;
pub mod parent;
pub mod provenance;
mod signals;
pub mod task;
pub mod tensorboard;
