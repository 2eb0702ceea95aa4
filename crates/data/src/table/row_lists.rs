//! Lists of different lengths, one after another.

use std::ops::Range;

/// Lists of numbers in one run; the lists of a row are side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RowLists {
    /// Values of all lists.
    pub(super) values: Vec<u32>,
    /// End of each list in `values`; a list starts where the one before ends.
    pub(super) ends: Vec<u32>,
}

impl RowLists {
    /// Ends the list that values were pushed for.
    pub(super) fn end_list(&mut self) {
        let end = u32::try_from(self.values.len()).expect("values of a piece fit in 32 bits");
        self.ends.push(end);
    }

    /// Where list `index` lies in the values.
    pub(super) fn range(ends: &[u32], index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| ends[before]);
        start as usize..ends[index] as usize
    }

    /// The values of list `index`.
    pub(super) fn list(&self, index: usize) -> &[u32] {
        &self.values[Self::range(&self.ends, index)]
    }

    /// The lists of the rows that are kept, `width` lists a row.
    pub(super) fn rows(&self, width: usize, mut is_kept: impl FnMut(usize) -> bool) -> Self {
        let mut kept = Self::default();
        if width == 0 {
            return kept;
        }
        for row in (0..self.ends.len() / width).filter(|row| is_kept(*row)) {
            for index in row * width..(row + 1) * width {
                kept.values.extend_from_slice(self.list(index));
                kept.end_list();
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_rows_keep_their_lists() {
        let lists = RowLists {
            values: vec![1, 2, 3, 4, 5],
            ends: vec![2, 2, 3, 3, 3, 5],
        };
        let kept = lists.rows(2, |row| row != 1);
        assert_eq!(kept.values, [1, 2, 4, 5]);
        assert_eq!(kept.ends, [2, 2, 2, 4]);
        assert_eq!(kept.list(3), [4, 5]);
        assert_eq!(lists.rows(0, |_| true), RowLists::default());
    }
}
