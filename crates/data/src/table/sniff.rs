//! Files that hold something else than the text that they were taken for: told by their first bytes, with the mend.

use homebench_diagnostic::Diagnostic;

/// Bytes that are looked at.
const HEAD: usize = 1 << 16;
/// One control character in so many bytes makes a file binary.
const CONTROL_SHARE: usize = 50;

/// What a file is, and what to do with it.
struct Content {
    what: &'static str,
    mend: &'static str,
}

/// First bytes that no text has.
const MARKS: [(&[u8], Content); 13] = [
    (
        b"PK\x03\x04",
        Content {
            what: "a ZIP archive or a workbook (.xlsx)",
            mend: "unpack it and name the files inside; save a workbook as CSV",
        },
    ),
    (
        b"\x1f\x8b",
        Content {
            what: "packed with gzip",
            mend: "give it a name that ends in .gz",
        },
    ),
    (
        b"\x28\xb5\x2f\xfd",
        Content {
            what: "packed with Zstandard",
            mend: "give it a name that ends in .zst",
        },
    ),
    (
        b"BZh",
        Content {
            what: "packed with bzip2",
            mend: "unpack it with bunzip2",
        },
    ),
    (
        b"\xfd7zXZ\x00",
        Content {
            what: "packed with xz",
            mend: "unpack it with unxz",
        },
    ),
    (
        b"PAR1",
        Content {
            what: "Parquet",
            mend: "give it a name that ends in .parquet (unpacked: Parquet is packed already), or say format = { kind = \
                   \"parquet\" }",
        },
    ),
    (
        b"ARROW1",
        Content {
            what: "Arrow",
            mend: "give it a name that ends in .arrow (unpacked), or say format = { kind = \"arrow\" }",
        },
    ),
    (
        b"\xff\xff\xff\xff",
        Content {
            what: "an Arrow stream",
            mend: "give it a name that ends in .arrows (unpacked), or say format = { kind = \"arrow\" }",
        },
    ),
    (
        b"\x04\x22\x4d\x18",
        Content {
            what: "packed with LZ4",
            mend: "unpack it with lz4 -d",
        },
    ),
    (
        b"\xff\xfe",
        Content {
            what: "text in UTF-16",
            mend: UTF_16,
        },
    ),
    (
        b"\xfe\xff",
        Content {
            what: "text in UTF-16",
            mend: UTF_16,
        },
    ),
    (
        b"\x89PNG",
        Content {
            what: "an image",
            mend: TABLES,
        },
    ),
    (
        b"%PDF-",
        Content {
            what: "a PDF",
            mend: TABLES,
        },
    ),
];

const UTF_16: &str = "write it in UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW";
const TABLES: &str =
    "name files that hold tables: text (CSV, TSV; also .gz and .zst), Parquet or Arrow";

/// Refuses bytes that are no lines of text; `name` is the file's.
///
/// # Errors
/// What they are, and the mend.
pub(super) fn check_is_text(name: &str, bytes: &[u8]) -> Result<(), Diagnostic> {
    match content(bytes) {
        None => Ok(()),
        Some(Content { what, mend }) => {
            Err(Diagnostic::new(name, format!("expected lines of text, found {what}")).hint(mend))
        }
    }
}

fn content(bytes: &[u8]) -> Option<Content> {
    // Marks stand at the start, and a long file need not be read twice.
    let head = &bytes[..bytes.len().min(HEAD)];
    if let Some((_, content)) = MARKS.into_iter().find(|(mark, _)| head.starts_with(mark)) {
        return Some(content);
    }
    // The mark of a tar archive stands behind the name of its first file.
    if head.get(257..262) == Some(&b"ustar"[..]) {
        return Some(Content {
            what: "a tar archive",
            mend: "unpack it with tar xf and name the files inside",
        });
    }
    if is_utf_16(head) {
        return Some(Content {
            what: "text in UTF-16",
            mend: UTF_16,
        });
    }
    // Tab, line feed, form feed and carriage return (9 to 13) are of texts.
    // And 1 to 3 stand between the fields of Hive's texts.
    let is_control = |byte: &&u8| matches!(**byte, 0 | 4..9 | 14..32);
    if head.iter().filter(is_control).count() * CONTROL_SHARE > head.len() {
        return Some(Content {
            what: "binary data",
            mend: TABLES,
        });
    }
    let has = |byte| memchr::memchr(byte, head).is_some();
    (has(b'\r') && !has(b'\n')).then_some(Content {
        what: "lines that end in a carriage return alone",
        mend: "write it with other line ends: tr '\\r' '\\n' < OLD > NEW",
    })
}

/// Whether every other byte is mostly 0, as in text of Latin letters without a mark of its encoding.
fn is_utf_16(head: &[u8]) -> bool {
    let zeros = |parity: usize| {
        let bytes = head.iter().skip(parity).step_by(2);
        bytes.filter(|byte| **byte == 0).count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    head.len() >= 8 && even.max(odd) * 10 > head.len() * 4 && even.min(odd) * 20 < head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let said = check_is_text("file", bytes).map_err(|said| said.to_string());
        said.err().unwrap_or_default()
    }

    #[test]
    fn text_of_any_language_and_with_a_stray_zero_is_text() {
        for text in [
            &b""[..],
            b"a,b\r\n1,2\r\n",
            "имя,возраст\nАня,30\n".as_bytes(),
            b"caf\xe9|1\n",
            "\u{feff}a,b\n1,2\n".as_bytes(),
            &[b"id,name\n".as_slice(), &b"1,x\n".repeat(30), b"2,\x00\n"].concat(),
        ] {
            assert_eq!(said(text), "", "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_no_text_is_told_by_its_first_bytes() {
        let utf_16 =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let noise: Vec<u8> = (0..4096u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for (bytes, expected) in [
            (&b"PK\x03\x04rest"[..], "found a ZIP archive"),
            (&b"\xff\xfea\x00"[..], "found text in UTF-16"),
            (&utf_16("id,name\n1,Ann\n")[..], "found text in UTF-16"),
            (&tar[..], "found a tar archive"),
            (&noise[..], "found binary data"),
            (
                &b"a,b\r1,2\r"[..],
                "found lines that end in a carriage return",
            ),
            (&b"PAR1"[..], "found Parquet\nhint: give it a name"),
        ] {
            assert!(said(bytes).contains(expected), "{}", said(bytes));
        }
    }
}
