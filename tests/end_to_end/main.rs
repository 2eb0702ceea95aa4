//! The binary as a user meets it: every test starts it as a process, in an empty folder of its own.

mod bad_input;
mod budgets;
mod failures;
mod harness;
mod help;
mod identity;
mod interruption;
mod quickstart;
mod training;
