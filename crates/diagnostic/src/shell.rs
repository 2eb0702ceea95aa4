//! Words of commands that are shown, quoted so that a shell reads them back as they are.

use std::borrow::Cow;
use std::path::Path;

/// A path as a word of a command. One that begins with a hyphen is no option.
pub fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = match text.starts_with('-') {
        true => Cow::Owned(format!("./{text}")),
        false => text,
    };
    quoted(&text)
}

/// Words as the command line that they make.
pub fn shell_command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    // Nothing with a zero in it can be an argument.
    let quoted = shlex::try_quote(word);
    quoted.map_or_else(|_| word.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_back_as_they_were() {
        for (path, shown) in [
            ("runs/a-b", "runs/a-b"),
            ("a b.toml", "'a b.toml'"),
            ("it's", "\"it's\""),
            ("$HOME", "'$HOME'"),
            ("-x.toml", "./-x.toml"),
        ] {
            assert_eq!(shell_word(Path::new(path)), shown);
        }
        let words = ["homebench", "run", "a b", "--jobs", "2"];
        assert_eq!(shell_command(words), "homebench run 'a b' --jobs 2");
    }
}
