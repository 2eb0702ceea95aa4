//! Keeps the documents true: their links lead somewhere, and numbers that they quote are those of the files they name.
//!
//! A quoted number stands between two comments, the first of which names a file and the words that stand before the number there:
//! `<!-- results/census/report.md: home is better on income: -->+.0013 [.0004, .0021]<!-- -->`. After results have changed,
//! `just quote` (this test with `HOMEBENCH_QUOTE=1`) writes what the files have now.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

const OPEN: &str = "<!-- ";
const CLOSE: &str = "<!-- -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Markdown file of the project, by its path from the top.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap_or_default();
            // What commands make, and folders of tools.
            let is_made = name.starts_with('.') || ["target", "runs"].contains(&&*name);
            let path = folder.join(&name);
            match entry.file_type().unwrap().is_dir() {
                true if !is_made => folders.push(path),
                false if name.ends_with(".md") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines outside of code blocks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Targets of links and images.
fn targets(text: &str) -> Vec<String> {
    let ends = prose(text);
    let ends = ends.split("](").skip(1);
    let targets = ends.filter_map(|rest| Some(rest.split(')').next()?.trim().to_owned()));
    targets.collect()
}

/// The anchors that GitHub gives to headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let letters = title.chars().filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        });
        letters.collect()
    };
    headings.map(anchor).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

/// Whether `homebench report` and `figures` draw it in a packed folder, where nobody keeps it.
fn is_drawn(document: &Path, target: &Path) -> bool {
    let folder = document.parent().unwrap();
    let inside = target.strip_prefix(folder).unwrap_or(Path::new(""));
    let is_report = document.ends_with("report.md") && document.starts_with("results");
    is_report && (inside.starts_with("tables") || inside.starts_with("figures"))
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut broken = Vec::new();
    let mut num_links = 0;
    for document in documents() {
        let text = read(&document);
        for link in targets(&text) {
            if link.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            num_links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => plain(&document.parent().unwrap().join(path)),
            };
            let is_there = root().join(&target).exists() || is_drawn(&document, &target);
            let has_anchor = || anchors(&read(&target)).contains(anchor);
            if !is_there || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(num_links > 100, "only {num_links} links were found");
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// A file's text in one line, without the marks of Markdown that part words.
fn running_text(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(root().join(path));
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(words.join(" ").replace('\\', ""))
}

/// The number that follows these words in a file, with the interval that follows it.
fn quoted(path: &str, words: &str) -> Result<String, String> {
    let text = running_text(path)?;
    let mut places = text.match_indices(words);
    let (Some((at, _)), None) = (places.next(), places.next()) else {
        let times = text.matches(words).count();
        return Err(format!("{path}: `{words}` stands there {times} times"));
    };
    let rest = text[at + words.len()..].trim_start();
    let is_number = |letter: char| letter.is_ascii_digit() || "+-.,".contains(letter);
    let number = rest.split(|letter| !is_number(letter)).next().unwrap_or("");
    let number = number.trim_end_matches(['.', ',']);
    if !number.contains(|letter: char| letter.is_ascii_digit()) {
        return Err(format!("{path}: no number follows `{words}`"));
    }
    let after = &rest[number.len()..];
    let interval = after.strip_prefix(" [").and_then(|interval| {
        let interval = interval.split(']').next()?;
        Some(format!(" [{interval}]"))
    });
    Ok(number.to_owned() + interval.as_deref().unwrap_or(""))
}

/// A document with every quoted number as the files have it, and how many there are.
fn with_quotes(text: &str) -> Result<(String, usize), String> {
    let mut out = String::new();
    let mut num_quotes = 0;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out += before;
        out += OPEN;
        rest = after;
        let Some((source, tail)) = after.split_once(" -->") else {
            break;
        };
        let Some((path, words)) = source.split_once(": ") else {
            continue;
        };
        let Some((_, tail)) = tail.split_once(CLOSE) else {
            return Err(format!("`{source}` has no `{CLOSE}`"));
        };
        out += &format!("{source} -->{}{CLOSE}", quoted(path, words)?);
        num_quotes += 1;
        rest = tail;
    }
    Ok((out + rest, num_quotes))
}

#[test]
fn quoted_numbers_are_those_of_the_files_they_name() {
    let renew = std::env::var_os("HOMEBENCH_QUOTE").is_some();
    let mut wrong = Vec::new();
    let mut num_quotes = 0;
    for document in documents() {
        let text = read(&document);
        match with_quotes(&text) {
            Ok((now, quotes)) => {
                num_quotes += quotes;
                if renew {
                    std::fs::write(root().join(&document), &now).unwrap();
                    continue;
                }
                let lines = text.lines().zip(now.lines()).enumerate();
                for (line, (was, is)) in lines.filter(|(_, (was, is))| was != is) {
                    let place = format!("{}, line {}", document.display(), line + 1);
                    wrong.push(format!("{place}:\n  has    {was}\n  should {is}"));
                }
            }
            Err(error) => wrong.push(format!("{}: {error}", document.display())),
        }
    }
    assert!(num_quotes > 5, "only {num_quotes} quotes were found");
    let hint = "`just quote` writes what the files have now";
    assert!(wrong.is_empty(), "{}\n{hint}", wrong.join("\n"));
}

#[test]
fn a_quote_that_differs_is_found_and_one_without_a_source_is_refused() {
    let quote = |words: &str, value: &str| {
        format!("by <!-- tests/documents/quoted.md: {words} -->{value}<!-- --> here")
    };
    let right = quote("home is better:", "+.0171 [.0098, .0243]");
    assert_eq!(with_quotes(&right).unwrap(), (right.clone(), 1));
    let wrong = quote("home is better:", "+.0172 [.0098, .0243]");
    assert_eq!(with_quotes(&wrong).unwrap(), (right, 1));
    let share = quote("a share of", "9");
    let (share, _) = with_quotes(&share).unwrap();
    assert_eq!(share, quote("a share of", ".25"));
    let times = |words: &str| with_quotes(&quote(words, "1")).unwrap_err();
    let absent = "tests/documents/quoted.md: `no such words` stands there 0 times";
    assert_eq!(times("no such words"), absent);
    let twice = "tests/documents/quoted.md: `is` stands there 2 times";
    assert_eq!(times("is"), twice);
    let none = "tests/documents/quoted.md: no number follows `home is`";
    assert_eq!(times("home is"), none);
}
