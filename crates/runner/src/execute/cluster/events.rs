//! What a task says of itself and its cells: lines of JSON in a file that it alone appends to, and that anybody reads.

use crate::execute::protocol::Message;
use homebench_diagnostic::regular_file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The most that is read of a file at once: a parent that adopts a long task takes it in in pieces.
const MOST_BYTES: u64 = 8 << 20;

/// A line of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskEvent {
    /// It begins, here.
    Start(Box<TaskStart>),
    /// It is still there.
    Beat,
    /// A cell began.
    Began(String),
    /// A cell said something.
    Said {
        /// Its id.
        cell: String,
        /// What it said.
        message: Message,
    },
    /// A cell's process broke, and it is started again.
    Again {
        /// Its id.
        cell: String,
        /// Why it broke.
        reason: String,
        /// The number of the start to come.
        next: usize,
        /// The most starts.
        most: usize,
    },
    /// A cell ended: its outcome is in its folder.
    Ended(String),
    /// The task does not run here, and says why: another node may do.
    Refused(String),
    /// What would end every other cell here as well.
    Broken(String),
    /// Nothing more comes.
    Over,
}

/// Where a task runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskStart {
    /// Tells this start of the task from any other.
    pub(crate) start: String,
    /// The node.
    pub(crate) host: String,
    /// The number of its process there.
    pub(crate) process: u32,
    /// The batch system's name for it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// The processor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_model: Option<String>,
    /// The instruction set that its kernels use.
    pub(crate) instructions: String,
    /// Threads that run at once.
    pub(crate) cores: usize,
    /// Memory of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// Graphics processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gpus: Vec<String>,
}

/// A task's own file.
#[derive(Debug)]
pub(crate) struct EventWriter(File);

impl EventWriter {
    /// Opens the file to append to, or makes it.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let opened = regular_file::unlinked()
            .create(true)
            .append(true)
            .open(path)?;
        let mut file = regular_file::regular(opened)?;
        // What an earlier start left half said is a line of its own, which means nothing.
        if file.metadata()?.len() > 0 {
            file.write_all(b"\n")?;
        }
        Ok(Self(file))
    }

    /// Says something.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn say(&mut self, event: &TaskEvent) -> io::Result<()> {
        let mut line = serde_json::to_string(event).expect("an event is plain JSON");
        line.push('\n');
        // In one piece, so that a kill leaves whole lines but for the last.
        self.0.write_all(line.as_bytes())
    }
}

/// Reads a task's file as it grows.
#[derive(Debug)]
pub(crate) struct EventReader {
    path: PathBuf,
    offset: u64,
    /// A line that is not at its end yet.
    rest: Vec<u8>,
}

impl EventReader {
    /// From the beginning.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            rest: Vec::new(),
        }
    }

    /// What was said since the last look; nothing where there is no file yet, which may also be a network's delay.
    pub(crate) fn news(&mut self) -> Vec<TaskEvent> {
        // A disk that doesn't answer now may do at the next look.
        let text = self.new_bytes().unwrap_or_default();
        let mut found = Vec::new();
        for byte in text {
            match byte {
                b'\n' => {
                    // A line that is none, of a start that was killed in it, says nothing.
                    found.extend(serde_json::from_slice(&self.rest).ok());
                    self.rest.clear();
                }
                byte => self.rest.push(byte),
            }
        }
        found
    }

    /// All that is there, however much it is, since the last look.
    pub(crate) fn all_news(&mut self) -> Vec<TaskEvent> {
        let mut all = Vec::new();
        loop {
            let offset = self.offset;
            all.extend(self.news());
            if self.offset == offset {
                return all;
            }
        }
    }

    fn new_bytes(&mut self) -> io::Result<Vec<u8>> {
        // Opened anew: a network file system shows what others wrote to whoever opens, and may not to who asks for a length.
        let mut file = match regular_file::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// When something was last said, by the clock of whoever keeps the file.
    pub(crate) fn last_change(&self) -> Option<SystemTime> {
        let file = regular_file::open(&self.path).ok()?;
        file.metadata().ok()?.modified().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> TaskEvent {
        TaskEvent::Start(Box::new(TaskStart {
            start: "ab".into(),
            host: "n17".into(),
            process: 7,
            job: Some("12_3".into()),
            cpu_model: None,
            instructions: "avx2".into(),
            cores: 4,
            memory_bytes: Some(1 << 30),
            gpus: Vec::new(),
        }))
    }

    #[test]
    fn what_a_task_says_is_read_once_and_as_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.events");
        let mut reader = EventReader::new(path.clone());
        assert!(reader.news().is_empty());
        let first = [
            start(),
            TaskEvent::Began("aa".into()),
            TaskEvent::Said {
                cell: "aa".into(),
                message: Message::Notice("two\nlines".into()),
            },
        ];
        let mut writer = EventWriter::open(&path).unwrap();
        first.iter().for_each(|event| writer.say(event).unwrap());
        assert_eq!(reader.news(), first);
        assert!(reader.news().is_empty());
        // A start that is killed in the middle of a line, and the next.
        writer.0.write_all(b"{\"ended\":\"a").unwrap();
        assert!(reader.news().is_empty());
        let mut next = EventWriter::open(&path).unwrap();
        let second = [
            start(),
            TaskEvent::Again {
                cell: "aa".into(),
                reason: "why".into(),
                next: 2,
                most: 3,
            },
            TaskEvent::Ended("aa".into()),
            TaskEvent::Beat,
            TaskEvent::Refused("no".into()),
            TaskEvent::Broken("no".into()),
            TaskEvent::Over,
        ];
        second.iter().for_each(|event| next.say(event).unwrap());
        assert_eq!(reader.news(), second);
        // Whoever comes later reads all of it.
        assert_eq!(
            EventReader::new(path).news().len(),
            first.len() + second.len()
        );
    }
}
