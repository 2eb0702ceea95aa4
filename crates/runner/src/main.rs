//! The homebench command line.
fn main() {}
