//! Tasks that come after others, and scenarios: what descriptions may say of them, and what is said of rows.

use super::nine_days::*;
use crate::schema::Description;
use homebench_diagnostic::Document;

const PAIR: [(&str, &str); 2] = [
    ("click", "label = \"click\""),
    ("buy", "label = \"like\"\nafter = \"click\""),
];

/// What is said of the first of these tasks that is wrong, and how to mend it.
fn refused(tasks: &[(&str, &str)]) -> (String, String) {
    refused_text(&with_tasks(tasks))
}

fn refused_text(described: &str) -> (String, String) {
    let document = Document::new("shop.toml", described.to_owned());
    let said = Description::parse("shop", &document).unwrap_err();
    assert!(said.location.is_some(), "{said}");
    (said.message, said.hint.unwrap_or_default())
}

#[test]
fn a_task_comes_after_one_that_there_is_and_in_no_ring() {
    let of = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    let named = |after: &str| {
        let buy = format!("label = \"like\"\nafter = \"{after}\"");
        refused(&[PAIR[0], ("buy", &buy)])
    };
    assert_eq!(
        named("clck"),
        of(
            "there is no task `clck`; there are `click`, `buy`",
            "did you mean `click`?"
        )
    );
    assert_eq!(
        named("view"),
        of(
            "there is no task `view`; there are `click`, `buy`",
            "name a task that is described below [tasks]"
        )
    );
    assert_eq!(
        named("buy"),
        of(
            "tasks come after each other in a ring: `buy` after `buy`",
            "leave `after` out of the task that comes first"
        )
    );
    assert_eq!(
        refused(&[
            ("click", "label = \"click\"\nafter = \"buy\""),
            ("buy", "label = \"like\"\nafter = \"click\""),
        ])
        .0,
        "tasks come after each other in a ring: `click` after `buy` after `click`"
    );
    // The one that leads into the ring is not in it.
    assert_eq!(
        refused(&[
            ("view", "label = \"click\"\nafter = \"click\""),
            ("click", "label = \"click = 1\"\nafter = \"buy\""),
            ("buy", "label = \"like\"\nafter = \"click\""),
        ])
        .0,
        "tasks come after each other in a ring: `click` after `buy` after `click`"
    );
    let number = [
        PAIR[0],
        (
            "size",
            "label = \"x\"\nkind = \"regression\"\nafter = \"click\"",
        ),
    ];
    assert_eq!(
        refused(&number),
        of(
            "the task `size` predicts a number: chains are of tasks of two classes, whose probabilities they multiply",
            "leave `after` out, or make both tasks of two classes"
        )
    );
    let half = with_tasks(&PAIR).replace("tasks = [\"click\", \"buy\"]", "tasks = [\"buy\"]");
    assert_eq!(
        refused_text(&half),
        of(
            "the task `buy` comes after `click`, which is none of these",
            "add \"click\" to the list, or leave `after` out of the task `buy`"
        )
    );
}

#[test]
fn rows_with_an_impossible_chain_are_counted_in_the_splits_that_may_be_looked_at() {
    let described = with_tasks(&PAIR);
    let clean = log(|_, fields| {
        if fields[4] == "0" {
            fields[5] = "0".to_owned();
        }
    });
    let clean = summary(&described, &clean);
    assert!(said(&clean, "impossible_chain").is_empty());
    // Columns are the tasks in order, and another order is another place of the task before.
    assert_eq!(clean.schema.after(), [None, Some(0)]);
    let turned = described.replace("[\"click\", \"buy\"]", "[\"buy\", \"click\"]");
    let count = |rows: std::ops::Range<usize>| {
        let wrong = |row: &usize| row * 7 % 10 >= 3 && row * 3 % 10 < 5;
        let positive = |row: &usize| row * 3 % 10 < 5;
        (
            rows.clone().filter(wrong).count(),
            rows.filter(positive).count(),
        )
    };
    for described in [described, turned] {
        let broken = summary(&described, &log(|_, _| {}));
        let expected: Vec<String> = [("train", 0..280), ("validation", 280..320)]
            .into_iter()
            .map(|(split, rows)| {
                let (wrong, positives) = count(rows);
                format!(
                    "{wrong} of the {positives} positive labels of the task `buy` in the {split} split are on rows where `click`, after \
                     which it comes, is 0: models of chains can't be right there"
                )
            })
            .collect();
        assert_eq!(said(&broken, "impossible_chain"), expected);
    }
}

