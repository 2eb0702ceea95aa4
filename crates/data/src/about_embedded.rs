//! What the datasets that are built in are, for reports.

const SOURCES: [(&str, &str); 8] = [
    (
        "feed",
        "Made-up data built into homebench: users and short videos in contexts, and tasks in two groups (watching, and interacting), for \
         each of which the true probability of every row is known. The regret of an AUC is what that probability would have ranked \
         better on the same rows.",
    ),
    (
        "feed-extra",
        "Made-up data built into homebench: the feed with eight tasks more, which are related to the others of their group, or to none.",
    ),
    (
        "feed-small",
        "Made-up data built into homebench: the feed with fewer users and videos, and tasks of rates from .1 to .5.",
    ),
    (
        "synthetic",
        "Made-up data built into homebench: a small feed with two dense tasks of watching and two sparse ones of interacting.",
    ),
    (
        "two-task",
        "Made-up data built into homebench: the MMoE paper's pair of regressions, whose weight vectors have a chosen cosine.",
    ),
    (
        "task-arc",
        "Made-up data built into homebench: eight regressions along an arc, of which neighbours agree and the ends contradict each other.",
    ),
    (
        "click-chain",
        "Made-up data built into homebench: clicks, and purchases that only rows with a click can have, moved by something that no input \
         tells.",
    ),
    (
        "task-depths",
        "Made-up data built into homebench: six regressions, two of each depth, where a deeper one needs features that more layers make.",
    ),
];

/// What the rows of a built-in dataset are; absent for a name that is none.
pub fn about_embedded(name: &str) -> Option<&'static str> {
    let mut known = SOURCES.into_iter();
    known.find_map(|(known, about)| (known == name).then_some(about))
}
