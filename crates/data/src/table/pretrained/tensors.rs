//! Vectors in two tensors of a safetensors file.

use super::alignment::{Alignment, VectorRow};
use crate::schema::PretrainedFile;
use homebench_diagnostic::{Diagnostic, regular_file};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

/// Shows every row of a file to the alignment: keys are whole numbers [n], or bytes [n, longest] of UTF-8 with zeros behind; vectors are
/// floats [n, width].
pub(super) fn read(
    pretrained: &PretrainedFile,
    path: &Path,
    alignment: &mut Alignment<'_>,
) -> Result<(), Diagnostic> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path);
    let read = file.and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| crate::source_files::cant_read(path, &error))?;
    let refuse = |message: String| Diagnostic::new(path.display().to_string(), message);
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| {
        refuse(format!("can't be read as safetensors: {error}"))
            .hint("the file is cut, damaged or of another kind; get it again")
    })?;
    let find = |name: &String| {
        tensors.tensor(name).map_err(|_| {
            let mut names = tensors.names();
            names.sort_unstable();
            let message = format!(
                "there is no tensor `{name}`; the file has: {}",
                names.join(", ")
            );
            refuse(message)
                .hint("correct the name in the description, or get the right file")
                .did_you_mean(name, names)
        })
    };
    let (keys, vectors) = (find(&pretrained.key)?, find(&pretrained.vector)?);
    let shape = |name: &str, expected: &str, tensor: &TensorView<'_>, hint: &str| {
        let (found, dims) = (tensor.dtype(), tensor.shape());
        refuse(format!(
            "tensor `{name}`: expected {expected}, found {found} {dims:?}"
        ))
        .hint(hint)
    };
    let (num_rows, width) = match (vectors.dtype(), vectors.shape()) {
        (Dtype::F32 | Dtype::F64, [rows, width]) => (*rows, *width),
        _ => {
            let hint = "write the vectors as float32";
            return Err(shape(
                &pretrained.vector,
                "F32 or F64 [n, width]",
                &vectors,
                hint,
            ));
        }
    };
    let key_bytes = match keys.shape() {
        [rows] if is_integer(keys.dtype()) => Some((*rows, keys.dtype().bitsize() / 8)),
        [rows, longest] if keys.dtype() == Dtype::U8 => Some((*rows, *longest)),
        _ => None,
    };
    let Some((num_keys, key_bytes)) = key_bytes else {
        let hint = "write keys as int64, or as uint8 of their UTF-8 bytes with zeros behind";
        let expected = "whole numbers [n], or U8 [n, longest]";
        return Err(shape(&pretrained.key, expected, &keys, hint));
    };
    if num_keys != num_rows {
        let message = format!(
            "tensor `{}` has {num_keys} rows, and `{}` {num_rows}",
            pretrained.key, pretrained.vector
        );
        return Err(refuse(message).hint("give every key its vector"));
    }
    let number_bytes = vectors.dtype().bitsize() / 8;
    for row in 0..num_rows {
        let at = VectorRow {
            path,
            number: row as u64 + 1,
        };
        let key = &keys.data()[row * key_bytes..][..key_bytes];
        let key = match keys.shape().len() {
            1 => Cow::Owned(decimal(keys.dtype(), key)),
            _ => text(key).ok_or_else(|| {
                refuse(format!(
                    "row {}, tensor `{}`: expected UTF-8",
                    at.number, pretrained.key
                ))
                .hint("write the key as the bytes of its text in UTF-8, with zeros behind alone")
            })?,
        };
        let vector = &vectors.data()[row * width * number_bytes..][..width * number_bytes];
        let numbers: Vec<Option<f64>> = vector.chunks_exact(number_bytes).map(float).collect();
        alignment.add(at, Some(&key), Some(&numbers))?;
    }
    Ok(())
}

fn is_integer(found: Dtype) -> bool {
    use Dtype::{I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(found, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// A whole number in digits, from its little-endian bytes.
fn decimal(found: Dtype, bytes: &[u8]) -> String {
    let is_signed = matches!(found, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
    let is_negative = is_signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if is_negative { 0xff } else { 0 }; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(wide).to_string()
}

/// A text without the zeros behind it.
fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.contains('\0')).then_some(Cow::Borrowed(text))
}

/// A number of 32 or 64 bits, which every vector has.
fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.try_into() {
        Ok(bytes) => Some(f64::from(f32::from_le_bytes(bytes))),
        Err(_) => bytes.try_into().ok().map(f64::from_le_bytes),
    }
}
