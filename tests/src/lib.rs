//! End-to-end tests of the `homebench` binary: see `end_to_end/`.
