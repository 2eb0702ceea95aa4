//! Experiments: one TOML file, one question. [`spec`] reads and checks it; [`plan`] makes the cells that answer it, and
//! knows which of them a results folder already has.

pub mod plan;
pub mod spec;
