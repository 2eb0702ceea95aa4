//! Folders in which a variant lacks a task: what is compared is over the same tasks, and what is left out is named wherever it shows.

use crate::Folder;
use crate::analysis::Analysis;
use crate::content::claims::Answer;
use homebench_results::read::Results;
use homebench_results::sample::Sample;
use std::fmt::Write as _;
use tempfile::TempDir;

const CLICK: usize = 0;
const LIKE: usize = 2;
const TASKS: [&str; 3] = ["click", "buy", "like"];

/// By task and seed.
type Scores = [[f64; 5]; 3];

/// Test AUCs of a run in which `like` is hard.
const WHOLE: Scores = [
    [0.754, 0.7495, 0.7559, 0.7502, 0.7563],
    [0.7012, 0.7024, 0.6859, 0.6996, 0.708],
    [0.4196, 0.5179, 0.5, 0.4294, 0.3872],
];
const PART: Scores = [
    [0.7568, 0.7576, 0.7588, 0.758, 0.7553],
    [0.6946, 0.6691, 0.6963, 0.6888, 0.705],
    [0.4424, 0.5779, 0.4448, 0.5528, 0.4318],
];

/// A folder of these variants, of which those after the first lack the tasks that are told for them: the weight there is 0.
fn folder(variants: &[(&str, Scores, &[&str])]) -> TempDir {
    let sample = Sample {
        variants: variants
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .collect(),
        tasks: TASKS.map(str::to_owned).into(),
        num_seeds: 5,
        ..Sample::default()
    };
    let folder = sample.write();
    let mut metrics = String::from("cell,variant,seed,split,task,metric,value,rows,positives\n");
    let spec_file = folder.path().join("spec.resolved.toml");
    let mut spec = std::fs::read_to_string(&spec_file).unwrap();
    for (variant, (name, values, lacked)) in variants.iter().enumerate() {
        for (task, of_seeds) in TASKS.iter().zip(values) {
            for (seed, auc) in of_seeds.iter().enumerate() {
                for split in ["validation", "test"] {
                    let head = format!("cell-{variant}-{seed},{name},{seed},{split},{task}");
                    writeln!(metrics, "{head},auc,{auc},300,30").unwrap();
                }
            }
        }
        let weights: Vec<String> = lacked.iter().map(|task| format!("{task} = 0.0")).collect();
        let weights = weights.join(", ");
        writeln!(spec, "[variants.{name}]").unwrap();
        if variant > 0 {
            writeln!(spec, "ablates = \"{}\"", variants[0].0).unwrap();
        }
        writeln!(
            spec,
            "[variants.{name}.training]\ntask_weights = {{ {weights} }}"
        )
        .unwrap();
    }
    std::fs::write(folder.path().join("metrics.csv"), metrics).unwrap();
    std::fs::write(spec_file, spec).unwrap();
    folder
}

fn without_like() -> TempDir {
    folder(&[("all", WHOLE, &[]), ("part", PART, &["like"])])
}

fn analysis(folder: &TempDir, baseline: Option<&str>) -> Analysis {
    Analysis::new(Results::read(folder.path()).unwrap(), baseline).unwrap()
}

fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn a_difference_of_means_is_over_the_tasks_that_both_have() {
    let folder = without_like();
    for (baseline, sign) in [("all", 1.0), ("part", -1.0)] {
        let analysis = analysis(&folder, Some(baseline));
        let rows = &analysis.task_means.as_ref().unwrap().rows;
        let row = &rows[1 - analysis.baseline];
        let found = row.difference.as_ref().unwrap();
        // scipy.stats.ttest_rel of the means of click and buy. Against all three tasks of `all` it would be +.090, p = .0008.
        assert!(is_near(found.mean, sign * -0.00227), "{}", found.mean);
        assert!(is_near(found.p_value.unwrap(), 0.499_175_149_185_297_7));
        let interval = found.interval.unwrap();
        let (low, high) = match baseline {
            "all" => (interval.low, interval.high),
            _ => (-interval.high, -interval.low),
        };
        assert!(is_near(low, -0.010_761_520_306_888_522), "{low}");
        assert!(is_near(high, 0.006_221_520_306_888_533), "{high}");
        assert_eq!((row.both.num_tasks, &*row.both.left_out), (2, &[LIKE][..]));
        // Both means stand in one column, so they are of click and buy as well.
        let means = rows.iter().map(|row| row.score.mean.unwrap());
        let means: Vec<f64> = means.collect();
        assert!(
            is_near(means[0], 0.7263) && is_near(means[1], 0.72403),
            "{means:?}"
        );
    }
}

#[test]
fn a_claim_says_how_many_tasks_both_have_and_which_is_left_out() {
    let said = Answer::new(&analysis(&without_like(), None))
        .claims
        .join("\n");
    let claim = "part in the mean over the 2 tasks that both have (like is left out): no difference seen, -.0023 [-.0108,\u{a0}.0062], p\u{a0}=\u{a0}.499 after Holm.";
    assert!(said.contains(claim), "{said}");
    let whole = folder(&[("all", WHOLE, &[]), ("part", PART, &[])]);
    let said = Answer::new(&analysis(&whole, None)).claims.join("\n");
    assert!(said.contains("part in the mean over 3 tasks: "), "{said}");
}

