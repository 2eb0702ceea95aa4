//! Cells that start from the weights of others: in what order they run, and what becomes of them where those fail.

use super::mock::{Mock, Play, broken};
use super::{Listener, Place, plan};
use crate::execute::Verdict;
use crate::parent::{Finished, ended_cells};
use homebench_experiment::plan::PlannedCell;
use homebench_results::{Outcome, Status, Winners};

/// The last of three comes first in the file.
const CHAIN: &str = r#"question = "What follows?"
seeds = [1, 2]
[dataset]
name = "feed"
[variants.third]
model = "mmoe"
init_from = { variant = "second", seed = 1 }
[variants.second]
model = "mmoe"
init_from = { variant = "first", paths = ["shared"] }
[variants.first]
model = "mmoe"
"#;

const TUNING: &str = r#"[tuning]
seeds = [7]
grid = { "training.patience" = [1, 2] }
"#;

fn tuned() -> String {
    CHAIN.replace(", seed = 1", "") + TUNING
}

fn run(place: &Place, only: Option<&str>, mock: &mut Mock) -> (Finished, Vec<String>) {
    let plan = plan(CHAIN);
    let cells = plan.finals_asked(&plan.select(only).unwrap());
    let mut listener = Listener::default();
    let finished = place.runs(0).run(&cells, mock, &mut listener);
    (finished.unwrap(), listener.heard)
}

fn outcome(place: &Place, label: &str) -> Option<Outcome> {
    let plan = plan(CHAIN);
    let cell = plan.cells().find(|cell| cell.label() == label).unwrap();
    Outcome::read(&place.results.cell(&cell.id)).unwrap()
}

#[test]
fn cells_run_behind_those_that_they_start_from_and_tables_keep_the_order_of_the_file() {
    let place = Place::new();
    let mut mock = Mock::new(1);
    assert_eq!(run(&place, None, &mut mock).0, Finished::All);
    let in_turn = [
        "first/1", "first/2", "second/1", "second/2", "third/1", "third/2",
    ];
    assert_eq!(mock.asked, in_turn);
    let merged = ended_cells(&plan(CHAIN), &place.results);
    let labels: Vec<&str> = merged.iter().map(|(label, _)| label.as_str()).collect();
    let in_file = [
        "third/1", "third/2", "second/1", "second/2", "first/1", "first/2",
    ];
    assert_eq!(labels, in_file);
    // Each as soon as what it starts from has ended.
    let mut mock = Mock::new(3);
    run(&Place::new(), None, &mut mock);
    let place_of = |label: &str| mock.asked.iter().position(|one| one == label).unwrap();
    assert_eq!(mock.asked.len(), 6);
    assert!(place_of("first/1") < place_of("second/1"));
    assert!(place_of("second/1") < place_of("third/1").min(place_of("third/2")));
    assert!(mock.most_at_once > 1);
}

#[test]
fn what_is_asked_for_brings_along_what_it_starts_from_and_nothing_else() {
    let mut mock = Mock::new(1);
    run(&Place::new(), Some("third/2"), &mut mock);
    assert_eq!(mock.asked, ["first/1", "second/1", "third/2"]);
}

#[test]
fn cells_whose_start_failed_fail_with_its_reason_and_the_next_run_tries_all_again() {
    let place = Place::new();
    let fails = Verdict::Failed {
        reason: "the loss became NaN".into(),
        is_final: true,
    };
    let mut mock = Mock::new(2)
        .play("first/1", &[Play::Ends(fails)])
        .play("first/2", &[Play::Ends(broken("a crash"))]);
    let (finished, heard) = run(&place, None, &mut mock);
    assert_eq!(finished, Finished::All);
    assert_eq!(mock.asked, ["first/1", "first/2"]);
    assert!(heard.contains(&"third/2 failed".to_owned()), "{heard:?}");
    let said = |label: &str| {
        let outcome = outcome(&place, label).unwrap();
        assert_eq!((outcome.status, outcome.tries), (Status::Failed, Some(0)));
        (outcome.error.unwrap(), outcome.may_end_otherwise)
    };
    let first = "`first/1`, which it starts from, failed: the loss became NaN";
    assert_eq!(said("second/1"), (first.to_owned(), false));
    let second = format!("`second/1`, which it starts from, failed: {first}");
    assert_eq!(said("third/1"), (second, false));
    assert!(said("second/2").1, "another try could end otherwise");
    let mut mock = Mock::new(1);
    run(&place, None, &mut mock);
    assert_eq!(mock.asked.len(), 6);
    assert_eq!(outcome(&place, "third/2").unwrap().status, Status::Done);
}

