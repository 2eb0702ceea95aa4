//! Validation of descriptions of the embedded generator.

use super::wire::WireFeed;
use super::{Description, Protocol, Source, check_group, check_name, path};
use crate::data::Task;
use crate::data::feed::{FeedConfig, FeedTask, num_factors_of_rows};
use crate::diagnostic::{Diagnostic, Document, KeyPath};

/// The one protocol of a generated dataset.
const PROTOCOL: &str = "feed";

pub(super) fn validate(
    name: &str,
    document: &Document,
    wire: WireFeed,
) -> Result<Description, Diagnostic> {
    let (tasks, groups, feed_tasks) = tasks(document, &wire)?;
    let feed = &wire.feed;
    let at = |key: &str| path(&["feed", key]);
    for (key, count) in [
        ("num_users", feed.num_users),
        ("num_user_segments", feed.num_user_segments),
        ("num_videos", feed.num_videos),
        ("num_authors", feed.num_authors),
        ("num_categories", feed.num_categories),
    ] {
        if !(2..=LARGEST_COUNT).contains(&count) {
            let message = format!("expected 2 to {LARGEST_COUNT}, found {count}");
            return Err(document.at_value(&at(key), message));
        }
    }
    check_factors(
        document,
        &at("num_factors"),
        feed.num_factors,
        tasks.len(),
        groups.len(),
    )?;
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
            return Err(document.at_value(&at(key), message));
        }
    }
    if feed.within_correlation < feed.between_correlation {
        let (within, between) = (feed.within_correlation, feed.between_correlation);
        let message = format!(
            "tasks of one group can't agree less ({within}) than tasks of different groups ({between})"
        );
        return Err(document.at_value(&at("within_correlation"), message).hint(
            "raise within_correlation to between_correlation at least; to set groups against each other, raise conflict",
        ));
    }
    if feed.conflict > 0.0 && groups.len() < 2 {
        let message = "one task group has no other to be in conflict with";
        return Err(document
            .at_value(&at("conflict"), message)
            .hint("set conflict = 0, or put some tasks into a second group"));
    }
    let rows = [wire.rows.train, wire.rows.validation, wire.rows.test];
    for (key, count) in ["train", "validation", "test"].into_iter().zip(rows) {
        if !(1..=u64::from(u32::MAX)).contains(&count) {
            let message = format!("expected 1 to {} rows, found {count}", u32::MAX);
            return Err(document.at_value(&path(&["rows", key]), message));
        }
    }
    let config = FeedConfig {
        seed: wire.seed,
        rows,
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
    };
    let about = wire.about.unwrap_or_default().trim().to_owned();
    Ok(Description {
        name: name.to_owned(),
        about: about.clone(),
        default_protocol: PROTOCOL.to_owned(),
        protocols: vec![Protocol {
            name: PROTOCOL.to_owned(),
            about,
            tasks,
            groups,
            source: Source::Feed(config),
        }],
        files: Vec::new(),
        fetch: None,
    })
}

/// Most users, videos and so on: their factors are in memory.
const LARGEST_COUNT: u32 = 4_000_000;

/// The truth has a part for all tasks, one for each group and one for each task, which must not depend on each other.
fn check_factors(
    document: &Document,
    at: &KeyPath,
    num_factors: usize,
    num_tasks: usize,
    num_groups: usize,
) -> Result<(), Diagnostic> {
    let needed = 1 + num_tasks + num_groups;
    let fewest = (1..=64).find(|factors| num_factors_of_rows(*factors) > needed);
    let Some(fewest) = fewest else {
        let message = format!("{num_tasks} tasks in {num_groups} groups are too many for a feed");
        return Err(document
            .at_key(&path(&["tasks"]), message)
            .hint("leave some out"));
    };
    if (fewest..=64).contains(&num_factors) {
        return Ok(());
    }
    let message = format!(
        "expected {fewest} to 64 factors for {num_tasks} tasks in {num_groups} groups, found {num_factors}"
    );
    Err(document.at_value(at, message))
}

type Tasks = (Vec<Task>, Vec<String>, Vec<FeedTask>);

fn tasks(document: &Document, wire: &WireFeed) -> Result<Tasks, Diagnostic> {
    let (mut tasks, mut groups, mut feed_tasks) = (Vec::new(), Vec::<String>::new(), Vec::new());
    for name in document.keys_in_order(&path(&["tasks"])) {
        let at = path(&["tasks", &name]);
        let task = &wire.tasks[&name];
        check_name(document, &at, "task", &name)?;
        check_group(document, &at.join("group"), &task.group)?;
        if !(task.rate > 0.0 && task.rate < 1.0) {
            let message = format!("expected a rate between 0 and 1, found {}", task.rate);
            return Err(document.at_value(&at.join("rate"), message));
        }
        let position = groups.iter().position(|group| *group == task.group);
        let group = position.unwrap_or(groups.len());
        if position.is_none() {
            groups.push(task.group.clone());
        }
        feed_tasks.push(FeedTask {
            name: name.clone(),
            group,
            rate: task.rate,
        });
        tasks.push(Task { name, group });
    }
    if tasks.is_empty() {
        return Err(document.at_key(&path(&["tasks"]), "expected at least one task"));
    }
    Ok((tasks, groups, feed_tasks))
}
