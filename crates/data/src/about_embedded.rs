//! What the datasets that are built in are, for reports.

const SOURCES: [(&str, &str); 3] = [
    (
        "feed",
        "Made-up data built into homebench: users and short videos in contexts, and tasks in two groups (watching, and interacting), for \
         each of which the true probability of every row is known. The regret of an AUC is what that probability would have ranked \
         better on the same rows.",
    ),
    (
        "synthetic",
        "Made-up data built into homebench: a small feed with two dense tasks of watching and two sparse ones of interacting.",
    ),
    (
        "two-task",
        "Made-up data built into homebench: the MMoE paper's pair of regressions, whose weight vectors have a chosen cosine.",
    ),
];

/// What the rows of a built-in dataset are; absent for a name that is none.
pub fn about_embedded(name: &str) -> Option<&'static str> {
    let mut known = SOURCES.into_iter();
    known.find_map(|(known, about)| (known == name).then_some(about))
}
