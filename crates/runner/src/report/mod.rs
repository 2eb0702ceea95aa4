//! Tables and reports of a results folder, made from its files and nothing else.

pub(crate) mod files;
pub mod results;
#[cfg(test)]
pub(crate) mod sample;
