//! Keeps the documents true: their links lead somewhere, numbers that they quote are those of the files they name, and `CLAIMS.md` is
//! what `results/claims.toml` and the folders of results give.
//!
//! After results have changed, `just quote` (these tests with `HOMEBENCH_QUOTE=1`) writes what the files have now.

mod claims;
mod links;
mod quotes;

use std::path::{Path, PathBuf};

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

/// Whether documents are to be written, and not compared.
fn renews() -> bool {
    std::env::var_os("HOMEBENCH_QUOTE").is_some()
}
