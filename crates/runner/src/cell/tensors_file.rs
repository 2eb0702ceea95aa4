//! Tensors by name, in the safetensors format.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use homebench_diagnostic::{Diagnostic, regular_file};
use homebench_results::write_unsynced;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Reads all tensors of a file; `cause` says what couldn't be read, `hint` what to do then.
///
/// # Errors
/// A file that is gone or is no safetensors.
pub fn read_tensors(
    path: &Path,
    cause: &str,
    hint: &str,
) -> Result<BTreeMap<String, Tensor>, Diagnostic> {
    let refuse = |error: &dyn std::fmt::Display| {
        Diagnostic::new(path.display().to_string(), format!("{cause}: {error}")).hint(hint)
    };
    let mut bytes = Vec::new();
    let read = regular_file::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| refuse(&error))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
    let tensors = tensors.map_err(|error| refuse(&error))?;
    Ok(tensors.into_iter().collect())
}

/// Reads the weights of a cell.
///
/// # Errors
/// As [`read_tensors`].
pub fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>, Diagnostic> {
    read_tensors(
        path,
        "can't read the weights",
        "restore the file, or run the experiment again with --fresh",
    )
}

/// Writes tensors as f32 in the safetensors format, in the order of their names, atomically.
///
/// # Errors
/// A tensor can't be read, or the file can't be written.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .with_context(|| format!("reading {name}"))?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        buffers.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, bytes) in &buffers {
        views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
    }
    let bytes = safetensors::serialize(views, None)?;
    write_unsynced(path, |out| Ok(out.write_all(&bytes)?))
}
