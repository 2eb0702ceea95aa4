use super::*;
use homebench_results::sample::Sample;
use tempfile::TempDir;

fn board(samples: &[Sample]) -> Result<(Leaderboard, String)> {
    let folders: Vec<TempDir> = samples.iter().map(Sample::write).collect();
    let paths: Vec<PathBuf> = folders
        .iter()
        .map(|folder| folder.path().to_owned())
        .collect();
    let without_paths = |text: String| {
        let places = paths.iter().enumerate();
        places.fold(text, |text, (place, path)| {
            text.replace(&path.display().to_string(), &format!("FOLDER_{place}"))
        })
    };
    match Leaderboard::read(&paths) {
        Ok(board) => {
            let text = without_paths(board.terminal_summary(80, Some(200)));
            Ok((board, text))
        }
        Err(error) => Err(anyhow::anyhow!(without_paths(error.to_string()))),
    }
}

fn named(variants: &[&str], tasks: &[&str]) -> Sample {
    Sample {
        variants: variants.iter().map(|name| name.to_string()).collect(),
        tasks: tasks.iter().map(|name| name.to_string()).collect(),
        ..Sample::default()
    }
}

#[test]
fn variants_that_every_folder_has_are_ranked_and_the_rest_is_said() {
    let (board, text) = board(&[
        named(&["shared-bottom", "MMoE", "HoME"], &["income"]),
        named(&["MMoE", "PLE", "HoME"], &["like", "share"]),
        named(&["other"], &["like"]),
    ])
    .unwrap();
    // Later variants of a sample are better, whatever the folder.
    assert_eq!(board.variants, ["HoME", "MMoE"]);
    assert_eq!(board.ranks.means, [1.0, 2.0]);
    // Lines and columns are as wide as the folders' names make them.
    let words: Vec<&str> = text.split_whitespace().collect();
    insta::assert_snapshot!(words.join(" "));
}

#[test]
fn the_same_data_in_two_folders_counts_once() {
    let (board, text) = board(&[
        named(&["MMoE", "HoME"], &["income"]),
        named(&["MMoE", "HoME"], &["income"]),
    ])
    .unwrap();
    assert_eq!(board.datasets.len(), 1);
    assert!(text.contains("counts once"), "{text}");
}

#[test]
fn folders_that_share_nothing_are_refused_with_what_they_have() {
    let refused = board(&[
        named(&["a", "b"], &["income"]),
        named(&["c", "b"], &["income"]),
    ]);
    let said = refused.map(|_| ()).unwrap_err().to_string();
    insta::assert_snapshot!(said);
}

#[test]
fn a_leaderboard_is_written_in_every_form_and_twice_with_the_same_bytes() {
    let folders = [
        named(&["MMoE", "HoME"], &["income"]).write(),
        named(&["MMoE", "HoME"], &["like"]).write(),
    ];
    let paths: Vec<PathBuf> = folders
        .iter()
        .map(|folder| folder.path().to_owned())
        .collect();
    let write = || {
        let out = tempfile::tempdir().unwrap();
        let files = Leaderboard::read(&paths)
            .unwrap()
            .write(out.path())
            .unwrap();
        let relative =
            |file: &PathBuf| file.strip_prefix(out.path()).unwrap().display().to_string();
        let read = |file: &PathBuf| (relative(file), std::fs::read(file).unwrap());
        files.iter().map(read).collect::<Vec<_>>()
    };
    let (first, second) = (write(), write());
    assert!(first == second);
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "report.md",
            "report.html",
            "tables/ranks.md",
            "tables/ranks.tex",
            "tables/ranks.csv",
            "figures/ranks.svg",
            "figures/ranks.png"
        ]
    );
}
