//! Whole trainings, called as a cell calls them.

mod balance;
mod harness;
mod not_finite;
mod pretrained;
mod rungs;
mod warm_start;