#[test]
fn an_external_table_without_a_task_is_compared_on_the_others() {
    let folder = folder(&[("all", WHOLE, &[]), ("same", WHOLE, &[])]);
    let external = folder.path().join("external");
    std::fs::create_dir(&external).unwrap();
    let mut table = String::from("variant,seed,split,task,metric,value,rows,positives\n");
    for (task, values) in TASKS.iter().zip(WHOLE).take(LIKE) {
        for (seed, auc) in values.iter().enumerate() {
            writeln!(table, "trees,{seed},test,{task},auc,{auc},300,30").unwrap();
        }
    }
    std::fs::write(external.join("trees.csv"), table).unwrap();
    let origin = "about = \"x\"\nprogram = \"x 1\"\ncommand = \"x\"\ndataset_content = \"feedbeef\"\ntrials = 0\n";
    std::fs::write(external.join("trees.toml"), origin).unwrap();
    let analysis = analysis(&folder, None);
    let row = &analysis.task_means.as_ref().unwrap().rows[2];
    assert_eq!(row.difference.as_ref().unwrap().mean, 0.0);
    assert_eq!(row.both.left_out, [LIKE]);
    let said = Answer::new(&analysis).claims.join("\n");
    assert!(
        said.contains("trees (external) in the mean over the 2 tasks that both have (like is left out): identical in every run."),
        "{said}"
    );
    // The trees have no cost and are in no figure of it: what is drawn there is over all tasks.
    assert_eq!(
        analysis.shared_tasks(&[0, 1]).tasks_left_out,
        Vec::<String>::new()
    );
}

#[test]
fn means_beside_each_other_are_over_the_tasks_that_all_have_but_for_a_variant_that_lacks_too_many()
{
    let one_task: &[&str] = &["buy", "like"];
    let folder = folder(&[
        ("all", WHOLE, &[]),
        ("part", PART, &["like"]),
        ("alone", PART, one_task),
    ]);
    let analysis = analysis(&folder, None);
    let shared = analysis.shared_tasks(&[0, 1]);
    assert_eq!(shared.tasks_left_out, ["like"]);
    assert_eq!(shared.parts.len(), 2);
    assert!(shared.variants_left_out.is_empty());
    let mean = analysis.over_tasks(0, &shared)[&(0, None)];
    assert!(is_near(mean, (0.754 + 0.7012) / 2.0), "{mean}");
    // With `alone` one task would be left, which is no mean: two variants share two tasks, and one alone has three.
    let shared = analysis.shared_tasks(&[0, 1, 2]);
    assert_eq!(shared.tasks_left_out, ["like"]);
    assert_eq!(shared.variants_left_out, [2]);
    assert!(analysis.over_tasks(2, &shared).is_empty());
    assert!(is_near(analysis.over_tasks(0, &shared)[&(0, None)], mean));
    let words = crate::left_out::of_means(&analysis, &shared).unwrap();
    assert_eq!(
        words,
        "Means are over the tasks on which all other variants here have a test score: like is left out. alone has no mean here, without a \
         test score on some of these tasks."
    );
    let shared = analysis.shared_tasks(&[2]);
    assert_eq!(
        shared.variants_left_out,
        [2],
        "one task of three is no mean"
    );
    // A difference of one task is told for the task, and is no mean.
    let pair = analysis.pair_over_tasks(2, 0);
    assert!(pair.ours.is_empty() && pair.both.num_tasks == 0);
    assert_eq!(
        analysis.pair_over_tasks(0, 0).both.left_out,
        Vec::<usize>::new()
    );
    assert_eq!(analysis.summary.panels[CLICK].task, "click");
}

#[test]
fn report_figures_tables_and_terminal_name_what_is_left_out() {
    let folder = folder(&[
        ("all", WHOLE, &[]),
        ("part", PART, &["like"]),
        ("other", PART, &[]),
    ]);
    let mut written = Folder::read(folder.path(), None).unwrap();
    written.write_report().unwrap();
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let report = read("report.md");
    let means =
        "Means are over the tasks on which all variants here have a test score: like is left out.";
    let difference = "The mean over tasks of part is compared with that of all over the 2 tasks that both have (like is left out).";
    for words in [
        means,
        difference,
        "| verdict | tasks of the difference |",
        "| no difference seen | 2 |",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(!report.contains("and part on like"), "{report}");
    assert!(read("tables/task_means.md").contains(means.trim_end_matches('.')));
    let table = read("tables/task_means.csv");
    assert!(
        table.contains("verdict,tasks_of_difference,left_out_of_difference,left_out_of_mean"),
        "{table}"
    );
    assert!(table.contains(",2,like,like"), "{table}");
    let figure = |name: &str| read(&format!("figures/{name}.svg"));
    assert!(figure("cost").contains(means), "{}", figure("cost"));
    for name in ["forest", "ablation_all"] {
        assert!(figure(name).contains(difference), "{}", figure(name));
    }
    let terminal = crate::terminal::summary(&analysis(&folder, None), None, 100);
    let terminal: Vec<&str> = terminal.split_whitespace().collect();
    assert!(terminal.join(" ").contains(difference), "{terminal:?}");
}

#[test]
fn runs_by_chance_are_those_of_scores_that_are_in_a_mean() {
    let said = |folder: &TempDir| {
        Folder::read(folder.path(), None)
            .unwrap()
            .write_report()
            .unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        let text: Vec<&str> = text.split_whitespace().collect();
        let text = text.join(" ");
        let start = text.find("**By chance:**").unwrap();
        let end = start + text[start..].find("does not differ").unwrap();
        text[start..end].to_owned()
    };
    let whole = folder(&[("all", WHOLE, &[]), ("part", PART, &[])]);
    let both = said(&whole);
    assert!(
        both.contains("all on like") && both.contains("part on like"),
        "{both}"
    );
    let partial = said(&without_like());
    assert!(
        partial.contains("all on like") && !partial.contains("part"),
        "{partial}"
    );
}
