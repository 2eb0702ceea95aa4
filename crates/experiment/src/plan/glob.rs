//! Names chosen by a pattern.

// By hand, since to `globset` the brackets in the names of configurations, such as `home[rank=8]`, are classes of letters.
/// Whether `text` is what `pattern` says: `*` stands for any letters or none, `?` for any one.
pub fn matches_glob(pattern: &str, text: &str) -> bool {
    // Without a stack of choices: only the last star ever has to eat more, so the time is at most the product of the lengths.
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where the last star was, and how much of the text it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(c) if *c == '?' || *c == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((place, eaten)) = star else {
                    return false;
                };
                star = Some((place, eaten + 1));
                at_pattern = place + 1;
                at_text = eaten + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_letters() {
        assert!(matches_glob("home/*", "home/12"));
        assert!(matches_glob("*", ""));
        assert!(matches_glob("*mo*/?", "mmoe/3"));
        assert!(matches_glob("a*b*c", "aXbYbZc"));
        assert!(!matches_glob("home/?", "home/12"));
        assert!(!matches_glob("home", "home/1"));
        assert!(!matches_glob("a*b", "aXbY"));
    }
}
