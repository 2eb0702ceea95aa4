//! Logits of every task, gathered block after block and taken task after task; in files where they would fill memory.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};

/// More bytes than this of all tasks together go to files.
// 67 million logits. Metrics need all rows of a task at once, but one task at a time: beyond this
// the tasks that wait their turn do so on disk.
const MEMORY_BYTES: usize = 256 << 20;

/// One column of numbers a task.
pub(super) struct LogitSpill {
    num_rows: usize,
    columns: Vec<LogitColumn>,
}

enum LogitColumn {
    Memory(Vec<f32>),
    File(BufWriter<File>),
    /// Made when its first numbers come.
    NewFile,
}

impl LogitSpill {
    /// Room for `num_rows` numbers of each of `num_tasks` tasks.
    pub(super) fn new(num_rows: usize, num_tasks: usize) -> Self {
        Self::within(num_rows, num_tasks, MEMORY_BYTES)
    }

    fn within(num_rows: usize, num_tasks: usize, memory_bytes: usize) -> Self {
        let is_large = num_rows * num_tasks * size_of::<f32>() > memory_bytes;
        let column = |_| match is_large {
            true => LogitColumn::NewFile,
            false => LogitColumn::Memory(Vec::with_capacity(num_rows)),
        };
        Self {
            num_rows,
            columns: (0..num_tasks).map(column).collect(),
        }
    }

    /// Appends rows, row-major [rows, tasks].
    ///
    /// # Errors
    /// A temporary file that can't be written.
    pub(super) fn append(&mut self, rows: &[f32]) -> std::io::Result<()> {
        let num_tasks = self.columns.len();
        for (task, column) in self.columns.iter_mut().enumerate() {
            let values = rows.iter().skip(task).step_by(num_tasks).copied();
            if let LogitColumn::NewFile = column {
                *column =
                    // Without a name, so that a killed cell leaves no file.
                    LogitColumn::File(BufWriter::with_capacity(1 << 18, tempfile::tempfile()?));
            }
            match column {
                LogitColumn::Memory(numbers) => numbers.extend(values),
                LogitColumn::File(file) => {
                    for value in values {
                        // In this machine's byte order, since nobody else reads the file.
                        file.write_all(&value.to_ne_bytes())?;
                    }
                }
                LogitColumn::NewFile => unreachable!("it was made above"),
            }
        }
        Ok(())
    }

    /// The numbers of a task, which are gone after that.
    ///
    /// # Errors
    /// A temporary file that can't be written or read.
    pub(super) fn take(&mut self, task: usize) -> std::io::Result<Vec<f32>> {
        match std::mem::replace(&mut self.columns[task], LogitColumn::NewFile) {
            LogitColumn::Memory(numbers) => Ok(numbers),
            LogitColumn::NewFile => Ok(Vec::new()),
            LogitColumn::File(file) => {
                let mut file = file.into_inner().map_err(|error| error.into_error())?;
                file.rewind()?;
                let mut numbers = Vec::with_capacity(self.num_rows);
                let mut buffer = vec![0; 1 << 18];
                let mut filled = 0;
                loop {
                    let read = file.read(&mut buffer[filled..])?;
                    filled += read;
                    let (whole, rest) = buffer[..filled].as_chunks::<4>();
                    numbers.extend(whole.iter().map(|bytes| f32::from_ne_bytes(*bytes)));
                    let (start, left) = (whole.len() * 4, rest.len());
                    buffer.copy_within(start..start + left, 0);
                    filled = left;
                    if read == 0 {
                        return Ok(numbers);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_by_task_from_memory_and_from_files() {
        let rows: Vec<f32> = (0..300_000).map(|number| number as f32 * 0.5).collect();
        for memory_bytes in [0, usize::MAX] {
            let mut columns = LogitSpill::within(100_000, 3, memory_bytes);
            for block in rows.chunks(3 * 4096) {
                columns.append(block).unwrap();
            }
            for task in [2, 0, 1] {
                let expected: Vec<f32> = rows.iter().skip(task).step_by(3).copied().collect();
                assert_eq!(columns.take(task).unwrap(), expected);
            }
        }
    }
}
