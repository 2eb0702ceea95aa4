//! Experiments: one TOML file, one question. [`spec`] reads and checks it; [`plan`] makes the cells that answer it, and
//! knows which of them a results folder already has.
//!
//! From the text of a spec to cells with ids, costs and expected times; nothing is trained.
//!
//! May import: `data` (descriptions), `model` (the registry, to count parameters), `train` (settings, no steps), `results`, `metric` (names),
//! `diagnostic`, `random`. Must not hold: processes and what runs them (`runner`), reports, or any number that a cell measures.

pub mod plan;
pub mod spec;