#[test]
fn a_task_that_is_observed_only_where_the_one_before_it_is_positive_is_said() {
    let selected = [
        PAIR[0],
        (
            "buy",
            "label = \"like\"\nobserved = \"click = 1\"\nafter = \"click\"",
        ),
    ];
    let summary = summary(&with_tasks(&selected), &log(|_, _| {}));
    assert_eq!(
        said(&summary, "chain_of_selected_rows"),
        [
            "no row of the train split where `click` is 0 observes the task `buy`, which comes after it: models of chains learn from all \
             rows, where its label is 0",
            "no row of the validation split where `click` is 0 observes the task `buy`, which comes after it: models of chains learn \
             from all rows, where its label is 0",
        ]
    );
    assert!(kinds(&summary).contains(&("chain_of_selected_rows", true)));
    assert!(said(&summary, "impossible_chain").is_empty());
}

fn with_scenario(column: &str) -> String {
    HEAD.replace(
        "user = \"user\"\n",
        &format!("user = \"user\"\nscenario = \"{column}\"\n"),
    )
}

#[test]
fn a_scenario_is_a_column_that_a_categorical_feature_is_made_from() {
    let of = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    assert_eq!(
        refused_text(&with_scenario("itm")),
        of("there is no column `itm`", "did you mean `item`?")
    );
    assert_eq!(
        refused_text(&with_scenario("day")),
        of(
            "the scenario `day` is no input: no feature is made from it",
            "add day = { kind = \"categorical\" } below [features]"
        )
    );
    assert_eq!(
        refused_text(&with_scenario("x")),
        of(
            "the scenario `x` is no category: the feature `x` of it is of another kind",
            "write x = { kind = \"categorical\" } below [features]"
        )
    );
    let left_out = with_scenario("item").replace(
        "tasks = [\"click\"]",
        "tasks = [\"click\"]\nnot_inputs = [\"item\"]",
    );
    assert_eq!(
        refused_text(&left_out),
        of(
            "protocol `all` leaves out the scenario: `item` is none of its inputs",
            "keep the feature of `item` among its inputs, or take `scenario` out of the description"
        )
    );
}

#[test]
fn scenarios_have_their_texts_and_rows_without_one_that_training_has_are_said() {
    let other = log(|row, fields| {
        // Of the validation rows one in five has another, of the training rows of a day none has any.
        match row {
            280..320 if row % 5 == 0 => fields[2] = "new".to_owned(),
            0..40 => fields[2].clear(),
            _ => {}
        }
    });
    let dataset = shop(&with_scenario("item"), &other);
    let prepared = dataset.open().unwrap();
    assert_eq!(prepared.schema.scenario, Some(0));
    let mut texts = prepared.scenarios.clone();
    texts.sort();
    // Nothing there is a text of its own.
    assert_eq!(texts, ["", "i0", "i1", "i2", "i3", "i4"]);
    for (row, id) in prepared.validation.ids(0).into_iter().enumerate() {
        let text = match id {
            0 => "new",
            id => &prepared.scenarios[id as usize - 1],
        };
        let expected = match row % 5 {
            0 => "new".to_owned(),
            rest => format!("i{rest}"),
        };
        assert_eq!(text, expected);
    }
    let summary = summary_of(&dataset, RowSubset::All);
    assert_eq!(
        said(&summary, "unknown_scenario"),
        [
            "8 of the 40 rows of the validation split have no scenario that training has (`item`): for models all of them are one",
        ]
    );
    assert!(kinds(&summary).contains(&("unknown_scenario", true)));
    let none = shop(
        &with_scenario("item").replace("\"categorical\" }", "\"categorical\", min_count = 999 }"),
        &log(|_, _| {}),
    );
    assert_eq!(
        none.refusal(),
        "/data/shop/log.csv: no training row has a scenario: the feature `item` has no value there that gets an id\nhint: name another \
         column as `scenario`, lower the feature's min_count, or take `scenario` out of the description"
    );
    // Without a scenario nothing is known of one.
    let plain = shop(HEAD, &log(|_, _| {})).open().unwrap();
    assert_eq!((plain.schema.scenario, plain.scenarios.len()), (None, 0));
}

