//! Validation of descriptions of the short-video feed.

use super::check_generated::{Tasks, check_named_tasks, described, num_tasks, rows};
use super::wire::{WireFeed, WireFeedShape};
use super::{Description, path};
use crate::TaskKind;
use crate::feed::{FeedConfig, FeedScenarios, FeedTask, num_factors_of_rows};
use crate::generated::Generated;
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use std::collections::BTreeSet;

/// The table of the knobs.
pub(super) const KNOBS: &str = "feed";

/// The one protocol of a feed.
const PROTOCOL: &str = "feed";

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireFeed,
) -> Result<Description, Diagnostic> {
    let (tasks, feed_tasks) = tasks(document, &wire)?;
    let feed = &wire.feed;
    check_counts(document, feed)?;
    check_factors(
        document,
        &knob("num_factors"),
        feed.num_factors,
        (tasks.tasks.len(), tasks.groups.len()),
        feed.num_scenarios.filter(|count| *count > 1).unwrap_or(0) as usize,
    )?;
    check_shares(document, feed)?;
    let scenarios = scenarios(document, feed)?;
    check_correlations(document, feed, &feed_tasks)?;
    let config = FeedConfig {
        seed: wire.seed,
        rows: rows(document, &wire.rows)?,
        num_users: feed.num_users,
        num_user_segments: feed.num_user_segments,
        num_videos: feed.num_videos,
        num_authors: feed.num_authors,
        num_categories: feed.num_categories,
        popularity_skew: feed.popularity_skew,
        activity_skew: feed.activity_skew,
        num_factors: feed.num_factors,
        between_correlation: feed.between_correlation,
        within_correlation: feed.within_correlation,
        conflict: feed.conflict,
        nonlinearity: feed.nonlinearity,
        signal: feed.signal,
        noise: feed.noise,
        tasks: feed_tasks,
        scenarios,
    };
    let source = Generated::Feed(config);
    Ok(described(
        name,
        wire.about.as_deref(),
        PROTOCOL,
        tasks,
        source,
    ))
}

/// The path of a knob.
fn knob(key: &str) -> KeyPath {
    path(&[KNOBS, key])
}

fn check_counts(document: &Document, feed: &WireFeedShape) -> Result<(), Diagnostic> {
    for (key, count) in [
        ("num_users", feed.num_users),
        ("num_user_segments", feed.num_user_segments),
        ("num_videos", feed.num_videos),
        ("num_authors", feed.num_authors),
        ("num_categories", feed.num_categories),
    ] {
        if !(2..=LARGEST_COUNT).contains(&count) {
            let message = format!("expected 2 to {LARGEST_COUNT}, found {count}");
            return Err(document.at_value(&knob(key), message));
        }
    }
    Ok(())
}

fn check_shares(document: &Document, feed: &WireFeedShape) -> Result<(), Diagnostic> {
    for (key, value, largest) in [
        ("popularity_skew", feed.popularity_skew, 4.0),
        ("activity_skew", feed.activity_skew, 4.0),
        ("between_correlation", feed.between_correlation, 1.0),
        ("within_correlation", feed.within_correlation, 1.0),
        ("conflict", feed.conflict, 1.0),
        ("nonlinearity", feed.nonlinearity, 1.0),
        ("signal", feed.signal, 20.0),
        ("noise", feed.noise, 1.0),
    ] {
        if !(0.0..=largest).contains(&value) {
            let message = format!("expected a number from 0 to {largest}, found {value}");
            return Err(document.at_value(&knob(key), message));
        }
    }
    Ok(())
}

fn check_correlations(
    document: &Document,
    feed: &WireFeedShape,
    tasks: &[FeedTask],
) -> Result<(), Diagnostic> {
    // A group's own part weighs sqrt(within - between) in its tasks' logits.
    if feed.within_correlation < feed.between_correlation {
        let (within, between) = (feed.within_correlation, feed.between_correlation);
        let message = format!(
            "tasks of one group can't agree less ({within}) than tasks of different groups ({between})"
        );
        return Err(document.at_value(&knob("within_correlation"), message).hint(
            "raise within_correlation to between_correlation at least; to set groups against each other, raise conflict",
        ));
    }
    if feed.conflict > 0.0 {
        check_conflict(document, tasks)?;
    }
    Ok(())
}

/// A conflict is between groups, and an unrelated task has no part in what its group has to do with others.
fn check_conflict(document: &Document, tasks: &[FeedTask]) -> Result<(), Diagnostic> {
    let num_groups = |is_counted: &dyn Fn(&&FeedTask) -> bool| {
        let counted = tasks.iter().filter(is_counted);
        counted
            .map(|task| task.group)
            .collect::<BTreeSet<_>>()
            .len()
    };
    if num_groups(&|_| true) < 2 {
        let message = "one task group has no other to be in conflict with";
        return Err(document
            .at_value(&knob("conflict"), message)
            .hint("set conflict = 0, or put some tasks into a second group"));
    }
    if num_groups(&|task| !task.is_unrelated) < 2 {
        let at = knob("num_unrelated");
        let message =
            format!("`{at}`: no two groups with related tasks are left to be in conflict");
        return Err(document
            .at_value(&at, message)
            .hint("lower it, or set conflict = 0"));
    }
    Ok(())
}

/// Most users, videos and so on: their factors are in memory.
const LARGEST_COUNT: u32 = 4_000_000;

