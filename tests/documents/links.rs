//! Links lead to files and headings that are there.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::{documents, read, root};

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

#[test]
fn the_book_has_every_page_of_docs() {
    let listed = targets(&read(Path::new("docs/SUMMARY.md")));
    let listed: BTreeSet<PathBuf> = listed
        .iter()
        .map(|link| Path::new("docs").join(link))
        .collect();
    let pages = documents()
        .into_iter()
        .filter(|page| page.starts_with("docs"));
    let pages: BTreeSet<PathBuf> = pages.filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, pages);
}
