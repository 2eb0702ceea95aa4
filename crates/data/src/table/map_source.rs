//! Source files in memory: mapped as they are, or unpacked and brought to UTF-8 in a temporary file that is mapped.

use crate::mapped_file_shrank::{MappedFile, MappedKind};
use crate::schema::Encoding;
use homebench_diagnostic::{Diagnostic, regular_file};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Maps a file, unpacked where its name ends in `.gz` or `.zst`; nothing where it is empty.
///
/// # Errors
/// A file that can't be read, or whose packed data is broken.
pub(super) fn map(path: &Path, encoding: Encoding) -> Result<Option<MappedFile>, Diagnostic> {
    let name = path.display().to_string();
    let failed = |error| Diagnostic::new(&name, format!("can't read the file: {error}"));
    let file = regular_file::open(path).map_err(failed)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    if extension == "br" {
        // Brotli has no mark by which it could be told.
        return Err(
            Diagnostic::new(&name, "text packed with Brotli can't be read")
                .hint("unpack it with brotli -d, or take `.br` off its name if it is not packed"),
        );
    }
    if let Some(kind @ ("gz" | "zst")) = extension.to_str() {
        check_packed(path, kind)?;
    }
    let file = match (extension.to_str(), encoding) {
        (Some("gz"), _) => unpack(
            &name,
            "gzip",
            GzipMembers::new(BufReader::new(file)),
            encoding,
        )?,
        (Some("zst"), _) => match with_any_window(file) {
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
    Ok(Some(MappedFile::new(mapped, path, MappedKind::Source)))
}

/// Unpacks Zstandard with windows of up to 2 GiB, as `zstd --long=31` makes them.
// Without this the library refuses windows above 128 MiB, and whole files look damaged.
fn with_any_window(
    file: File,
) -> std::io::Result<zstd::stream::read::Decoder<'static, BufReader<File>>> {
    let mut packed = zstd::stream::read::Decoder::new(file)?;
    packed.window_log_max(31)?;
    Ok(packed)
}

/// The members of a gzip file one behind another, as `cat` and parallel packers make them. Zeros behind the last one, with which
/// tapes and some archives fill blocks up, are no part of it.
struct GzipMembers<R> {
    /// Absent while a member is exchanged for the next.
    member: Option<flate2::bufread::GzDecoder<R>>,
    is_done: bool,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(packed: R) -> Self {
        Self {
            member: Some(flate2::bufread::GzDecoder::new(packed)),
            is_done: false,
        }
    }

    /// Goes to the next member; false where there is none.
    fn next_member(&mut self) -> std::io::Result<bool> {
        let Some(member) = self.member.take() else {
            return Ok(false);
        };
        let mut packed = member.into_inner();
        let mut has_zeros = false;
        loop {
            let bytes = packed.fill_buf()?;
            match bytes.iter().position(|byte| *byte != 0) {
                _ if bytes.is_empty() => return Ok(false),
                None => {
                    has_zeros = true;
                    let len = bytes.len();
                    packed.consume(len);
                }
                Some(0) if !has_zeros && bytes[0] == 0x1f => break,
                Some(_) => {
                    return Err(std::io::Error::other(
                        "something that is no gzip data follows it",
                    ));
                }
            }
        }
        self.member = Some(flate2::bufread::GzDecoder::new(packed));
        Ok(true)
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while !self.is_done {
            let count = match &mut self.member {
                Some(member) => member.read(buffer)?,
                None => 0,
            };
            if count > 0 {
                return Ok(count);
            }
            self.is_done = !self.next_member()?;
        }
        Ok(0)
    }
}

/// Refuses a file whose name says that it is packed and whose first bytes don't.
fn check_packed(path: &Path, kind: &str) -> Result<(), Diagnostic> {
    let (mark, program) = match kind {
        "gz" => (&b"\x1f\x8b"[..], "gzip"),
        _ => (&b"\x28\xb5\x2f\xfd"[..], "Zstandard"),
    };
    let mut head = Vec::new();
    let read = regular_file::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
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

    fn gzip(text: &str) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn zeros_behind_gzip_members_are_ignored_and_anything_else_is_refused() {
        let unpacked = |bytes: &[u8]| {
            let mut text = String::new();
            // Small reads, so that members end anywhere in them.
            let members = GzipMembers::new(BufReader::with_capacity(7, bytes));
            BufReader::with_capacity(3, members)
                .read_to_string(&mut text)
                .map(|_| text)
        };
        let two = [gzip("one,"), gzip(""), gzip("two")].concat();
        assert_eq!(unpacked(&two).unwrap(), "one,two");
        assert_eq!(
            unpacked(&[&two[..], &[0; 512]].concat()).unwrap(),
            "one,two"
        );
        for behind in [&b"garbage"[..], b"\0\0garbage", &gzip("x")[..10]] {
            assert!(
                unpacked(&[&two[..], behind].concat()).is_err(),
                "{behind:?}"
            );
        }
        assert!(unpacked(&two[..two.len() - 3]).is_err());
    }

    #[test]
    fn a_long_window_of_zstandard_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv.zst");
        let mut packed =
            zstd::stream::write::Encoder::new(File::create(&path).unwrap(), 1).unwrap();
        packed.window_log(28).unwrap();
        packed.write_all(b"a,b\n1,2\n").unwrap();
        packed.finish().unwrap();
        let mapped = map(&path, Encoding::Utf8).unwrap().unwrap();
        assert_eq!(&mapped[..], b"a,b\n1,2\n");
    }

    #[test]
    fn every_latin_1_byte_is_the_character_of_its_number() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = Vec::new();
        from_latin_1(&bytes, &mut text);
        let expected: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