#[test]
fn what_starts_from_a_cell_that_was_stopped_stays_undone() {
    let place = Place::new();
    let mut mock = Mock::new(1).play("first/1", &[Play::Ends(Verdict::Stopped)]);
    let (finished, _) = run(&place, None, &mut mock);
    assert_eq!(finished, Finished::Interrupted { ended: 2, total: 6 });
    assert_eq!(mock.asked, ["first/1", "first/2", "second/2"]);
    assert!(outcome(&place, "third/1").is_none());
}

#[test]
fn a_variant_is_tuned_once_the_one_that_it_starts_from_is() {
    fn score(cell: &PlannedCell) -> f64 {
        // The second trial wins where nothing is started from, the first elsewhere.
        match (cell.content.variant.as_str(), cell.trial) {
            ("first", Some(2)) => 0.7,
            (_, Some(1)) => 0.6,
            _ => 0.5,
        }
    }
    let text = tuned();
    let place = Place::new();
    let (finished, asked) = place.run_search(&text, Mock::new(1).scoring(score), None);
    assert_eq!(finished, Finished::All);
    let trials = |variant: &str| [1, 2].map(|trial| format!("{variant}/trial-{trial}/7"));
    let finals = |variant: &str| [1, 2].map(|seed| format!("{variant}/{seed}"));
    let names = ["first", "second", "third"];
    let in_turn = [names.map(trials), names.map(finals)].concat().concat();
    assert_eq!(asked, in_turn);
    let winners = Winners::read(&place.results).unwrap().winners;
    let won: Vec<(&str, usize)> = winners
        .iter()
        .map(|w| (w.variant.as_str(), w.trial))
        .collect();
    assert_eq!(won, [("third", 1), ("second", 1), ("first", 2)]);
    let start_of = |id: &str| -> String {
        let (_, text) = place.results.cell(id).content_text().unwrap().unwrap();
        let content: toml::Table = text.parse().unwrap();
        content["init_from"]["cell"].as_str().unwrap().to_owned()
    };
    let cells = |place: usize| -> Vec<&str> {
        let trials = winners[place].trials.iter();
        trials.map(|trial| trial.cells[0].as_str()).collect()
    };
    assert!(cells(1).iter().all(|id| start_of(id) == cells(2)[1]));
    assert!(cells(0).iter().all(|id| start_of(id) == cells(1)[0]));
    // Nothing runs again.
    assert_eq!(
        place.run_search(&text, Mock::new(1), None).1,
        Vec::<String>::new()
    );
    // A winning trial that keeps no weights is trained again for what starts from it, and no other.
    let won = place.results.cell(cells(2)[1]);
    let (mut outcome, parts) = Outcome::read_with_parts(&won).unwrap().unwrap();
    outcome.files.remove("weights.safetensors").unwrap();
    outcome.write(&won, &parts).unwrap();
    let (_, again) = place.run_search(&text, Mock::new(1).scoring(score), None);
    assert_eq!(again, ["first/trial-2/7"]);
}

#[test]
fn tuning_in_a_chain_comes_to_the_same_after_any_interruption() {
    let text = tuned();
    let whole = Place::new();
    let (_, asked) = whole.run_search(&text, Mock::new(1), None);
    let end_of = |place: &Place| {
        let winners = std::fs::read_to_string(place.results.winners()).unwrap();
        (winners, place.results.cell_ids().unwrap())
    };
    for after in 1..asked.len() {
        let place = Place::new();
        let _ = place.run_search(&text, Mock::new(2), Some(after));
        let (last, _) = place.run_search(&text, Mock::new(2), None);
        assert_eq!(last, Finished::All);
        assert!(end_of(&place) == end_of(&whole), "after {after} cells");
    }
}

#[test]
fn where_every_trial_of_the_one_failed_the_cells_of_the_other_say_so() {
    let fails = || {
        Play::Ends(Verdict::Failed {
            reason: "the loss became NaN".into(),
            is_final: true,
        })
    };
    let mock = Mock::new(1)
        .play("first/trial-1/7", &[fails()])
        .play("first/trial-2/7", &[fails()]);
    let place = Place::new();
    let (finished, asked) = place.run_search(&tuned(), mock, None);
    assert_eq!(finished, Finished::All);
    assert_eq!(asked, ["first/trial-1/7", "first/trial-2/7"]);
    let merged = ended_cells(&plan(&tuned()), &place.results);
    let of = |label: &str| {
        let found = merged.iter().find(|(one, _)| one == label);
        found.unwrap().1.outcome.error.clone().unwrap()
    };
    let first = "every trial failed, the first with: the loss became NaN";
    assert_eq!(of("first/1"), first);
    let second = format!("`first`, which it starts from, has no winner: {first}");
    assert_eq!(of("second/2"), second);
    assert_eq!(
        of("third/1"),
        format!("`second`, which it starts from, has no winner: {second}")
    );
}
