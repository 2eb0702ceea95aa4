//! Compiles the CUDA kernels for the processor, with an emulator of blocks and threads in CUDA's place.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(without_compiler)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=../kernels");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .include("src")
        .include("../kernels")
        .define("HOMEBENCH_ON_HOST", None)
        // A multiplication and an addition are fused where the source says so, and nowhere else.
        .flag_if_supported("-ffp-contract=off")
        .warnings(true)
        .extra_warnings(true)
        .file("src/emulator.cpp");
    if has_compiler(&build) {
        build.compile("homebench_kernels_on_host");
        return;
    }
    // The tests that need it say so and fail; the others go on.
    println!("cargo::rustc-cfg=without_compiler");
    println!("cargo::warning=no C++ compiler: tests of the CUDA kernels will fail");
    // What isn't there has always changed: a compiler that comes later is found.
    println!("cargo::rerun-if-changed=a-compiler");
}

fn has_compiler(build: &cc::Build) -> bool {
    let Ok(compiler) = build.try_get_compiler() else {
        return false;
    };
    let answer = compiler.to_command().arg("--version").output();
    answer.is_ok_and(|answer| answer.status.success())
}