/// The truth has a part for all tasks, one for each group and one for each task, which must not depend on each other.
fn check_factors(
    document: &Document,
    at: &KeyPath,
    num_factors: usize,
    (num_tasks, num_groups): (usize, usize),
    num_scenarios: usize,
) -> Result<(), Diagnostic> {
    // The feed makes its parts uncorrelated one after another, which needs more factors than there
    // are parts.
    let needed = 1 + num_tasks + num_groups + num_scenarios;
    let fewest = (1..=64).find(|factors| num_factors_of_rows(*factors) > needed);
    let Some(fewest) = fewest else {
        let more = in_scenarios(num_scenarios);
        let message =
            format!("{num_tasks} tasks in {num_groups} groups{more} are too many for a feed");
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("leave some out"));
    };
    if (fewest..=64).contains(&num_factors) {
        return Ok(());
    }
    let more = in_scenarios(num_scenarios);
    let message = format!(
        "expected {fewest} to 64 factors for {num_tasks} tasks in {num_groups} groups{more}, found {num_factors}"
    );
    Err(document.at_value(at, message))
}

fn in_scenarios(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!(" and {count} scenarios"),
    }
}

/// Most scenarios: each has a function of its own, and rows enough to be scored by itself.
const MOST_SCENARIOS: u32 = 64;

/// Scenarios, and that what is set of them is used.
fn scenarios(document: &Document, feed: &WireFeedShape) -> Result<FeedScenarios, Diagnostic> {
    let count = feed.num_scenarios.unwrap_or(1);
    if !(1..=MOST_SCENARIOS).contains(&count) {
        let at = knob("num_scenarios");
        let message = format!("`{at}`: expected 1 to {MOST_SCENARIOS} scenarios, found {count}");
        return Err(document
            .at_value(&at, message)
            .hint("1 is a feed without scenarios"));
    }
    for (key, value, largest) in [
        ("scenario_skew", feed.scenario_skew, 4.0),
        ("scenario_share", feed.scenario_share, 1.0),
        ("scenario_shift", feed.scenario_shift, 20.0),
    ] {
        let Some(value) = value else { continue };
        let at = knob(key);
        if !(0.0..=largest).contains(&value) {
            let message = format!("`{at}`: expected a number from 0 to {largest}, found {value}");
            return Err(document
                .at_value(&at, message)
                .hint(format!("leave `{key}` out for 0")));
        }
        if count == 1 {
            let message = format!("`{at}`: a feed without scenarios has none");
            return Err(document
                .at_key(&at, message)
                .hint("leave it out, or set num_scenarios to 2 or more"));
        }
    }
    Ok(FeedScenarios {
        count,
        skew: feed.scenario_skew.unwrap_or(0.0),
        share: feed.scenario_share.unwrap_or(0.0),
        shift: feed.scenario_shift.unwrap_or(0.0),
    })
}

fn tasks(document: &Document, wire: &WireFeed) -> Result<(Tasks, Vec<FeedTask>), Diagnostic> {
    let feed = &wire.feed;
    let mut names = document.keys_in_order(&path(&["tasks"]));
    names.truncate(num_tasks(
        document,
        &knob("num_tasks"),
        feed.num_tasks,
        (1, names.len()),
    )?);
    check_named_tasks(
        document,
        &knob("observed_share"),
        &feed.observed_share,
        &names,
    )?;
    let first_unrelated = first_unrelated(document, feed.num_unrelated, names.len())?;
    let (mut tasks, mut feed_tasks) = (Tasks::default(), Vec::new());
    for (place, name) in names.into_iter().enumerate() {
        let task = &wire.tasks[&name];
        let group = tasks.add(document, &name, &task.group, TaskKind::Classification)?;
        if !(task.rate > 0.0 && task.rate < 1.0) {
            let message = format!("expected a rate between 0 and 1, found {}", task.rate);
            let at = path(&["tasks", &name, "rate"]);
            return Err(document.at_value(&at, message));
        }
        feed_tasks.push(FeedTask {
            observed_share: observed_share(document, feed, &name)?,
            is_unrelated: place >= first_unrelated,
            ..FeedTask::new(name, group, task.rate)
        });
    }
    Ok((tasks, feed_tasks))
}

/// Where the last `num_unrelated` tasks begin.
fn first_unrelated(
    document: &Document,
    num_unrelated: usize,
    num_tasks: usize,
) -> Result<usize, Diagnostic> {
    num_tasks.checked_sub(num_unrelated).ok_or_else(|| {
        let at = knob("num_unrelated");
        let message = format!("`{at}`: expected 0 to {num_tasks} tasks, found {num_unrelated}");
        document
            .at_value(&at, message)
            .hint("the last so many tasks are made unrelated; describe more below [tasks]")
    })
}

/// Share of the rows on which a task is observed.
fn observed_share(
    document: &Document,
    feed: &WireFeedShape,
    task: &str,
) -> Result<f64, Diagnostic> {
    let share = feed.observed_share.get(task).copied().unwrap_or(1.0);
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    let at = knob("observed_share").join(task);
    let message = format!("`{at}`: expected a share above 0 and up to 1, found {share}");
    Err(document.at_value(&at, message).hint(
        "write 1 where every row is observed; to leave a task out, take it out of [tasks] or give it the weight 0 in training",
    ))
}
