//! Text of files as a terminal or a document may show it.

use std::borrow::Cow;

/// The text with characters that would steer a terminal or turn the direction of a line shown as their codes, such as `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// As [`visible`], of a text of several lines.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter != '\n' && steers(letter))
}

fn steers(letter: char) -> bool {
    // Those that embed, override or isolate a direction, after Unicode's annex 9, may make a name look like another.
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_odd(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_its_code() {
        assert_eq!(visible("größer ± 1"), "größer ± 1");
        assert_eq!(visible("a\x1b[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        assert_eq!(visible_lines("a\x07\nb"), "a\\u{7}\nb");
    }
}
