//! Priors on which units of `switch` each task should choose, and their matching with what tasks do choose.

use crate::ModelError;
use crate::knobs::Knobs;
use crate::layout::TaskLayout;
use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;

/// Which units each task should choose, 0 or 1, [tasks, units], up to an order of the units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prior {
    rows: Vec<Vec<bool>>,
    num_units: usize,
}

/// Sizes that a prior depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub(super) num_blocks: usize,
    pub(super) num_experts: usize,
    pub(super) top_k: usize,
}

impl Units {
    fn count(self) -> usize {
        self.num_blocks * self.num_experts
    }

    /// Units that a task chooses.
    fn chosen(self) -> usize {
        self.num_blocks * self.top_k
    }
}

/// Each task's rank in `prior_order`, or in the order of tasks where that names none.
///
/// # Errors
/// An unknown name, one that comes twice, or a task that is left out.
pub(super) fn ranks(knobs: &Knobs, layout: &TaskLayout) -> Result<Vec<usize>, ModelError> {
    let order = knobs.tasks("prior_order", &layout.tasks)?;
    if order.is_empty() {
        return Ok((0..layout.tasks.len()).collect());
    }
    let rank = |task: usize| {
        order
            .iter()
            .position(|other| *other == task)
            .ok_or_else(|| {
                ModelError::knob(
                    "prior_order",
                    format!(
                        "task `{}` is left out; name every task once, or leave prior_order out",
                        layout.tasks[task]
                    ),
                )
            })
    };
    (0..layout.tasks.len()).map(rank).collect()
}

impl Prior {
    /// What `prior` says; none where it says so.
    ///
    /// # Errors
    /// Units of groups that don't add up, or an order that is none.
    pub(super) fn new(
        knobs: &Knobs,
        layout: &TaskLayout,
        units: Units,
    ) -> Result<Option<Self>, ModelError> {
        // Read by a window alone, but a wrong order is never passed over.
        let ranks = ranks(knobs, layout)?;
        Ok(Some(Self {
            rows: match knobs.choice("prior") {
                "none" => return Ok(None),
                "groups" => groups(knobs, layout, units)?,
                _ => windows(&ranks, knobs.number("prior_exponent"), units),
            },
            num_units: units.count(),
        }))
    }

    /// The prior with its units in the order of the least cost to `usage`, [tasks, units], each row summing to 1.
    ///
    /// The cost of a pair of units is the number of tasks that use one and not the other. Of several orders of that cost it is the
    /// one that shortest augmenting paths find, unit after unit.
    pub(super) fn matched(&self, usage: &[bool]) -> Vec<f64> {
        let units = self.num_units;
        let cost = |unit: usize, column: usize| {
            let tasks = self.rows.iter().zip(usage.chunks_exact(units));
            tasks
                .filter(|(prior, usage)| prior[column] != usage[unit])
                .count() as i64
        };
        let costs = Matrix::from_fn(units, units, |(unit, column)| cost(unit, column));
        let (_, columns) = kuhn_munkres_min(&costs);
        let share = |row: &[bool]| 1.0 / row.iter().filter(|is| **is).count().max(1) as f64;
        let of_task = |row: &Vec<bool>| -> Vec<f64> {
            let share = share(row);
            let of = |column: &usize| if row[*column] { share } else { 0.0 };
            columns.iter().map(of).collect()
        };
        self.rows.iter().flat_map(of_task).collect()
    }
}

/// Windows of as many units as a task chooses, which slide over all units with the tasks' ranks.
fn windows(ranks: &[usize], exponent: f64, units: Units) -> Vec<Vec<bool>> {
    let last = ranks.len().saturating_sub(1).max(1) as f64;
    let room = (units.count() - units.chosen()) as f64;
    let window = |rank: &usize| {
        let place = libm::pow(*rank as f64 / last, exponent);
        let start = libm::round(place * room) as usize;
        let end = start + units.chosen();
        (0..units.count())
            .map(|unit| (start..end).contains(&unit))
            .collect()
    };
    ranks.iter().map(window).collect()
}

