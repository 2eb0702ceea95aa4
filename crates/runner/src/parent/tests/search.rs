//! Searches that go by what trials come to: who is promoted, who is suggested, and that neither jobs nor interruptions matter.

use super::mock::{Mock, Play};
use super::{Place, plan};
use crate::execute::Verdict;
use crate::parent::Finished;
use homebench_experiment::plan::PlannedCell;
use homebench_results::Winners;

const HALVING: &str = r#"question = "Which, once halved?"
seeds = [1]
[dataset]
name = "feed"
[training]
max_epochs = 9
[tuning]
method = "successive_halving"
trials = 9
seeds = [7, 8]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
[variants.a]
model = "shared_bottom"
"#;

/// Later trials are better, in threes that are equal; longer ones are better too.
fn by_trial(cell: &PlannedCell) -> f64 {
    let trial = cell.trial.unwrap_or(0);
    let epochs = cell.content.last_epoch.unwrap_or(9);
    (trial.div_ceil(3) * 10 + epochs) as f64 / 1000.0
}

/// Labels of one rung, or of final cells.
fn of_rung(asked: &[String], part: &str) -> Vec<String> {
    let of = asked.iter().filter(|label| label.contains(part));
    of.cloned().collect()
}

#[test]
fn one_in_eta_goes_to_the_next_rung_and_of_equal_trials_the_earlier() {
    let place = Place::new();
    let (finished, asked) = place.run_search(HALVING, Mock::new(1).scoring(by_trial), None);
    assert_eq!(finished, Finished::All);
    assert_eq!(of_rung(&asked, "/rung-1/").len(), 9 * 2);
    let labels = |trials: &[usize], rung: usize| -> Vec<String> {
        let seeds =
            |trial: &usize| [7, 8].map(|seed| format!("a/trial-{trial}/rung-{rung}/{seed}"));
        trials.iter().flat_map(seeds).collect()
    };
    assert_eq!(of_rung(&asked, "/rung-2/"), labels(&[7, 8, 9], 2));
    assert_eq!(of_rung(&asked, "/rung-3/"), labels(&[7], 3));
    assert_eq!(asked.last().unwrap(), "a/1");
    assert_eq!(asked.len(), 18 + 6 + 2 + 1);
    let winners = Winners::read(&place.results).unwrap();
    let winner = winners.of("a", None).unwrap();
    assert_eq!((winner.trial, winner.trials.len()), (7, 9));
    assert_eq!(winner.validation_score, 0.039);
    // The rungs are those of a plan that is made anew, and nothing runs again.
    let (_, again) = place.run_search(HALVING, Mock::new(1), None);
    assert_eq!(again, Vec::<String>::new());
    assert_eq!(left_checkpoints(&place), 0);
}

fn left_checkpoints(place: &Place) -> usize {
    let ids = place.results.cell_ids().unwrap();
    let left = ids
        .iter()
        .filter(|id| place.results.cell(id).checkpoint().exists());
    left.count()
}

#[test]
fn a_trial_that_failed_is_not_promoted_and_the_last_rung_is_a_whole_training() {
    let place = Place::new();
    let fails = Verdict::Failed {
        reason: "the loss became NaN".into(),
        is_final: true,
    };
    let mock = Mock::new(1)
        .scoring(by_trial)
        .play("a/trial-7/rung-1/8", &[Play::Ends(fails.clone())])
        .play("a/trial-8/rung-3/7", &[Play::Ends(fails)]);
    let (finished, asked) = place.run_search(HALVING, mock, None);
    assert_eq!(finished, Finished::All);
    assert_eq!(
        of_rung(&asked, "/rung-2/7"),
        [
            "a/trial-4/rung-2/7",
            "a/trial-8/rung-2/7",
            "a/trial-9/rung-2/7"
        ]
    );
    assert_eq!(of_rung(&asked, "/rung-3/7"), ["a/trial-8/rung-3/7"]);
    // It failed on the last rung: the best of the others has won.
    let winner = Winners::read(&place.results).unwrap().winners.remove(0);
    assert_eq!(winner.trial, 9);
    // A trial of a random search, trained without rungs, is the same cell.
    let random = HALVING.replace(
        "successive_halving",
        "random\"\nsampling = \"latin_hypercube",
    );
    let random = plan(&random);
    let plain = &random.arms[0].trials[7];
    assert_eq!(
        winner.trials[7].cells,
        plain.iter().map(|cell| cell.id.clone()).collect::<Vec<_>>()
    );
}

