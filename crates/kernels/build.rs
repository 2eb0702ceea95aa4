//! Compiles the CUDA kernels to PTX, with the feature `cuda`.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        compile();
    }
}

/// nvcc's output is for the oldest devices that the kernels are meant for; the driver compiles it for the one that is there.
const ARCHITECTURE: &str = "compute_80";

fn compile() {
    let folder = "kernels";
    for entry in fs::read_dir(folder).expect("the kernels are beside this script") {
        let path = entry.expect("the folder can be read").path();
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let nvcc = nvcc();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where output goes"));
    let output = Command::new(&nvcc)
        .args(["--ptx", "-std=c++17", "-O3", "-arch", ARCHITECTURE])
        // A multiplication and an addition are fused where the source says so, and nowhere else, as on the processor.
        .args(["--fmad=false", "-o"])
        .arg(out.join("kernels.ptx"))
        .arg(format!("{folder}/kernels.cu"))
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{} refused the kernels:\n{}",
            nvcc.display(),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!(
            "can't start {}: {error}; set CUDA_HOME to a CUDA toolkit, or install one with `just cuda-toolkit`",
            nvcc.display()
        ),
    }
}

/// The compiler of the toolkit that the environment names, or the one on the path.
fn nvcc() -> PathBuf {
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"] {
        println!("cargo::rerun-if-env-changed={variable}");
        if let Some(home) = env::var_os(variable) {
            let nvcc = PathBuf::from(home).join("bin").join("nvcc");
            if nvcc.is_file() {
                return nvcc;
            }
        }
    }
    PathBuf::from("nvcc")
}
