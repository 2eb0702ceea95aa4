//! Source files in memory: mapped as they are, or unpacked and brought to UTF-8 in a temporary file that is mapped.

use crate::mapped_file_shrank::SourceMap;
use crate::schema::Encoding;
use homebench_diagnostic::Diagnostic;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Maps a file, unpacked where its name ends in `.gz` or `.zst`; nothing where it is empty.
///
/// # Errors
/// A file that can't be read, or whose packed data is broken.
pub(super) fn map(path: &Path, encoding: Encoding) -> Result<Option<SourceMap>, Diagnostic> {
    let name = path.display().to_string();
    let failed = |error| Diagnostic::new(&name, format!("can't read the file: {error}"));
    let file = File::open(path).map_err(failed)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    if let Some(kind @ ("gz" | "zst")) = extension.to_str() {
        check_packed(path, kind)?;
    }
    let file = match (extension.to_str(), encoding) {
        (Some("gz"), _) => {
            // Several streams one behind another are one file, as `cat` and parallel packers make
            // them.
            let packed = flate2::bufread::MultiGzDecoder::new(BufReader::new(file));
            unpack(&name, "gzip", packed, encoding)?
        }
        (Some("zst"), _) => match zstd::stream::read::Decoder::new(file) {
            Ok(packed) => unpack(&name, "Zstandard", packed, encoding)?,
            Err(error) => return Err(broken(&name, "Zstandard", 0, &error)),
        },
        (_, Encoding::Utf8) => file,
        (_, Encoding::Latin1) => unpack(&name, "text", file, encoding)?,
    };
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: nobody else has the temporary file. A source file that another program writes meanwhile gives other bytes, all of
    // which are checked as they are parsed, and is refused afterwards; one that is cut ends the process with a word.
    let mapped = unsafe { memmap2::Mmap::map(&file) };
    let mapped = mapped.map_err(failed)?;
    // After unpacking, since the first bytes of a packed file are the packer's.
    super::sniff::check_is_text(&name, &mapped)?;
    Ok(Some(SourceMap::new(mapped, path)))
}

/// Refuses a file whose name says that it is packed and whose first bytes don't.
fn check_packed(path: &Path, kind: &str) -> Result<(), Diagnostic> {
    let (mark, program) = match kind {
        "gz" => (&b"\x1f\x8b"[..], "gzip"),
        _ => (&b"\x28\xb5\x2f\xfd"[..], "Zstandard"),
    };
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
    read.map_err(|error| {
        Diagnostic::new(
            path.display().to_string(),
            format!("can't read the file: {error}"),
        )
    })?;
    // A skippable frame may come first in Zstandard.
    let is_skippable = kind == "zst" && head.get(1..) == Some(&b"\x2a\x4d\x18"[..]);
    if head.starts_with(mark) || is_skippable {
        return Ok(());
    }
    let message = match head.is_empty() {
        true => format!("expected {program} data, as the name says, found an empty file"),
        false => format!("expected {program} data, as the name says, found something else"),
    };
    Err(
        Diagnostic::new(path.display().to_string(), message).hint(format!(
            "take `.{kind}` off its name if it is not packed, or get it again"
        )),
    )
}

fn unpack(
    name: &str,
    kind: &str,
    mut packed: impl Read,
    encoding: Encoding,
) -> Result<File, Diagnostic> {
    let cant_write = |error: std::io::Error| {
        Diagnostic::new(name, format!("can't unpack the file: {error}"))
            .hint("free some space where temporary files go (TMPDIR)")
    };
    // Into a file: unpacked it may be larger than memory, and pieces are read in place either way.
    // It has no name, so a kill leaves nothing.
    let mut sink = BufWriter::new(tempfile::tempfile().map_err(cant_write)?);
    let mut buffer = vec![0; 1 << 18];
    let mut text = Vec::new();
    let mut bytes = 0;
    loop {
        let read = packed.read(&mut buffer);
        let count = read.map_err(|error| broken(name, kind, bytes, &error))?;
        if count == 0 {
            return sink
                .into_inner()
                .map_err(|error| cant_write(error.into_error()));
        }
        let written = match encoding {
            Encoding::Utf8 => sink.write_all(&buffer[..count]),
            Encoding::Latin1 => {
                text.clear();
                from_latin_1(&buffer[..count], &mut text);
                sink.write_all(&text)
            }
        };
        written.map_err(cant_write)?;
        bytes += count;
    }
}

/// Appends the UTF-8 of Latin-1 bytes: each is the character of its number.
fn from_latin_1(bytes: &[u8], text: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            0..0x80 => text.push(*byte),
            _ => text.extend([0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
        }
    }
}

fn broken(name: &str, kind: &str, bytes: usize, error: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("the {kind} data is broken after {bytes} bytes of text: {error}");
    Diagnostic::new(name, message).hint("the file is cut or damaged; get it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latin_1_byte_is_the_character_of_its_number() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = Vec::new();
        from_latin_1(&bytes, &mut text);
        let expected: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
