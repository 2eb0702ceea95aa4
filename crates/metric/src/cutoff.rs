//! How many of a group's first rows a metric looks at: the k of NDCG@k.

use std::collections::BTreeSet;
use std::sync::Mutex;

/// How many of a group's first rows count; all of them where nothing limits it.
// Without a limit it is the largest number, so that the metric of all rows comes after those of some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cutoff(u32);

impl Cutoff {
    /// Every row of a group counts.
    pub const NONE: Self = Self(u32::MAX);

    /// So many first rows; nothing for 0, of which no metric says anything.
    pub fn first(rows: u32) -> Option<Self> {
        (rows > 0 && rows < u32::MAX).then_some(Self(rows))
    }

    /// The rows that count of a group of `rows`.
    pub(crate) fn of(self, rows: usize) -> usize {
        rows.min(self.0 as usize)
    }

    /// The number of rows, where there is a limit.
    pub(crate) fn limit(self) -> Option<u32> {
        (self != Self::NONE).then_some(self.0)
    }

    /// A metric's name or title with it, such as `ndcg@10`.
    pub(crate) fn after(self, name: &str) -> String {
        match self.limit() {
            Some(rows) => format!("{name}@{rows}"),
            None => name.to_owned(),
        }
    }
}

/// The text, kept as long as the program runs: names of metrics are handed around as if they were written in the program. There are as
/// many as a spec asks for or a table has.
pub(crate) fn interned(text: String) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(|broken| broken.into_inner());
    if let Some(kept) = texts.get(text.as_str()) {
        return kept;
    }
    let kept: &'static str = Box::leak(text.into_boxed_str());
    texts.insert(kept);
    kept
}
