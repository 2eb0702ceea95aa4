//! The cells of a folder, for a plan that knows no data to find its own among them.

use super::planned_cell::PlannedCell;
use std::collections::HashMap;

/// Cells that were started, by their own word.
#[derive(Debug, Default)]
pub struct CellsThere {
    /// In the order in which they came; without those that were taken out.
    cells: Vec<Option<PlannedCell>>,
    /// Their places by variant and seed, which [`PlannedCell::is_elsewhere`] wants to be the same: comparing each of 100,000 with each
    /// would take hours.
    places: HashMap<String, HashMap<u64, Vec<usize>>>,
}

impl CellsThere {
    /// These cells.
    pub fn new(cells: impl IntoIterator<Item = PlannedCell>) -> Self {
        let mut there = Self::default();
        for cell in cells {
            let (variant, seed) = (cell.content.variant.clone(), cell.content.seed);
            let of_variant = there.places.entry(variant).or_default();
            of_variant.entry(seed).or_default().push(there.cells.len());
            there.cells.push(Some(cell));
        }
        there
    }

    fn places_of(&self, cell: &PlannedCell) -> impl Iterator<Item = usize> {
        let of_variant = self.places.get(&cell.content.variant);
        let places = of_variant.and_then(|seeds| seeds.get(&cell.content.seed));
        let is_its = |place: &usize| {
            let there = self.cells[*place].as_ref();
            there.is_some_and(|there| cell.is_elsewhere(there))
        };
        places.into_iter().flatten().copied().filter(is_its)
    }

    /// Those that a planned cell may be, in their order.
    pub fn matching(&self, cell: &PlannedCell) -> impl Iterator<Item = &PlannedCell> {
        self.places_of(cell)
            .filter_map(|place| self.cells[place].as_ref())
    }

    /// Takes out the one that a planned cell is: the first that is wanted, or else the first.
    pub fn take(
        &mut self,
        cell: &PlannedCell,
        is_wanted: impl Fn(&PlannedCell) -> bool,
    ) -> Option<PlannedCell> {
        let wanted = self.places_of(cell).find(|place| {
            let there = self.cells[*place].as_ref();
            there.is_some_and(&is_wanted)
        });
        let place = wanted.or_else(|| self.places_of(cell).next())?;
        self.cells[place].take()
    }

    /// Those that were not taken out, in their order.
    pub fn into_rest(self) -> impl Iterator<Item = PlannedCell> {
        self.cells.into_iter().flatten()
    }
}
