//! To be described.
pub mod data;
