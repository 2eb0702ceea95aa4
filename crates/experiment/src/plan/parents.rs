//! Which arms start from which, or learn from which: cells of the one are known once those of the other are.

use super::arm::Arm;
use super::cells::{Plan, Selection};
use super::planned_cell::PlannedCell;
use std::collections::BTreeSet;

impl Plan {
    /// The arm that another one's cells start from: that of the variant, on the same data.
    pub(super) fn parent_of(&self, arm: &Arm) -> Option<&Arm> {
        self.arms.get(self.parent_place(arm)?)
    }

    fn parent_place(&self, arm: &Arm) -> Option<usize> {
        let from = arm.made_of.start.parent_variant()?;
        let is_parent = |other: &Arm| {
            other.belongs_to(from, arm.split_seed) && other.made_of.dataset == arm.made_of.dataset
        };
        self.arms.iter().position(is_parent)
    }

    /// Places of all arms, each behind that which it starts from, and else as they are.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let depths: Vec<usize> = self.arms.iter().map(|arm| self.depth(arm)).collect();
        let mut places: Vec<usize> = (0..self.arms.len()).collect();
        places.sort_by_key(|place| depths[*place]);
        places
    }

    /// How many arms lie between it and one of fresh weights. A spec has no circles.
    fn depth(&self, arm: &Arm) -> usize {
        self.parent_of(arm)
            .map_or(0, |parent| 1 + self.depth(parent))
    }

    /// Whether cells start from others.
    pub fn has_starts(&self) -> bool {
        let starts = |arm: &Arm| arm.made_of.start.parent_variant().is_some();
        self.arms.iter().any(starts)
    }

    /// Gives cells that start from others the ids that they have by these, as far as they are known. Whether any is another than before.
    pub(super) fn settle(&mut self) -> bool {
        if !self.has_starts() {
            return false;
        }
        let mut is_new = false;
        for place in self.in_order() {
            let Some(parent) = self.parent_place(&self.arms[place]) else {
                continue;
            };
            self.arms[parent].set_parent();
            let parents = self.arms[parent].as_parents();
            is_new |= self.arms[place].set_parents(parents);
        }
        is_new
    }

    /// The trials that are asked for and can be run by now, those of arms that others are to start from included, in the order of the
    /// plan but each behind what it starts from.
    pub fn trials_asked(&self, selection: &Selection) -> Vec<&PlannedCell> {
        let order = self.in_order();
        let trials = order.into_iter().flat_map(|place| {
            let arm = &self.arms[place];
            self.trials_asked_of(arm, selection)
        });
        trials.filter(|cell| !cell.awaits_parent()).collect()
    }

    /// The trials of an arm that are asked for, by its own cells or by those that start from them.
    pub fn trials_asked_of<'a>(&self, arm: &'a Arm, selection: &Selection) -> Vec<&'a PlannedCell> {
        match self.is_needed(arm, selection) {
            true => arm.trial_cells().collect(),
            false => selection.trials_of(arm),
        }
    }

    /// Whether another arm of which cells are asked for starts from this one.
    fn is_needed(&self, arm: &Arm, selection: &Selection) -> bool {
        let place = self.arms.iter().position(|other| std::ptr::eq(other, arm));
        arm.made_of.is_parent
            && self.arms.iter().any(|child| {
                let starts_here = self
                    .parent_place(child)
                    .is_some_and(|one| Some(one) == place);
                starts_here
                    && (!selection.trials_of(child).is_empty()
                        || selection.has_final_of(child)
                        || self.is_needed(child, selection))
            })
    }

    /// The final cells that are asked for and known, and those that they start from, each behind its own.
    pub fn finals_asked(&self, selection: &Selection) -> Vec<&PlannedCell> {
        let finals = || self.arms.iter().flat_map(|arm| &arm.finals);
        let known = || finals().filter(|cell| !cell.awaits_parent());
        let asked = known().filter(|cell| selection.has(cell));
        let mut ids = BTreeSet::new();
        for cell in asked {
            ids.insert(cell.id.as_str());
            ids.extend(cell.ancestors().iter().map(|ancestor| ancestor.id.as_str()));
        }
        let mut cells: Vec<&PlannedCell> = known()
            .filter(|cell| ids.contains(cell.id.as_str()))
            .collect();
        cells.sort_by_key(|cell| cell.ancestors().len());
        cells
    }
}
