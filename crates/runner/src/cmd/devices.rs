//! `homebench devices`: what a run can be given.

use super::instructions;
use super::screen::terminal_width;
use crate::output::{note, write_answer};
use crate::provenance;
use clap::Args;
use homebench_report::text_table::align_rows_within;
use homebench_train::device::{Cuda, CudaDevice, gibibytes};
use std::process::ExitCode;

/// List the devices of this machine that a run can use
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homebench devices

What is in the first column is what `--device` and `device = \"...\"` under [run] take. The processor's instruction set is the \
best that it has (amx, avx512, avx2, portable), or the lower one that HOMEBENCH_INSTRUCTIONS names. Results are the same bytes on \
all of them; `precision = \"bf16\"` is fast with amx alone.")]
pub(super) struct DevicesArguments {}

impl DevicesArguments {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let cuda = Cuda::find();
        let header = ["device", "name", "compute", "memory"];
        let table = align_rows_within(&header, &rows(&cuda), terminal_width());
        write_answer(&table)?;
        // On stderr: the table on stdout stays one for scripts.
        if let Some(absence) = cuda.absence() {
            note!("{absence}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn rows(cuda: &Cuda) -> Vec<Vec<String>> {
    let mut rows = vec![processor()];
    if let Cuda::Devices(devices) = cuda {
        rows.extend(
            devices
                .iter()
                .enumerate()
                .map(|(index, device)| row(index, device)),
        );
    }
    rows
}

fn processor() -> Vec<String> {
    let memory = provenance::memory_bytes().map_or_else(|| "unknown".to_owned(), gibibytes);
    let name = provenance::cpu_model().unwrap_or_else(|| "the processor".to_owned());
    let cores = provenance::cores();
    let compute = format!(
        "{cores} core{}, {}",
        if cores == 1 { "" } else { "s" },
        instructions::description()
    );
    vec!["cpu".to_owned(), name, compute, memory]
}

fn row(index: usize, device: &CudaDevice) -> Vec<String> {
    let (major, minor) = device.capability;
    vec![
        format!("cuda:{index}"),
        device.name.clone(),
        format!("capability {major}.{minor}"),
        format!(
            "{}, {} free",
            gibibytes(device.total_bytes),
            gibibytes(device.free_bytes)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_listed_by_what_selects_it() {
        let device = CudaDevice {
            name: "NVIDIA H100".to_owned(),
            capability: (9, 0),
            free_bytes: 78 << 30,
            total_bytes: 80 << 30,
        };
        let rows = rows(&Cuda::Devices(vec![device.clone(), device]));
        assert_eq!(rows[0][0], "cpu");
        let expected = [
            "cuda:1",
            "NVIDIA H100",
            "capability 9.0",
            "80.0 GiB, 78.0 GiB free",
        ];
        assert_eq!(rows[2], expected);
    }
}
