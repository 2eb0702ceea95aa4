//! Validation of descriptions of the embedded generator.

use super::wire::WireFeed;
use super::{Description, Protocol, Source, check_group, check_name, path};
use crate::data::Task;
use crate::data::feed::{FeedConfig, FeedTask};
use crate::diagnostic::{Diagnostic, Document};

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
        ("num_user_segments", feed.num_user_segments),
        ("num_authors", feed.num_authors),
        ("num_categories", feed.num_categories),
    ] {
        if !(2..=10_000_000).contains(&count) {
            let message = format!("expected 2 to 10000000, found {count}");
            return Err(document.at_value(&at(key), message));
        }
    }
    if !(1..=64).contains(&feed.num_factors) {
        let message = format!("expected 1 to 64, found {}", feed.num_factors);
        return Err(document.at_value(&at("num_factors"), message));
    }
    for (key, value, largest) in [
        ("popularity_skew", feed.popularity_skew, 4.0),
        ("group_correlation", feed.group_correlation, 1.0),
        ("task_correlation", feed.task_correlation, 1.0),
        ("nonlinearity", feed.nonlinearity, 1.0),
        ("signal", feed.signal, 20.0),
    ] {
        if !(0.0..=largest).contains(&value) {
            let message = format!("expected a number from 0 to {largest}, found {value}");
            return Err(document.at_value(&at(key), message));
        }
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
        num_user_segments: feed.num_user_segments,
        num_authors: feed.num_authors,
        num_categories: feed.num_categories,
        popularity_skew: feed.popularity_skew,
        num_factors: feed.num_factors,
        group_correlation: feed.group_correlation,
        task_correlation: feed.task_correlation,
        nonlinearity: feed.nonlinearity,
        signal: feed.signal,
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