/// Units of all tasks, of each group's and of each task's own, in this order.
fn groups(knobs: &Knobs, layout: &TaskLayout, units: Units) -> Result<Vec<Vec<bool>>, ModelError> {
    let refuse = |message: String| Err(ModelError::knob("prior_units", message));
    let counts = knobs.widths("prior_units");
    let [shared, of_group, of_task] = counts[..] else {
        return refuse(format!(
            "expected three numbers with prior = \"groups\": units of all tasks, of a group and of a task; found {}",
            counts.len()
        ));
    };
    if shared + of_group + of_task != units.chosen() {
        return refuse(format!(
            "expected a sum of top_k * num_blocks, {}, found {}",
            units.chosen(),
            shared + of_group + of_task
        ));
    }
    let (num_groups, num_tasks) = (layout.groups.len(), layout.tasks.len());
    let needed = shared + of_group * num_groups + of_task * num_tasks;
    if needed > units.count() {
        return refuse(format!(
            "{num_groups} groups and {num_tasks} tasks would need {needed} units of {}; lower the numbers, or raise num_experts",
            units.count()
        ));
    }
    let row = |task: usize| {
        let group = shared + layout.group_of(task) * of_group;
        let own = shared + num_groups * of_group + task * of_task;
        let is_own = |unit: &usize| {
            *unit < shared
                || (group..group + of_group).contains(unit)
                || (own..own + of_task).contains(unit)
        };
        (0..units.count()).map(|unit| is_own(&unit)).collect()
    };
    Ok((0..num_tasks).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(num_tasks: usize, exponent: f64, units: Units) -> Vec<usize> {
        let ranks: Vec<usize> = (0..num_tasks).collect();
        let rows = windows(&ranks, exponent, units);
        for row in &rows {
            assert_eq!(row.iter().filter(|is| **is).count(), units.chosen());
        }
        rows.iter()
            .map(|row| row.iter().position(|is| *is).unwrap())
            .collect()
    }

    const UNITS: Units = Units {
        num_blocks: 4,
        num_experts: 3,
        top_k: 2,
    };

    #[test]
    fn windows_slide_from_the_first_unit_to_the_last() {
        assert_eq!(starts(8, 4.0, UNITS), [0, 0, 0, 0, 0, 1, 2, 4]);
        assert_eq!(starts(3, 1.0, UNITS), [0, 2, 4]);
        assert_eq!(starts(1, 1.0, UNITS), [0]);
    }

    #[test]
    fn some_units_are_every_tasks_where_tasks_choose_more_than_half() {
        for (num_experts, always) in [(3, 4), (4, 0)] {
            let units = Units {
                num_experts,
                ..UNITS
            };
            let ranks: Vec<usize> = (0..50).collect();
            let rows = windows(&ranks, 1.0, units);
            let is_always = |unit: &usize| rows.iter().all(|row| row[*unit]);
            assert_eq!((0..units.count()).filter(is_always).count(), always);
        }
    }

    /// All orders of a few units, one by one.
    fn least_cost(prior: &Prior, usage: &[bool]) -> usize {
        fn go(prior: &Prior, usage: &[bool], taken: &mut Vec<usize>) -> usize {
            let unit = taken.len();
            if unit == prior.num_units {
                return 0;
            }
            let mut least = usize::MAX;
            for column in 0..prior.num_units {
                if taken.contains(&column) {
                    continue;
                }
                let tasks = prior.rows.iter().zip(usage.chunks_exact(prior.num_units));
                let own = tasks
                    .filter(|(row, usage)| row[column] != usage[unit])
                    .count();
                taken.push(column);
                least = least.min(own + go(prior, usage, taken));
                taken.pop();
            }
            least
        }
        go(prior, usage, &mut Vec::new())
    }

    #[test]
    fn the_matching_is_as_cheap_as_the_cheapest_order() {
        let units = Units {
            num_blocks: 2,
            num_experts: 3,
            top_k: 2,
        };
        let prior = Prior {
            rows: windows(&[2, 0, 1, 3], 1.0, units),
            num_units: 6,
        };
        let mut state = 1u32;
        for _ in 0..20 {
            let usage: Vec<bool> = (0..24)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state >> 31 == 1
                })
                .collect();
            let matched = prior.matched(&usage);
            let cost = matched
                .iter()
                .zip(&usage)
                .filter(|(p, used)| (**p > 0.0) != **used)
                .count();
            assert_eq!(cost, least_cost(&prior, &usage));
        }
    }
}