#[test]
fn what_a_description_says_of_chains_and_scenarios_makes_other_data_of_it() {
    let hash = |described: &str| summary(described, &log(|_, _| {})).content_hash;
    let pair = with_tasks(&PAIR);
    let apart = pair.replace("after = \"click\"\n", "");
    assert_ne!(hash(&pair), hash(&apart));
    assert_ne!(hash(&with_scenario("item")), hash(HEAD));
}

const CHAIN: &str = "source = \"click_chain\"\nseed = 1\n[rows]\ntrain = 100\nvalidation = 100\ntest = 100\n[chain]\ninput_dim = 8\n\
    correlation = 0.5\nsignal = 1.0\n[tasks]\nclick = { group = \"a\", rate = 0.5 }\nbuy = { group = \"a\", rate = 0.5 }\n";

#[test]
fn a_chain_of_an_embedded_source_has_two_tasks_their_rates_and_room_for_their_functions() {
    let refused = |from: &str, to: &str| refused_text(&CHAIN.replacen(from, to, 1));
    let found = Description::parse("shop", &Document::new("shop.toml", CHAIN.to_owned())).unwrap();
    assert_eq!(found.protocols[0].tasks[1].after, Some(0));
    let of = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    assert_eq!(
        refused("buy = { group = \"a\", rate = 0.5 }\n", ""),
        of(
            "expected a chain of two tasks or more, found 1",
            "describe them below [tasks], the first one first"
        )
    );
    let rate =
        "it is the share of positive labels among the rows where the task before is positive";
    assert_eq!(
        refused("rate = 0.5", "rate = 1.0"),
        of(
            "`tasks.click.rate`: expected a rate between 0 and 1, found 1",
            rate
        )
    );
    assert_eq!(
        refused("signal = 1.0", "signal = 1.0\nfirst_rate = 0.0"),
        of(
            "`chain.first_rate`: expected a rate between 0 and 1, found 0",
            rate
        )
    );
    assert_eq!(
        refused(
            "buy = { group = \"a\", rate = 0.5",
            "buy = { group = \"a\", rate = -0.5"
        )
        .0,
        "`tasks.buy.rate`: expected a rate between 0 and 1, found -0.5"
    );
    assert_eq!(
        refused("input_dim = 8", "input_dim = 5"),
        of(
            "`chain.input_dim`: expected 6 to 4096 inputs for 2 tasks, found 5",
            "each task needs three directions of the inputs; try 16"
        )
    );
    assert_eq!(
        refused("correlation = 0.5", "correlation = 1.5").0,
        "`chain.correlation`: expected a number from -1 to 1, found 1.5"
    );
}

#[test]
fn scenarios_of_the_feed_are_as_many_as_asked_and_their_knobs_need_them() {
    let feed = |knobs: &str| {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
        let said = Description::load_with(&folder, "feed-small", &knobs.parse().unwrap());
        said.err()
            .map(|said| (said.message, said.hint.unwrap_or_default()))
    };
    assert_eq!(feed("num_scenarios = 4\nscenario_share = 0.5"), None);
    let of = |message: &str, hint: &str| Some((message.to_owned(), hint.to_owned()));
    assert_eq!(
        feed("num_scenarios = 0"),
        of(
            "`feed.num_scenarios`: expected 1 to 64 scenarios, found 0",
            "1 is a feed without scenarios"
        )
    );
    assert_eq!(
        feed("scenario_share = 0.5"),
        of(
            "`feed.scenario_share`: a feed without scenarios has none",
            "leave it out, or set num_scenarios to 2 or more"
        )
    );
    assert_eq!(
        feed("num_scenarios = 3\nscenario_shift = -1.0"),
        of(
            "`feed.scenario_shift`: expected a number from 0 to 20, found -1",
            "leave `scenario_shift` out for 0"
        )
    );
    let many = feed("num_scenarios = 40").unwrap().0;
    assert!(many.contains("groups and 40 scenarios"), "{many}");
}
