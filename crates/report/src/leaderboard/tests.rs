use super::*;
use homebench_results::sample::Sample;
use tempfile::TempDir;

fn board(samples: &[Sample]) -> Result<(Leaderboard, String)> {
    board_of(samples.iter().map(Sample::write).collect())
}

fn board_of(folders: Vec<TempDir>) -> Result<(Leaderboard, String)> {
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

/// A folder in which a variant has the weight 0 for these tasks.
fn without(variant: &str, lacked: &[&str], tasks: &[&str]) -> TempDir {
    let folder = named(&["MMoE", "HoME"], tasks).write();
    let weights: Vec<String> = lacked.iter().map(|task| format!("{task} = 0.0")).collect();
    let spec = format!(
        "[variants.{variant}.training]\ntask_weights = {{ {} }}\n",
        weights.join(", ")
    );
    std::fs::write(folder.path().join("spec.resolved.toml"), spec).unwrap();
    folder
}

#[test]
fn a_task_that_a_shared_variant_lacks_is_left_out_in_every_folder_and_named() {
    let tasks = ["click", "buy", "like"];
    let (board, text) = board_of(vec![
        without("HoME", &["like"], &tasks),
        named(&["MMoE", "HoME"], &tasks).write(),
    ])
    .unwrap();
    assert_eq!(board.datasets.len(), 1, "the same data, once");
    assert_eq!(board.datasets[0].tasks, ["click", "buy"]);
    assert_eq!(board.ranks.means, [1.0, 2.0]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let note = "Note: census: like is left out, since HoME has no test score on it in FOLDER_0.";
    assert!(words.join(" ").contains(note), "{text}");
}

#[test]
fn without_a_task_that_all_have_the_tasks_that_are_lacked_are_told() {
    let tasks = ["click", "buy"];
    let refused = board_of(vec![
        without("HoME", &["click"], &tasks),
        without("HoME", &["buy"], &tasks),
    ]);
    let said = refused.map(|_| ()).unwrap_err().to_string();
    insta::assert_snapshot!(said, @"
    FOLDER_0, FOLDER_1: no dataset has a run in which all shared variants have a test score
    hint: name folders whose shared variants have a task in common; census: click is left out, since HoME has no test score on it in FOLDER_0; census: buy is left out, since HoME has no test score on it in FOLDER_1
    ");
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
