//! Files of a prepared split: Arrow IPC, up to six fixed-size-list columns, read in place through a memory map.
//!
//! `categorical` and `user` hold `UInt32`, `numeric`, `labels` and `weight` hold `Float32`; a row of a column is one run of bytes, so that
//! gathering a row is three copies. `lists` holds lists of `UInt32`, whose offsets are read in place too. Every record batch but the last
//! has [`BLOCK_ROWS`] rows; a column of width 0 is left out.

mod map;
mod watched;
mod write;

pub(super) use map::{Block, Mapped, map, record_batches};
pub(super) use watched::{Link, Watched};
pub(super) use write::{Hashing, PackedWriter, Written};

use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;

/// Rows of a record batch; a power of two, so that a row's batch is a shift.
// All blocks but the last are full, so that a row is found by a shift and a mask, without a table
// of starts.
pub(super) const BLOCK_ROWS: usize = 1 << BLOCK_SHIFT;
/// Logarithm of [`BLOCK_ROWS`].
pub(super) const BLOCK_SHIFT: u32 = 16;

/// Numbers in a row of each column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) categorical: usize,
    pub(super) lists: usize,
    pub(super) numeric: usize,
    pub(super) labels: usize,
    /// 1 where rows belong to users.
    pub(super) user: usize,
    /// 1 where rows have weights.
    pub(super) weight: usize,
}

impl Widths {
    fn schema(self) -> Schema {
        let list = |name: &str, width: usize, item: DataType| {
            let item = Arc::new(Field::new("item", item, false));
            (width > 0)
                .then(|| Field::new(name, DataType::FixedSizeList(item, width as i32), false))
        };
        let fields = [
            list("categorical", self.categorical, DataType::UInt32),
            list("lists", self.lists, DataType::List(list_item())),
            list("numeric", self.numeric, DataType::Float32),
            list("labels", self.labels, DataType::Float32),
            list("user", self.user, DataType::UInt32),
            list("weight", self.weight, DataType::Float32),
        ];
        Schema::new(fields.into_iter().flatten().collect::<Vec<_>>())
    }
}

/// What a list of a multi-valued feature holds.
fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::UInt32, false))
}
