//! End-to-end tests of the homebench binary.
