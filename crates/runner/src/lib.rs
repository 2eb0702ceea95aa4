//! The homebench experiment runner: a question as a TOML file in, tables, charts and raw CSV out.

pub mod cmd;
pub mod data;
pub mod device;
pub mod diagnostic;
pub mod figure;
pub mod memory;
pub mod metric;
pub mod record;
pub mod report;
pub mod spec;
pub mod sweep;
pub mod train;
