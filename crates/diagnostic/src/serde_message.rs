//! serde's messages, taken apart and said again in the words of the user's file.

use super::{Diagnostic, KeyPath, nearest};

/// A message of serde or toml, said again for the value at `path`; source and place are for the caller to fill in.
pub(super) fn translate(message: &str, path: &KeyPath) -> Diagnostic {
    let diagnostic = |text: String| Diagnostic::new("", text);
    let quoted = between_backticks(message);
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let (name, known) = quoted.split_first().unwrap_or((&"", &[]));
        let what = if message.starts_with("unknown field") {
            format!("unknown key `{name}`{}", in_table(&table_of(path, name)))
        } else {
            format!("unknown value `{name}` for `{path}`")
        };
        let result = diagnostic(format!("{what}; expected {}", one_of(known)));
        return match nearest(name, known.iter().copied()) {
            Some(near) => result.hint(format!("did you mean `{near}`?")),
            None => result,
        };
    }
    if message.starts_with("missing field") {
        let name = quoted.first().unwrap_or(&"");
        return diagnostic(format!("the key `{name}` is missing{}", in_table(path)))
            .hint(format!("add `{name} = ...`"));
    }
    match split_expected(message) {
        Some((found, expected)) => diagnostic(format!(
            "`{path}`: expected {}, found {found}",
            plain(expected)
        )),
        None => diagnostic(message.trim().replace('\n', ", ")),
    }
}

/// `unknown field` reports point at the key itself where toml knows it, at its table otherwise.
fn table_of(path: &KeyPath, name: &str) -> KeyPath {
    match path.last() {
        Some(last) if last == name => path.parent(),
        _ => path.clone(),
    }
}

fn in_table(path: &KeyPath) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" in [{path}]")
    }
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "no key".to_owned(),
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

fn between_backticks(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// `invalid type: FOUND, expected EXPECTED`.
fn split_expected(message: &str) -> Option<(&str, &str)> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .or_else(|| message.strip_prefix("invalid length "))?;
    rest.trim().rsplit_once(", expected ")
}

fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::parse(text).unwrap()
    }

    #[test]
    fn an_unknown_key_names_its_table_and_the_nearest_key() {
        let said = translate(
            "unknown field `batchsize`, expected one of `batch_size`, `max_epochs`",
            &path("training.batchsize"),
        );
        assert_eq!(
            said.message,
            "unknown key `batchsize` in [training]; expected one of `batch_size`, `max_epochs`"
        );
        assert_eq!(said.hint.as_deref(), Some("did you mean `batch_size`?"));
    }

    #[test]
    fn a_wrong_type_is_said_in_plain_words() {
        let said = translate(
            "invalid type: string \"many, expected\", expected usize",
            &path("training.batch_size"),
        );
        assert_eq!(
            said.message,
            "`training.batch_size`: expected a whole number, 0 or more, found string \"many, expected\""
        );
    }
}
