//! Messages of a length that a person reads, whatever was found in a file.

/// The most letters of a message that are shown.
const MOST_SHOWN: usize = 1200;
/// The most letters of a word, such as a name of somebody's, in a message that is too long.
const MOST_OF_WORD: usize = 160;

/// The text, with the middle of long words left out where it is too long, then its end.
pub fn shortened(text: &str) -> String {
    // Bytes are quick to count, and never fewer than letters.
    if text.len() <= MOST_SHOWN {
        return text.to_owned();
    }
    let mut short = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            short.push('\n');
        }
        let words: Vec<String> = line.split(' ').map(short_word).collect();
        short.push_str(&words.join(" "));
    }
    match short.char_indices().nth(MOST_SHOWN) {
        None => short,
        Some((end, _)) => {
            let left = short[end..].chars().count();
            format!("{}... ({left} more letters)", &short[..end])
        }
    }
}

fn short_word(word: &str) -> String {
    if word.len() <= MOST_OF_WORD {
        return word.to_owned();
    }
    let count = word.chars().count();
    if count <= MOST_OF_WORD {
        return word.to_owned();
    }
    let half = MOST_OF_WORD / 2;
    let start: String = word.chars().take(half).collect();
    let end: String = word.chars().skip(count - half).collect();
    format!("{start}...({} letters)...{end}", count - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_megabytes_is_cut_and_what_is_said_of_it_stays() {
        let said = shortened(&format!(
            "unknown model `{}`; it may be `home`",
            "é".repeat(2_000_000)
        ));
        assert!(said.len() < 1000, "{}", said.len());
        assert!(
            said.starts_with("unknown model `éé") && said.ends_with("éé`; it may be `home`"),
            "{said}"
        );
        let said = shortened(&"word ".repeat(1_000_000));
        assert!(
            said.len() < 1300 && said.ends_with("(4998800 more letters)"),
            "{said}"
        );
        assert_eq!(shortened("a short one"), "a short one");
    }
}
