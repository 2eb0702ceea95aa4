//! The binary as a user meets it: every test starts it as a process, in an empty folder of its own.

#[macro_use]
mod bad_input;
mod budgets;
mod cache;
mod data;
mod diff;
mod failures;
mod faults;
mod harness;
mod help;
mod identity;
mod integrity;
mod interruption;
mod model_files;
mod numerics;
mod output;
mod overhead;
mod ownership;
mod process;
mod quickstart;
mod regression;
mod reports;
mod reproduction;
mod small_run;
mod status;
mod sweep_refusals;
mod sweeps;
mod torture;
mod training;
mod tuning;
