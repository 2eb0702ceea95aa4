//! Criterion benches, one file per subject.
