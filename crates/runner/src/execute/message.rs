//! What a cell's process says to its parent: a line each on its stdout.

use homebench_train::Progress;
use std::fmt;

/// A line from a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// How far training is.
    Progress(Progress),
    /// How far preparing the data is.
    Stage {
        /// What is done.
        name: String,
        /// How much of it is done.
        done: u64,
        /// How much there is.
        total: u64,
    },
    /// Something a user should read.
    Notice(String),
    /// Why the cell ends without scores.
    Failed(String),
}

impl Message {
    /// The message of a line; absent for a line that is none.
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "progress" => progress(rest).map(Self::Progress),
            "stage" => {
                let mut words = rest.splitn(3, ' ');
                let done = words.next()?.parse().ok()?;
                let total = words.next()?.parse().ok()?;
                let name = words.next()?.to_owned();
                Some(Self::Stage { name, done, total })
            }
            "notice" => Some(Self::Notice(unescape(rest))),
            "failed" => Some(Self::Failed(unescape(rest))),
            _ => None,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(progress) => write!(
                formatter,
                "progress {} {} {} {} {} {} {}",
                progress.epoch,
                progress.max_epochs,
                progress.rows_done,
                progress.rows_total,
                progress.rows_per_second,
                progress.loss,
                progress.best_validation_score.unwrap_or(f64::NAN),
            ),
            Self::Stage { name, done, total } => {
                write!(formatter, "stage {done} {total} {}", escape(name))
            }
            Self::Notice(text) => write!(formatter, "notice {}", escape(text)),
            Self::Failed(text) => write!(formatter, "failed {}", escape(text)),
        }
    }
}

fn progress(rest: &str) -> Option<Progress> {
    let words: Vec<&str> = rest.split(' ').collect();
    let [epoch, max_epochs, rows_done, rows_total, rate, loss, best] = words[..] else {
        return None;
    };
    let best: f64 = best.parse().ok()?;
    Some(Progress {
        epoch: epoch.parse().ok()?,
        max_epochs: max_epochs.parse().ok()?,
        rows_done: rows_done.parse().ok()?,
        rows_total: rows_total.parse().ok()?,
        rows_per_second: rate.parse().ok()?,
        loss: loss.parse().ok()?,
        best_validation_score: (!best.is_nan()).then_some(best),
    })
}

/// A text on one line.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_from_its_line() {
        let messages = [
            Message::Progress(Progress {
                epoch: 2,
                max_epochs: 10,
                rows_done: 512,
                rows_total: 4096,
                rows_per_second: 1234.5,
                loss: 0.25,
                best_validation_score: None,
            }),
            Message::Stage {
                name: "reading the rows".into(),
                done: 3,
                total: 9,
            },
            Message::Notice("two\nlines".into()),
            Message::Failed("a \\n that is none, and\none that is".into()),
        ];
        for message in messages {
            let line = message.to_string();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Message::parse(&line), Some(message));
        }
        assert_eq!(Message::parse("progress 1 2"), None);
        assert_eq!(Message::parse("hello"), None);
    }
}
