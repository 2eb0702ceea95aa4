//! What the process of a cell and whoever started it say to each other: a word on stdin, lines of JSON on stdout, an exit
//! code. Both sides import this file and not each other.

use homebench_train::Progress;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The line on a cell's stdin that asks it to write a checkpoint and to end. SIGTERM asks for the same.
pub(crate) const STOP: &str = "stop";

/// Exit code of a cell for a failure that training itself found.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Exit code of a cell for trouble that is not its own: data that can't be read, output that can't be written.
pub(crate) const EXIT_ENVIRONMENT: u8 = 2;
/// Exit code of a cell that was asked to end.
// Nothing else here ends with it: a panic gives 101, a shell that can't start a program 126 or 127.
pub(crate) const EXIT_STOPPED: u8 = 3;

/// A line from a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// JSON, because it escapes newlines by itself and another program can read a log of it.
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// How far training is.
    Progress(#[serde(with = "WrittenProgress")] Progress),
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
    /// The message of a line; absent for a line that is none, such as what a library prints.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The message as one line, without its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a message is plain JSON")
    }
}

/// The fields of [`Progress`], as they are written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Progress")]
struct WrittenProgress {
    epoch: usize,
    max_epochs: usize,
    rows_done: usize,
    rows_total: usize,
    #[serde(with = "number")]
    rows_per_second: f64,
    #[serde(with = "number")]
    loss: f64,
    #[serde(with = "optional_number")]
    best_validation_score: Option<f64>,
}

/// JSON has no NaN and no infinity, and a loss that became one is what a user has to see: those are written as text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl Number {
    fn new(value: f64) -> Self {
        match value.is_finite() {
            true => Self::Finite(value),
            false => Self::Other(value.to_string()),
        }
    }

    fn value<E: de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(value) => Ok(value),
            Self::Other(text) => text.parse().map_err(E::custom),
        }
    }
}

mod number {
    use super::*;

    pub(super) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        Number::new(*value).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        Number::deserialize(input)?.value()
    }
}

mod optional_number {
    use super::*;

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
        value.map(Number::new).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<f64>, D::Error> {
        let number = Option::<Number>::deserialize(input)?;
        number.map(Number::value).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(loss: f64, best: Option<f64>) -> Message {
        Message::Progress(Progress {
            epoch: 2,
            max_epochs: 10,
            rows_done: 512,
            rows_total: 4096,
            rows_per_second: 1234.5,
            loss,
            best_validation_score: best,
        })
    }

    #[test]
    fn every_message_comes_back_from_its_line() {
        let messages = [
            progress(0.25, None),
            progress(f64::INFINITY, Some(-0.5)),
            progress(3.0, Some(f64::NEG_INFINITY)),
            Message::Stage {
                name: "reading the rows".into(),
                done: 3,
                total: 9,
            },
            Message::Notice("two\nlines".into()),
            Message::Failed("a \\n that is none, a \"quote\", and\none that is".into()),
        ];
        for message in messages {
            let line = message.to_line();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Message::parse(&line), Some(message));
        }
    }

    #[test]
    fn a_loss_and_a_score_that_are_no_numbers_survive() {
        let line = progress(f64::NAN, Some(f64::NAN)).to_line();
        let Some(Message::Progress(found)) = Message::parse(&line) else {
            panic!("{line}");
        };
        assert!(found.loss.is_nan());
        assert!(found.best_validation_score.is_some_and(f64::is_nan));
    }

    #[test]
    fn a_line_that_is_no_message_is_none() {
        let lines = [
            "hello",
            "",
            "3",
            "{}",
            "{\"progress\":{\"epoch\":1}}",
            "{\"stage\":3}",
        ];
        assert!(lines.iter().all(|line| Message::parse(line).is_none()));
    }
}
