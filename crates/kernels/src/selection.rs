//! Which rows each of several stacked networks runs.

use std::ops::Range;

/// No place: the row did not choose the expert.
const ABSENT: u32 = u32::MAX;

/// For each expert, the rows that chose it in ascending order; for each row and expert, where that row is among them.
#[derive(Debug, Clone)]
pub(crate) struct RowSelection {
    /// Expert after expert.
    rows: Vec<u32>,
    /// Where each expert's rows begin, and the end.
    starts: Vec<usize>,
    /// [rows, experts]: the place in `rows`, or [`ABSENT`].
    places: Vec<u32>,
    num_experts: usize,
}

impl RowSelection {
    /// From flags, [rows, experts].
    pub(crate) fn new(is_chosen: &[bool], num_experts: usize) -> Self {
        let mut counts = vec![0usize; num_experts];
        for row in is_chosen.chunks_exact(num_experts) {
            for (count, is_chosen) in counts.iter_mut().zip(row) {
                *count += usize::from(*is_chosen);
            }
        }
        let mut starts = Vec::with_capacity(num_experts + 1);
        let mut next = 0;
        for count in counts {
            starts.push(next);
            next += count;
        }
        starts.push(next);
        // Row numbers are 32 bits wide: half the memory of the places, and no batch has more rows.
        assert!(is_chosen.len() < ABSENT as usize, "a batch of fewer rows");
        let mut rows = vec![0u32; next];
        let mut places = vec![ABSENT; is_chosen.len()];
        let mut ends = starts.clone();
        let flags = is_chosen.chunks_exact(num_experts).enumerate();
        for ((row, flags), places) in flags.zip(places.chunks_exact_mut(num_experts)) {
            let chosen = (0..num_experts).filter(|expert| flags[*expert]);
            for expert in chosen {
                rows[ends[expert]] = row as u32;
                places[expert] = ends[expert] as u32;
                ends[expert] += 1;
            }
        }
        Self {
            rows,
            starts,
            places,
            num_experts,
        }
    }

    /// The rows of an expert, ascending.
    pub(crate) fn rows(&self, expert: usize) -> &[u32] {
        &self.rows[self.starts[expert]..self.starts[expert + 1]]
    }

    /// Where each expert's rows begin among all, and the end: the number of (row, expert) pairs.
    pub(crate) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Number of (row, expert) pairs.
    pub(crate) fn num_pairs(&self) -> usize {
        self.rows.len()
    }

    /// Which of an expert's own rows are in `range` of all rows.
    pub(crate) fn within(&self, expert: usize, range: &Range<usize>) -> Range<usize> {
        let rows = self.rows(expert);
        let before = |limit: usize| rows.partition_point(|row| (*row as usize) < limit);
        before(range.start)..before(range.end)
    }

    /// Where a row's values of an expert are among all pairs.
    pub(crate) fn place(&self, row: usize, expert: usize) -> Option<usize> {
        let place = self.places[row * self.num_experts + expert];
        (place != ABSENT).then_some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_places_are_those_of_the_flags() {
        // Rows 0 to 3; expert 1 is chosen by nobody.
        let flags = [
            [true, false, true],
            [false, false, true],
            [false, false, false],
            [true, false, true],
        ];
        let selection = RowSelection::new(flags.as_flattened(), 3);
        assert_eq!(selection.rows(0), [0, 3]);
        assert_eq!(selection.rows(1), [0u32; 0]);
        assert_eq!(selection.rows(2), [0, 1, 3]);
        assert_eq!(selection.starts(), [0, 2, 2, 5]);
        assert_eq!(selection.num_pairs(), 5);
        assert_eq!(selection.place(3, 0), Some(1));
        assert_eq!(selection.place(3, 2), Some(4));
        assert_eq!(selection.place(2, 2), None);
        assert_eq!(selection.within(2, &(1..3)), 1..2);
        assert_eq!(selection.within(0, &(1..3)), 1..1);
    }
}