const TPE: &str = r#"question = "Which, once suggested?"
seeds = [1]
[dataset]
name = "feed"
[tuning]
method = "tpe"
startup_trials = 4
generation_size = 2
trials = 9
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
[variants.a]
model = "shared_bottom"
[variants.b]
model = "mmoe"
"#;

/// Best at a rate of 1e-2.
fn by_rate(cell: &PlannedCell) -> f64 {
    let off = 100.0 * (cell.content.training.learning_rate - 1e-2);
    1.0 / (1.0 + off * off)
}

#[test]
fn generations_follow_each_other_until_there_are_as_many_trials_as_asked_for() {
    let place = Place::new();
    let (finished, asked) = place.run_search(TPE, Mock::new(1).scoring(by_rate), None);
    assert_eq!(finished, Finished::All);
    let trials: Vec<&String> = asked
        .iter()
        .filter(|label| label.contains("trial"))
        .collect();
    assert_eq!(trials.len(), 2 * 9);
    // Both variants draw four, then suggest two at a time, and one.
    let order = |label: &str| trials.iter().position(|one| *one == label).unwrap();
    assert!(order("b/trial-4/7") < order("a/trial-5/7"));
    assert!(order("b/trial-6/7") < order("a/trial-7/7"));
    assert!(order("b/trial-8/7") < order("a/trial-9/7"));
    let winner = Winners::read(&place.results).unwrap().winners.remove(0);
    assert_eq!(winner.trials.len(), 9);
    let (_, again) = place.run_search(TPE, Mock::new(1), None);
    assert_eq!(again, Vec::<String>::new());
}

/// What a search comes to: its winners, byte by byte, and its cells.
fn end_of(place: &Place) -> (String, Vec<String>) {
    let winners = std::fs::read_to_string(place.results.winners()).unwrap();
    (winners, place.results.cell_ids().unwrap())
}

#[test]
fn neither_jobs_nor_interruptions_change_what_is_promoted_or_suggested() {
    for (text, score, cells) in [
        (HALVING, by_trial as fn(&PlannedCell) -> f64, 27),
        (TPE, by_rate, 20),
    ] {
        let place = Place::new();
        let _ = place.run_search(text, Mock::new(1).scoring(score), None);
        let expected = end_of(&place);
        assert_eq!(expected.1.len(), cells);
        for jobs in [2, 5] {
            let place = Place::new();
            let _ = place.run_search(text, Mock::new(jobs).scoring(score), None);
            assert!(end_of(&place) == expected, "{jobs} jobs");
        }
        for after in 1..cells {
            let place = Place::new();
            let (first, _) = place.run_search(text, Mock::new(2).scoring(score), Some(after));
            assert!(
                matches!(first, Finished::Interrupted { .. }) || after + 1 >= cells,
                "{after}"
            );
            let (last, _) = place.run_search(text, Mock::new(2).scoring(score), None);
            assert_eq!(last, Finished::All);
            assert!(end_of(&place) == expected, "after {after} cells");
            assert_eq!(left_checkpoints(&place), 0);
        }
    }
}

#[test]
fn a_lost_trial_is_trained_again_and_the_winner_stays() {
    for (text, score) in [
        (HALVING, by_trial as fn(&PlannedCell) -> f64),
        (TPE, by_rate),
    ] {
        let place = Place::new();
        let _ = place.run_search(text, Mock::new(1).scoring(score), None);
        let expected = end_of(&place);
        for id in &expected.1 {
            std::fs::remove_dir_all(place.results.cell(id).path()).unwrap();
            let (_, asked) = place.run_search(text, Mock::new(1).scoring(score), None);
            assert_eq!(asked.len(), 1);
            assert!(end_of(&place) == expected);
        }
    }
}
