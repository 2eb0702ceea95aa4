//! Texts that programs keep for themselves, with the digest of what they say in their first line: a changed one is no other one.

/// The text with its digest in front, which is a key of TOML like any other.
pub(super) fn sealed(text: &str) -> String {
    format!("{}{text}", first_line(text))
}

/// The text behind its digest.
///
/// # Errors
/// Why it is not what was written.
pub(super) fn unsealed(sealed: &str) -> Result<&str, &'static str> {
    let (first, text) = sealed
        .split_once('\n')
        .filter(|(first, _)| first.starts_with("blake3 = "))
        .ok_or("has no digest in its first line")?;
    match first_line(text).trim_end() == first {
        true => Ok(text),
        false => Err("has other bytes than were written"),
    }
}

fn first_line(text: &str) -> String {
    format!("blake3 = \"{}\"\n", blake3::hash(text.as_bytes()).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_bit_is_found() {
        let text = sealed("rows = 400\n");
        assert_eq!(unsealed(&text), Ok("rows = 400\n"));
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
        for place in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(unsealed(&changed).is_err(), "{changed}");
            }
        }
        assert!(unsealed("").is_err());
        assert!(unsealed("rows = 400\n").is_err());
    }
}
