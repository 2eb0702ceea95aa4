//! Which cells go together into a task.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a bundle must know of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CellLoad {
    /// What it is expected to take.
    pub(super) seconds: f64,
    /// What tells its data from others'.
    pub(super) dataset: String,
}

/// How cells are to be bundled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bundling {
    /// Tasks at once: fewer bundles would leave some without work.
    pub(super) tasks: usize,
    /// What a bundle should take.
    pub(super) task_time: Duration,
    /// The most bundles that one submission may have.
    pub(super) most: usize,
}

/// A cell of which nothing is known still takes time to start.
const LEAST_SECONDS: f64 = 0.1;

/// The cells of each bundle, by their places, those that take longest first. Every cell is in one, and none is empty. A bundle has cells
/// of one dataset where there are enough bundles for that, since a node then reads it once.
pub(super) fn bundles(cells: &[CellLoad], how: Bundling) -> Vec<Vec<usize>> {
    let seconds = |place: &usize| cells[*place].seconds.max(LEAST_SECONDS);
    let whole: f64 = (0..cells.len()).map(|place| seconds(&place)).sum();
    let for_time = (whole / how.task_time.as_secs_f64().max(1e-9)).ceil();
    // A number that is too large for a count is larger than there are cells.
    let num = (for_time as usize).max(how.tasks).min(how.most);
    let num = num.clamp(1, cells.len().max(1));
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, cell) in cells.iter().enumerate() {
        groups.entry(&cell.dataset).or_default().push(place);
    }
    let groups: Vec<Vec<usize>> = match groups.len() <= num {
        true => groups.into_values().collect(),
        false => vec![(0..cells.len()).collect()],
    };
    let loads: Vec<f64> = groups
        .iter()
        .map(|group| group.iter().map(seconds).sum())
        .collect();
    let shares = shares(&groups, &loads, num);
    let parts = groups.into_iter().zip(shares);
    let mut found: Vec<Vec<usize>> = parts
        .flat_map(|(group, share)| divided(group, share, &seconds))
        .collect();
    // A batch system starts the first first.
    let load = |bundle: &Vec<usize>| bundle.iter().map(seconds).sum::<f64>();
    found.sort_by(|one, other| load(other).total_cmp(&load(one)));
    found
}

/// How many of `num` bundles each group gets: one at least, no more than it has cells, the others where a bundle would be fullest.
fn shares(groups: &[Vec<usize>], loads: &[f64], num: usize) -> Vec<usize> {
    let mut shares = vec![1; groups.len()];
    for _ in groups.len()..num {
        let fullest = (0..groups.len())
            .filter(|group| shares[*group] < groups[*group].len())
            .max_by(|one, other| {
                let load = |group: usize| loads[group] / shares[group] as f64;
                load(*one).total_cmp(&load(*other))
            });
        match fullest {
            Some(group) => shares[group] += 1,
            None => break,
        }
    }
    shares
}

/// A group as so many bundles: the longest cell first, each into the bundle that has the least.
fn divided(mut group: Vec<usize>, num: usize, seconds: &impl Fn(&usize) -> f64) -> Vec<Vec<usize>> {
    // A stable sort, so that cells of one length stay in the plan's order.
    group.sort_by(|one, other| seconds(other).total_cmp(&seconds(one)));
    let mut bundles = vec![Vec::new(); num];
    // The load as its bits, which are in the order of the numbers where these are positive.
    let mut heap: std::collections::BinaryHeap<Reverse<(u64, usize)>> =
        (0..num).map(|bundle| Reverse((0, bundle))).collect();
    for place in group {
        let Some(Reverse((load, bundle))) = heap.pop() else {
            break;
        };
        bundles[bundle].push(place);
        let load = f64::from_bits(load) + seconds(&place);
        heap.push(Reverse((load.to_bits(), bundle)));
    }
    bundles
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same at every run.
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, most: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % most
        }
    }

    #[test]
    fn every_cell_is_in_one_bundle_and_no_bundle_is_empty_or_too_many() {
        let mut draws = Draws(2408);
        for _ in 0..500 {
            let (num, datasets) = (draws.below(200) + 1, draws.below(5) + 1);
            let cells: Vec<CellLoad> = (0..num)
                .map(|_| CellLoad {
                    seconds: match draws.below(10) {
                        0 => 0.0,
                        _ => draws.below(10_000) as f64 / 7.0,
                    },
                    dataset: draws.below(datasets).to_string(),
                })
                .collect();
            let how = Bundling {
                tasks: draws.below(30) as usize + 1,
                task_time: Duration::from_secs(draws.below(2000) + 1),
                most: draws.below(60) as usize + 1,
            };
            let found = bundles(&cells, how);
            let mut places: Vec<usize> = found.iter().flatten().copied().collect();
            places.sort_unstable();
            assert_eq!(places, (0..cells.len()).collect::<Vec<_>>());
            assert!(found.iter().all(|bundle| !bundle.is_empty()));
            assert!(found.len() <= how.most, "{} of {}", found.len(), how.most);
            // Nobody waits while another bundle has two cells.
            let wanted = how.tasks.min(how.most).min(cells.len());
            assert!(found.len() >= wanted, "{} of {wanted}", found.len());
            let load = |bundle: &Vec<usize>| -> f64 {
                bundle
                    .iter()
                    .map(|place| cells[*place].seconds.max(LEAST_SECONDS))
                    .sum()
            };
            let loads: Vec<f64> = found.iter().map(load).collect();
            assert!(loads.is_sorted_by(|one, other| one >= other));
            if datasets == 1 {
                // What the longest-first rule promises.
                let longest = cells
                    .iter()
                    .map(|cell| cell.seconds)
                    .fold(LEAST_SECONDS, f64::max);
                let mean = loads.iter().sum::<f64>() / loads.len() as f64;
                assert!(loads[0] <= mean + longest + 1e-6);
            }
            for bundle in &found {
                let seconds = bundle
                    .iter()
                    .map(|place| cells[*place].seconds.max(LEAST_SECONDS));
                assert!(seconds.is_sorted_by(|one, other| one >= other));
                let all: std::collections::BTreeSet<&str> =
                    cells.iter().map(|cell| cell.dataset.as_str()).collect();
                let own: std::collections::BTreeSet<&str> = bundle
                    .iter()
                    .map(|place| cells[*place].dataset.as_str())
                    .collect();
                assert!(
                    own.len() == 1 || found.len() < all.len(),
                    "datasets are kept apart"
                );
            }
        }
    }

    #[test]
    fn short_cells_are_bundled_to_the_time_that_a_task_should_take() {
        let cell = CellLoad {
            seconds: 10.0,
            dataset: "a".into(),
        };
        let how = |tasks, most| Bundling {
            tasks,
            task_time: Duration::from_secs(100),
            most,
        };
        let cells = vec![cell; 1000];
        assert_eq!(bundles(&cells, how(8, 1000)).len(), 100);
        assert_eq!(bundles(&cells, how(8, 5)).len(), 5);
        assert_eq!(bundles(&cells, how(400, 1000)).len(), 400);
        assert!(bundles(&[], how(4, 4)).iter().all(Vec::is_empty));
    }
}
