//! Where the rows of a batch and the elements of its lists are.

use candle_core::{Result, Tensor};
use std::ops::Range;

/// Rows that one task passes over.
const TASK_ROWS: usize = 64;

/// A list of every row, and the target that it attends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementList {
    /// First column of the target in a row.
    pub target: usize,
    /// First column of the list's sum in a row.
    pub columns: usize,
    /// Units of the target, of an element and of the sum.
    pub width: usize,
    /// End of each row's elements among those of all rows, `[rows]`; a row's start where those of the row before end.
    pub ends: Vec<u32>,
}

impl ElementList {
    /// Elements of all rows.
    pub fn num_elements(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// Elements of some rows.
    fn elements(&self, rows: &Range<usize>) -> Range<usize> {
        let end = |rows: usize| match rows {
            0 => 0,
            rows => self.ends[rows - 1] as usize,
        };
        end(rows.start)..end(rows.end)
    }
}

/// The lists of a batch that attend to a target, and how a packed tensor holds them.
///
/// For each set of embedding tables it has the rows [rows, stride] with any numbers where the lists' sums belong, then of list after list
/// its elements [elements, width].
///
/// ```
/// use homebench_kernels::target_attention::{ElementList, ElementLists};
///
/// # fn main() -> candle_core::Result<()> {
/// // Rows of a target of two units, a list's sum and a number. The first row's list has three elements, the second's none.
/// let list = ElementList { target: 0, columns: 2, width: 2, ends: vec![3, 3] };
/// let lists = ElementLists::new(1, 2, 5, vec![list])?;
/// assert_eq!((lists.rows(0), lists.elements(0, 0)), (0..10, 10..16));
/// assert_eq!(lists.packed_len(), 16);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementLists {
    num_sets: usize,
    num_rows: usize,
    stride: usize,
    lists: Vec<ElementList>,
}

impl ElementLists {
    /// Lists of `num_rows` rows that are `stride` columns wide, as `num_sets` sets of tables give them.
    ///
    /// # Errors
    /// No list, ends that are not of these rows or fall, or columns that a row doesn't have or that two things share.
    pub fn new(
        num_sets: usize,
        num_rows: usize,
        stride: usize,
        lists: Vec<ElementList>,
    ) -> Result<Self> {
        if lists.is_empty() {
            candle_core::bail!("attention needs a list");
        }
        for (place, list) in lists.iter().enumerate() {
            if list.ends.len() != num_rows || !list.ends.is_sorted() {
                candle_core::bail!(
                    "list {place} has {} ends, expected rising ones of {num_rows} rows",
                    list.ends.len()
                );
            }
            let meets = |first: usize, second: usize| first.abs_diff(second) < list.width;
            let is_taken = lists[..place]
                .iter()
                .any(|other| meets(other.columns, list.columns));
            if list.width == 0
                || list.target.max(list.columns) + list.width > stride
                || meets(list.target, list.columns)
                || is_taken
            {
                candle_core::bail!(
                    "list {place} of {} units at column {} can't attend to column {} in rows of {stride}",
                    list.width,
                    list.columns,
                    list.target
                );
            }
        }
        Ok(Self {
            num_sets,
            num_rows,
            stride,
            lists,
        })
    }

    /// The lists, in their order.
    pub fn lists(&self) -> &[ElementList] {
        &self.lists
    }

    /// Sets of tables.
    pub fn num_sets(&self) -> usize {
        self.num_sets
    }

    /// Rows of a set.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// Columns of a row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Numbers of a packed tensor.
    pub fn packed_len(&self) -> usize {
        self.num_sets * self.set_len()
    }

    /// Where a packed tensor has the rows of a set.
    pub fn rows(&self, set: usize) -> Range<usize> {
        let start = set * self.set_len();
        start..start + self.num_rows * self.stride
    }

    /// Where a packed tensor has the elements of a list.
    pub fn elements(&self, set: usize, list: usize) -> Range<usize> {
        let before: usize = self.lists[..list].iter().map(numbers).sum();
        let start = self.rows(set).end + before;
        start..start + numbers(&self.lists[list])
    }

    /// Scores that a list has: one for each element, and one of no use where there is none, since products need a row.
    pub fn num_scores(&self, list: usize) -> usize {
        self.lists[list].num_elements().max(1)
    }

    /// Numbers of a set.
    pub(super) fn set_len(&self) -> usize {
        self.num_rows * self.stride + self.lists.iter().map(numbers).sum::<usize>()
    }

    /// Where a tensor of all lists' scores has those of a list.
    pub(super) fn scores(&self, list: usize) -> Range<usize> {
        let start = (0..list).map(|list| self.num_scores(list)).sum();
        start..start + self.num_scores(list)
    }

