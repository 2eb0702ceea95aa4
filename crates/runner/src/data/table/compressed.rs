//! Source files in memory: mapped as they are, or unpacked into a temporary file that is mapped.

use crate::diagnostic::Diagnostic;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Maps a file, unpacked where its name ends in `.gz` or `.zst`; nothing where it is empty.
///
/// # Errors
/// A file that can't be read, or whose packed data is broken.
pub(super) fn map(path: &Path) -> Result<Option<memmap2::Mmap>, Diagnostic> {
    let name = path.display().to_string();
    let failed = |error| Diagnostic::new(&name, format!("can't read the file: {error}"));
    let file = File::open(path).map_err(failed)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let file = match extension.to_str() {
        Some("gz") => {
            let packed = flate2::bufread::MultiGzDecoder::new(BufReader::new(file));
            unpack(&name, "gzip", packed)?
        }
        Some("zst") => match ruzstd::decoding::StreamingDecoder::new(BufReader::new(file)) {
            Ok(packed) => unpack(&name, "Zstandard", packed)?,
            Err(error) => return Err(broken(&name, "Zstandard", 0, &error)),
        },
        _ => file,
    };
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: nothing writes to source files while they are prepared (their content was hashed just before), and nobody else
    // has the temporary file.
    let mapped = unsafe { memmap2::Mmap::map(&file) };
    mapped.map(Some).map_err(failed)
}

fn unpack(name: &str, kind: &str, mut packed: impl Read) -> Result<File, Diagnostic> {
    let cant_write = |error: std::io::Error| {
        Diagnostic::new(name, format!("can't unpack the file: {error}"))
            .hint("free some space where temporary files go (TMPDIR)")
    };
    let mut sink = BufWriter::new(tempfile::tempfile().map_err(cant_write)?);
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        let read = packed.read(&mut buffer);
        let count = read.map_err(|error| broken(name, kind, bytes, &error))?;
        if count == 0 {
            return sink
                .into_inner()
                .map_err(|error| cant_write(error.into_error()));
        }
        sink.write_all(&buffer[..count]).map_err(cant_write)?;
        bytes += count;
    }
}

fn broken(name: &str, kind: &str, bytes: usize, error: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("the {kind} data is broken after {bytes} bytes of text: {error}");
    Diagnostic::new(name, message).hint("the file is cut or damaged; get it again")
}
