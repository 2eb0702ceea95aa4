//! Numbers that documents quote.
//!
//! A quoted number stands between two comments, the first of which names a file and the words that stand before the number there:
//! `<!-- results/census/report.md: home is better on income: -->+.0013 [.0004, .0021]<!-- -->`. Or they name a cell of a table: a column that tells the table, the row, and
//! the column, as in `<!-- results/ablation/report.md: cell mean over tasks > home_without_norm > p (Holm) -->0.027<!-- -->`.

use crate::{claims, documents, read, renews, root};

const OPEN: &str = "<!-- ";
const CLOSE: &str = "<!-- -->";

/// A file's text in one line, without the marks of Markdown that part words.
fn running_text(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(root().join(path));
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(words.join(" ").replace('\\', ""))
}

/// The rows of each table of a text, the names of its columns first.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables = vec![Vec::new()];
    for line in text.lines() {
        match line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) {
            Some(row) => {
                let cells = row.split('|').map(str::trim).collect();
                tables.last_mut().unwrap().push(cells);
            }
            None => tables.push(Vec::new()),
        }
    }
    tables.retain(|rows| !rows.is_empty());
    tables
}

/// The cell of the one table that has all three: the column that tells it, the row and the column; with the interval of the next cell.
fn quoted_cell(path: &str, words: &str) -> Result<String, String> {
    let parts: Vec<&str> = words.split(" > ").collect();
    let [mark, row, column] = parts[..] else {
        return Err(format!("{path}: `{words}` isn't `column > row > column`"));
    };
    let text = std::fs::read_to_string(root().join(path));
    let text = text.map_err(|error| format!("{path}: {error}"))?;
    let text = text.replace('\\', "");
    let mut found = Vec::new();
    for rows in tables(&text) {
        let names = &rows[0];
        let place = names.iter().position(|name| *name == column);
        if let (true, Some(place)) = (names.contains(&mark), place) {
            let named = rows[1..].iter().filter(|cells| cells[0] == row);
            found.extend(named.map(|cells| {
                // An interval stands in its own cell, or in the number's.
                let interval = cells.get(place + 1).filter(|next| next.starts_with('['));
                let interval = interval.map(|next| format!(" {next}")).unwrap_or_default();
                cells[place].to_owned() + &interval
            }));
        }
    }
    let times = found.len();
    match (found.pop(), times) {
        (Some(cell), 1) if cell != "-" => Ok(cell),
        (Some(_), 1) => Err(format!("{path}: the cell `{words}` is empty")),
        _ => Err(format!("{path}: `{words}` names {times} cells")),
    }
}

/// The number that follows these words in a file, with the interval that follows it, or an interval alone.
fn quoted(path: &str, words: &str) -> Result<String, String> {
    if let Some(cell) = words.strip_prefix("cell ") {
        return quoted_cell(path, cell);
    }
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
    if rest.starts_with('[') {
        let interval = rest.split_inclusive(']').next();
        return Ok(interval.unwrap_or_default().to_owned());
    }
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
pub(crate) fn with_quotes(text: &str) -> Result<(String, usize), String> {
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
    let mut wrong = Vec::new();
    let mut num_quotes = 0;
    for document in documents() {
        let text = read(&document);
        // Markdown takes such a line for HTML and shows the rest of it as it is written.
        let opens = |line: &&str| line.trim_start().starts_with("<!-- ") && line.contains(CLOSE);
        for line in text.lines().filter(opens) {
            wrong.push(format!(
                "{}: a line begins with a quote: {line}",
                document.display()
            ));
        }
        match with_quotes(&text) {
            Ok((now, quotes)) => {
                num_quotes += quotes;
                if renews() {
                    // The test of claims writes its own document. Other tests read at the same time: what stays isn't written.
                    if now != text && document.as_os_str() != claims::DOCUMENT {
                        std::fs::write(root().join(&document), &now).unwrap();
                    }
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
    let source = "home is better: +.0171";
    let (interval, _) = with_quotes(&quote(source, "1")).unwrap();
    assert_eq!(interval, quote(source, "[.0098, .0243]"));
    let times = |words: &str| with_quotes(&quote(words, "1")).unwrap_err();
    let absent = "tests/documents/quoted.md: `no such words` stands there 0 times";
    assert_eq!(times("no such words"), absent);
    let twice = "tests/documents/quoted.md: `is` stands there 2 times";
    assert_eq!(times("is"), twice);
    let none = "tests/documents/quoted.md: no number follows `home is`";
    assert_eq!(times("home is"), none);
    let cell = quote("cell gain > home > gain", "1");
    let (cell, _) = with_quotes(&cell).unwrap();
    let source = "cell gain > home > gain";
    assert_eq!(cell, quote(source, "+0.02 [0.01, 0.03]"));
    let source = "cell runs with collapse > ple > runs with collapse";
    let (count, _) = with_quotes(&quote(source, "1")).unwrap();
    assert_eq!(count, quote(source, "3 of 5"));
    let empty = "tests/documents/quoted.md: the cell `gain > single_task > gain` is empty";
    assert_eq!(times("cell gain > single_task > gain"), empty);
    let no_row = "tests/documents/quoted.md: `gain > mmoe > gain` names 0 cells";
    assert_eq!(times("cell gain > mmoe > gain"), no_row);
    let many = "tests/documents/quoted.md: `variant > home > variant` names 2 cells";
    assert_eq!(times("cell variant > home > variant"), many);
    let short = "tests/documents/quoted.md: `gain > home` isn't `column > row > column`";
    assert_eq!(times("cell gain > home"), short);
}
