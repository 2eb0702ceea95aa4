//! Keeps what the compiler was and how it was asked to compile, for `provenance.toml`.

use std::env;
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let rustc = Command::new(variable("RUSTC"))
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    // cargo separates flags by the unit separator, so that flags may hold spaces.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " ");
    println!("cargo::rustc-env=HOMEBENCH_RUSTC={}", rustc.trim());
    println!("cargo::rustc-env=HOMEBENCH_RUSTFLAGS={flags}");
    println!("cargo::rustc-env=HOMEBENCH_TARGET={}", variable("TARGET"));
    println!(
        "cargo::rustc-env=HOMEBENCH_OPT_LEVEL={}",
        variable("OPT_LEVEL")
    );
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
}
