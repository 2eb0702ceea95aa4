//! The `homebench` binary: the command line, the parent that runs cells as processes, and the process of a cell.

pub mod cell;
pub mod cmd;
pub mod execute;
pub mod memory;
pub mod provenance;
