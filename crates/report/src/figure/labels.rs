//! Labels of one axis or legend that have to be shortened: what they have in common is left out, so that no two of different names are
//! the same.

use super::font;
use std::collections::BTreeMap;

/// Every text fitted by itself where that leaves them apart; else without what those that would look the same have in common.
pub(super) fn distinct(texts: &[String], fit: impl Fn(&str) -> Vec<String>) -> Vec<Vec<String>> {
    let whole: BTreeMap<String, Vec<String>> =
        texts.iter().map(|text| (text.clone(), fit(text))).collect();
    let group = look_alike(texts, &whole);
    let mut fitted = whole.clone();
    // From what says most to what is shortest. One that still loses something has lost what tells them apart.
    for way in [without_common_parts, with_short_keys, values_alone] {
        let Some(said) = way(&group) else {
            continue;
        };
        fitted.clone_from(&whole);
        let lines = said.iter().map(|said| fit(said));
        let lines: Vec<Vec<String>> = lines.collect();
        let is_whole = said.iter().zip(&lines).all(|(said, lines)| {
            let letters = |text: &str| text.replace(' ', "");
            letters(said) == letters(&lines.concat())
        });
        fitted.extend(group.iter().map(|name| (*name).to_owned()).zip(lines));
        if is_whole && look_alike(texts, &fitted).is_empty() {
            break;
        }
    }
    for (place, name) in look_alike(texts, &fitted).into_iter().enumerate() {
        fitted.insert(name.to_owned(), fit(&format!("{}: {name}", place + 1)));
    }
    texts.iter().map(|text| fitted[text].clone()).collect()
}

/// One line of each, no wider than the limit.
pub(super) fn distinct_lines(texts: &[String], size: f64, limit: f64) -> Vec<String> {
    let fitted = distinct(texts, |text| vec![font::shorten(text, size, limit)]);
    fitted.into_iter().map(|lines| lines.concat()).collect()
}

/// The texts that look like another one, each once, in their order.
fn look_alike<'a>(texts: &'a [String], fitted: &BTreeMap<String, Vec<String>>) -> Vec<&'a str> {
    let mut seen: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
    for lines in fitted.values() {
        *seen.entry(lines).or_default() += 1;
    }
    let mut found = Vec::new();
    for text in texts {
        if seen[&fitted[text]] > 1 && !found.contains(&text.as_str()) {
            found.push(text.as_str());
        }
    }
    found
}

/// Parts of a name: those of `home[rank=8,norm=none]` are `home`, `rank=8` and `norm=none`.
fn parts(name: &str) -> Vec<&str> {
    let parts = name.split(['[', ']', ',', '/']).map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

/// The parts of each name that not all have, in their order; none where a name has no other.
fn own_parts<'a>(names: &[&'a str]) -> Option<Vec<Vec<&'a str>>> {
    let all: Vec<Vec<&str>> = names.iter().map(|name| parts(name)).collect();
    let is_common = |part: &&str| all.iter().all(|parts| parts.contains(part));
    let own = all.iter().map(|parts| -> Vec<&str> {
        let own = parts.iter().copied();
        own.filter(|part| !is_common(part)).collect()
    });
    let own: Vec<Vec<&str>> = own.collect();
    let has_something = own.iter().all(|parts| !parts.is_empty());
    (names.len() > 1 && has_something).then_some(own)
}

fn without_common_parts(names: &[&str]) -> Option<Vec<String>> {
    let own = own_parts(names)?;
    Some(
        own.iter()
            .map(|parts| format!("…{}", parts.join(", ")))
            .collect(),
    )
}

/// As before, with the last word of each setting's name.
fn with_short_keys(names: &[&str]) -> Option<Vec<String>> {
    let short = |part: &&str| match part.split_once('=') {
        Some((key, value)) => {
            let word = key.rsplit(['_', '.', '-']).next().unwrap_or(key);
            format!("{word}={value}")
        }
        None => (*part).to_owned(),
    };
    Some(joined(&own_parts(names)?, short))
}

/// As before, of each setting its value alone.
fn values_alone(names: &[&str]) -> Option<Vec<String>> {
    let value = |part: &&str| part.rsplit('=').next().unwrap_or(part).to_owned();
    Some(joined(&own_parts(names)?, value))
}

fn joined(own: &[Vec<&str>], word: impl Fn(&&str) -> String) -> Vec<String> {
    let of_name = |parts: &Vec<&str>| {
        let words: Vec<String> = parts.iter().map(&word).collect();
        format!("…{}", words.join(", "))
    };
    own.iter().map(of_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SIZE: f64 = 10.0;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn names_that_stay_apart_are_shortened_one_by_one() {
        let names = owned(&["home[rank=8]", "home[rank=16]", "mmoe"]);
        let limit = font::width("home[rank=16]", SIZE);
        assert_eq!(distinct_lines(&names, SIZE, limit), names);
    }

    #[test]
    fn of_a_sweep_what_all_have_in_common_is_left_out() {
        let mut names = vec!["logistic".to_owned()];
        for dims in ["16x8", "32x16"] {
            for experts in [2, 4] {
                for dropout in ["0.1", "0.2"] {
                    names.push(format!(
                        "mmoe_with_deeper_towers[expert_dims={dims},num_experts={experts},training.embedding_dropout={dropout}]"
                    ));
                }
            }
        }
        for limit in [60.0, 100.0, 200.0, 400.0] {
            let found = distinct(&names, |text| font::wrap(text, SIZE, limit));
            let different: BTreeSet<_> = found.iter().collect();
            assert_eq!(different.len(), names.len(), "{limit}: {found:?}");
            let lines = found.iter().flatten();
            assert!(
                lines
                    .into_iter()
                    .all(|line| font::width(line, SIZE) <= limit),
                "{found:?}"
            );
            assert_eq!(found[0], ["logistic"]);
        }
        let shortest = |text: &str| distinct_lines(&names, SIZE, font::width(text, SIZE));
        assert_eq!(shortest("…32x16, 4, 0.2")[1], "…16x8, 2, 0.1");
        assert_eq!(
            shortest("…dims=32x16, experts=4, dropout=0.2")[8],
            "…dims=32x16, experts=4, dropout=0.2"
        );
    }

    #[test]
    fn names_that_differ_in_their_middle_alone_are_numbered_and_equal_ones_stay_equal() {
        let long = |middle: &str| format!("{}{middle}{}", "a".repeat(40), "b".repeat(40));
        let names = [long("x"), long("y"), long("x")];
        let found = distinct_lines(&names, SIZE, 80.0);
        assert!(
            found[0].starts_with("1: ") && found[1].starts_with("2: "),
            "{found:?}"
        );
        assert_eq!(found[0], found[2]);
    }
}