    /// Rows that one task passes over.
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        crate::rows::pieces(0..self.num_rows, TASK_ROWS).collect()
    }

    /// What a list has in some rows.
    pub(super) fn part<'a>(
        &'a self,
        packed: &'a [f32],
        set: usize,
        list: usize,
        rows: &Range<usize>,
    ) -> Part<'a> {
        let of_list = &self.lists[list];
        let elements = of_list.elements(rows);
        let numbers = elements.start * of_list.width..elements.end * of_list.width;
        Part {
            rows: &packed[self.rows(set)][rows.start * self.stride..rows.end * self.stride],
            elements: &packed[self.elements(set, list)][numbers],
            stride: self.stride,
            list: of_list,
            first: elements.start,
            ends: &of_list.ends[rows.clone()],
        }
    }

    /// Which elements of a list some rows have.
    pub(super) fn elements_of(&self, list: usize, rows: &Range<usize>) -> Range<usize> {
        self.lists[list].elements(rows)
    }

    /// Refuses a tensor that doesn't hold them.
    pub(super) fn check(&self, packed: &Tensor) -> Result<()> {
        match packed.dims() {
            [length] if *length == self.packed_len() => Ok(()),
            dims => candle_core::bail!(
                "expected {} packed numbers, found {dims:?}",
                self.packed_len()
            ),
        }
    }

    /// The rows of a set [rows, stride], and the elements of its lists [elements, width], of a packed tensor on any device.
    pub(super) fn unpacked(&self, packed: &Tensor, set: usize) -> Result<(Tensor, Vec<Tensor>)> {
        let part = |range: Range<usize>, width: usize| {
            let part = packed.narrow(0, range.start, range.len())?;
            part.reshape((range.len() / width, width))
        };
        let lists = self.lists.iter().enumerate();
        let elements = lists.map(|(place, list)| part(self.elements(set, place), list.width));
        let elements = elements.collect::<Result<_>>()?;
        Ok((part(self.rows(set), self.stride)?, elements))
    }

    /// The row of each element of a list, on the device of `like`.
    pub(super) fn row_of_elements(&self, list: usize, like: &Tensor) -> Result<Tensor> {
        let rows = (0..self.num_rows).flat_map(|row| {
            let count = self.lists[list].elements(&(row..row + 1)).len();
            std::iter::repeat_n(row as u32, count)
        });
        let rows: Vec<u32> = rows.collect();
        let count = rows.len();
        Tensor::from_vec(rows, count, like.device())
    }
}

fn numbers(list: &ElementList) -> usize {
    list.num_elements() * list.width
}

/// What a list has in some rows of a batch.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// [rows, stride].
    pub(super) rows: &'a [f32],
    /// [elements of these rows, width].
    pub(super) elements: &'a [f32],
    pub(super) stride: usize,
    pub(super) list: &'a ElementList,
    /// The first of the elements, counted over all rows.
    first: usize,
    ends: &'a [u32],
}

impl Part<'_> {
    /// Elements of each row, counted from the first of these rows.
    #[inline(always)]
    pub(super) fn elements_by_row(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize - self.first;
            std::mem::replace(&mut start, end)..end
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(target: usize, columns: usize, width: usize, ends: &[u32]) -> ElementList {
        ElementList {
            target,
            columns,
            width,
            ends: ends.to_vec(),
        }
    }

    #[test]
    fn sets_follow_each_other_and_in_each_the_rows_then_the_lists() {
        let lists = vec![list(0, 2, 2, &[0, 3]), list(4, 5, 1, &[0, 0])];
        let lists = ElementLists::new(2, 2, 6, lists).unwrap();
        assert_eq!((lists.rows(0), lists.rows(1)), (0..12, 18..30));
        assert_eq!(
            (lists.elements(0, 0), lists.elements(1, 0)),
            (12..18, 30..36)
        );
        assert_eq!((lists.elements(1, 1), lists.packed_len()), (36..36, 36));
        // A list without elements has a score of no use.
        assert_eq!((lists.scores(0), lists.scores(1)), (0..3, 3..4));
    }

    #[test]
    fn ends_and_columns_that_do_not_fit_are_refused() {
        let said = |list: ElementList, more: Option<ElementList>| {
            let lists = [list].into_iter().chain(more).collect();
            let refused = ElementLists::new(1, 2, 6, lists).unwrap_err();
            refused.to_string().lines().next().unwrap().to_owned()
        };
        let good = list(0, 2, 2, &[1, 2]);
        assert!(said(list(0, 2, 2, &[1]), None).starts_with("list 0 has 1 ends, expected"));
        assert!(said(list(0, 2, 2, &[2, 1]), None).starts_with("list 0 has 2 ends, expected"));
        for wrong in [
            list(0, 5, 2, &[1, 2]),
            list(5, 2, 2, &[1, 2]),
            list(1, 2, 2, &[1, 2]),
            list(0, 2, 0, &[1, 2]),
        ] {
            assert!(said(wrong, None).contains("can't attend to"));
        }
        let said = said(good, Some(list(0, 3, 2, &[0, 0])));
        assert!(said.starts_with("list 1 of 2 units at column 3"), "{said}");
    }
}
