//! The Mantel test: whether what is close in one matrix is close in another, where the entries of a row hang together.

use homebench_metric::ranks;
use homebench_random::Philox;

/// Up to so many things every order is counted out: 40,320 of eight.
const EXACT: usize = 8;
/// Orders that are drawn where there are more, beside the one that is seen.
const DRAWS: u64 = 9_999;
/// Key of the draws: fixed, so that a p-value depends on its matrices alone.
const SEED: u64 = 0;

/// Two matrices of the same things, held together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mantel {
    /// Spearman's rho of the entries above the diagonals.
    pub rho: f64,
    /// One-sided: the share of orders of the things of one matrix whose rho is no lower, the order that is seen among them.
    pub p_value: f64,
    /// Orders that were looked at, the one that is seen among them.
    pub orders: u64,
}

/// Compares two symmetric matrices, [things, things]; only what stands above the diagonals counts. Nothing where one of them doesn't
/// vary, or of fewer than three things. Source: Mantel, "The detection of disease clustering and a generalized regression
/// approach", 1967.
///
/// # Panics
/// Matrices of other shapes.
pub fn mantel(one: &[Vec<f64>], other: &[Vec<f64>]) -> Option<Mantel> {
    let count = one.len();
    for matrix in [one, other] {
        let is_square = matrix.len() == count && matrix.iter().all(|row| row.len() == count);
        assert!(is_square, "two square matrices of {count} things");
    }
    if count < 3 {
        return None;
    }
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|row| (row + 1..count).map(move |column| (row, column)))
        .collect();
    let above = |matrix: &[Vec<f64>]| -> Vec<f64> {
        let entries: Vec<f64> = pairs
            .iter()
            .map(|(row, column)| matrix[*row][*column])
            .collect();
        // An order of things is an order of entries: ranks are those of the same entries, and their mean and spread stay.
        let ranks = ranks(&entries);
        let mean = (pairs.len() as f64 + 1.0) / 2.0;
        ranks.iter().map(|rank| rank - mean).collect()
    };
    let (left, right) = (above(one), above(other));
    let squares = |ranks: &[f64]| ranks.iter().map(|rank| rank * rank).sum::<f64>();
    let scale = (squares(&left) * squares(&right)).sqrt();
    if scale == 0.0 {
        return None;
    }
    let mut place = vec![vec![0; count]; count];
    for (index, (row, column)) in pairs.iter().enumerate() {
        place[*row][*column] = index;
        place[*column][*row] = index;
    }
    let product = |order: &[usize]| -> f64 {
        let terms = pairs.iter().zip(&right);
        terms
            .map(|((row, column), right)| left[place[order[*row]][order[*column]]] * right)
            .sum()
    };
    let mut order: Vec<usize> = (0..count).collect();
    let seen = product(&order);
    // Ranks are halves, and their products quarters: sums of equal orders are the same number.
    let mut as_high = 1u64;
    let orders = match count <= EXACT {
        true => {
            let mut orders = 1;
            while next_order(&mut order) {
                orders += 1;
                as_high += u64::from(product(&order) >= seen);
            }
            orders
        }
        false => {
            for draw in 0..DRAWS {
                let stream = Philox::new(SEED, "mantel", &draw.to_string());
                let drawn = stream.permutation(count as u32);
                let drawn: Vec<usize> = drawn.iter().map(|place| *place as usize).collect();
                as_high += u64::from(product(&drawn) >= seen);
            }
            DRAWS + 1
        }
    };
    Some(Mantel {
        rho: seen / scale,
        p_value: as_high as f64 / orders as f64,
        orders,
    })
}

/// The next order in the dictionary; false after the last.
fn next_order(order: &mut [usize]) -> bool {
    let Some(rise) = order.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let larger = order.iter().rposition(|value| *value > order[rise]);
    order.swap(rise, larger.expect("the next one is larger"));
    order[rise + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Written by `tests/golden/statistics/make_mantel.py`: scipy's rho, and the share of all orders, or of drawn ones of more things.
    #[test]
    fn rho_and_shares_of_orders_are_those_of_scipy() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/statistics/mantel.csv");
        let mut reader = csv::Reader::from_path(path).unwrap();
        let mut seen = 0;
        for record in reader.records() {
            let record = record.unwrap();
            let count: usize = record[1].parse().unwrap();
            let matrix = |text: &str| -> Vec<Vec<f64>> {
                let numbers: Vec<f64> = text
                    .split(' ')
                    .map(|number| number.parse().unwrap())
                    .collect();
                numbers.chunks(count).map(<[f64]>::to_vec).collect()
            };
            let found = mantel(&matrix(&record[2]), &matrix(&record[3]));
            if record[4].is_empty() {
                assert_eq!(found, None, "{}", &record[0]);
                continue;
            }
            let found = found.unwrap();
            let [rho, p_value, tolerance] =
                [4, 5, 6].map(|place| record[place].parse::<f64>().unwrap());
            assert!(
                (found.rho - rho).abs() < 1e-12,
                "{}: {found:?} {rho}",
                &record[0]
            );
            assert!(
                (found.p_value - p_value).abs() <= tolerance,
                "{}: {found:?} {p_value}",
                &record[0]
            );
            seen += 1;
        }
        assert!(seen > 6);
    }

    #[test]
    fn every_order_comes_once() {
        let mut order = vec![0, 1, 2, 3];
        let mut all = std::collections::BTreeSet::from([order.clone()]);
        while next_order(&mut order) {
            assert!(all.insert(order.clone()));
        }
        assert_eq!(all.len(), 24);
    }

    #[test]
    fn two_things_have_one_pair_and_no_test() {
        let matrix = vec![vec![1.0, 0.5], vec![0.5, 1.0]];
        assert_eq!(mantel(&matrix, &matrix), None);
    }
}
