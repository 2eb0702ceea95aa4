//! What the papers say of their combinations, and what TorchJD and scipy find (`tests/golden/balancing/gram.csv`).

use super::*;
use crate::balance::{BalanceAt, Balancer};

const METHODS: [BalanceMethod; 12] = [
    BalanceMethod::GradNorm,
    BalanceMethod::MinimumNorm,
    BalanceMethod::PcGrad,
    BalanceMethod::GradVac,
    BalanceMethod::CaGrad,
    BalanceMethod::ImpartialGradients,
    BalanceMethod::Nash,
    BalanceMethod::FairGrad,
    BalanceMethod::Aligned,
    BalanceMethod::UpGrad,
    BalanceMethod::DualBalance,
    BalanceMethod::MetaBalance,
];

/// Of normal vectors with norms of their own.
pub(in crate::balance) fn random_gram(size: usize, dimensions: usize, seed: u64) -> Gram {
    let stream = Philox::new(seed, "test", "gram");
    let vectors: Vec<Vec<f64>> = (0..size)
        .map(|task| {
            let scale = 1.0 + f64::from(stream.uniform(1000 + task as u64)) * 3.0;
            (0..dimensions)
                .map(|place| scale * f64::from(stream.normal((task * dimensions + place) as u64)))
                .collect()
        })
        .collect();
    Gram::new(size, |row, column| {
        matrix::dot(&vectors[row], &vectors[column])
    })
}

fn diagonal(squares: &[f64]) -> Gram {
    Gram::new(squares.len(), |row, column| match row == column {
        true => squares[row],
        false => 0.0,
    })
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|task| format!("t{task}")).collect()
}

fn raw(method: BalanceMethod) -> BalanceConfig {
    let mut config = method.defaults();
    config.normalise = Some(false);
    config
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 3,
        step,
        epoch: 1 + step as usize / 4,
    }
}

/// The weights of one step, of losses of 1.
fn weights(config: &BalanceConfig, gram: &Gram) -> Vec<f64> {
    let tasks = names(gram.size());
    let mut balancer = Balancer::new(config, &tasks).unwrap();
    let (losses, observed) = (vec![1.0; tasks.len()], vec![true; tasks.len()]);
    balancer.weigh_gradients(&moment(0), &losses, &observed, gram)
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0f64, |most, value| most.max(value.abs()));
    for (one, other) in found.iter().zip(expected) {
        assert!(
            (one - other).abs() <= relative * scale,
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn one_task_weighs_one() {
    for method in METHODS {
        let found = weights(&method.defaults(), &diagonal(&[7.0]));
        assert_close(&found, &[1.0], 1e-12);
    }
}

#[test]
fn orthogonal_gradients_of_one_norm_are_combined_as_the_papers_say() {
    let gram = diagonal(&[4.0; 3]);
    let expect = |method, expected: f64| {
        assert_close(&weights(&raw(method), &gram), &[expected; 3], 1e-10);
    };
    expect(BalanceMethod::PcGrad, 1.0);
    expect(BalanceMethod::GradVac, 1.0);
    expect(BalanceMethod::MinimumNorm, 1.0 / 3.0);
    expect(BalanceMethod::UpGrad, 1.0 / 3.0);
    expect(BalanceMethod::ImpartialGradients, 1.0 / 3.0);
    expect(BalanceMethod::Aligned, 1.0 / 3.0);
    // 1 / norm.
    expect(BalanceMethod::Nash, 0.5);
    expect(BalanceMethod::FairGrad, 0.5);
    // Half the mean's length more, along the mean.
    expect(BalanceMethod::CaGrad, 1.5 / 3.0);
}

#[test]
fn orthogonal_gradients_of_different_norms_have_weights_in_closed_form() {
    let squares = [1.0, 16.0, 1e-4];
    let gram = diagonal(&squares);
    let inverse: Vec<f64> = squares.iter().map(|square| 1.0 / square).collect();
    let sum: f64 = inverse.iter().sum();
    let of_simplex: Vec<f64> = inverse.iter().map(|one| one / sum).collect();
    let found = weights(&raw(BalanceMethod::MinimumNorm), &gram);
    assert_close(&found, &of_simplex, 1e-12);
    let norms = squares.map(f64::sqrt);
    // sigma_min / sigma_t, of the mean.
    let aligned = norms.map(|norm| 0.01 / norm / 3.0);
    assert_close(
        &weights(&raw(BalanceMethod::Aligned), &gram),
        &aligned,
        1e-12,
    );
    let nash = norms.map(|norm| 1.0 / norm);
    assert_close(&weights(&raw(BalanceMethod::Nash), &gram), &nash, 1e-10);
    // M a = a^(-1/2): a = M^(-2/3).
    let mut config = raw(BalanceMethod::FairGrad);
    config.alpha = Some(2.0);
    let fair = squares.map(|square| square.powf(-2.0 / 3.0));
    assert_close(&weights(&config, &gram), &fair, 1e-10);
}

#[test]
fn two_opposite_gradients_leave_mgda_no_direction() {
    let gram = Gram::new(2, |row, column| if row == column { 3.0 } else { -3.0 });
    let found = weights(&raw(BalanceMethod::MinimumNorm), &gram);
    assert_close(&found, &[0.5, 0.5], 1e-9);
    assert!(gram.squared_norm(&found) < 1e-12);
    // The others stay numbers.
    for method in METHODS {
        let found = weights(&method.defaults(), &gram);
        assert!(
            found.iter().all(|weight| weight.is_finite()),
            "{}: {found:?}",
            method.name()
        );
    }
}

#[test]
fn combinations_have_what_their_papers_promise() {
    for size in 2..10 {
        for seed in 0..25 {
            let gram = random_gram(size, size + 3, seed);
            let norms = gram.norms();
            let scale = norms.iter().fold(0f64, |most, norm| most.max(norm * norm));
            let products = |method| {
                let found = weights(&raw(method), &gram);
                (gram.times(&found), found)
            };
            // Every task gains at least the squared length of the direction.
            let (gains, found) = products(BalanceMethod::MinimumNorm);
            let length = gram.squared_norm(&found);
            assert!(gains.iter().all(|gain| *gain >= length - 1e-10 * scale));
            // No task loses; up to the regularisation.
            let (gains, _) = products(BalanceMethod::UpGrad);
            assert!(gains.iter().all(|gain| *gain >= -1e-3 * scale));
            // Equal projections.
            let (gains, _) = products(BalanceMethod::ImpartialGradients);
            let projections: Vec<f64> = gains.iter().zip(&norms).map(|(g, n)| g / n).collect();
            for projection in &projections {
                assert!((projection - projections[0]).abs() < 1e-8 * scale.sqrt());
            }
            // The equation itself.
            let (gains, found) = products(BalanceMethod::Nash);
            for (gain, weight) in gains.iter().zip(&found) {
                assert!((gain * weight - 1.0).abs() < 1e-9, "{gain} {weight}");
            }
            for c in [0.5, 1.0, 2.0, 3.0] {
                let found = fairness::fair(&gram, c);
                for (gain, weight) in gram.times(&found).iter().zip(&found) {
                    let wanted = weight.powf(-1.0 / c);
                    assert!((gain / wanted - 1.0).abs() < 1e-9, "{c}: {gain} {wanted}");
                }
            }
            // Within the ball about the mean.
            let found = weights(&raw(BalanceMethod::CaGrad), &gram);
            let mean = 1.0 / size as f64;
            let away: Vec<f64> = found.iter().map(|weight| weight - mean).collect();
            let radius = 0.5 * gram.squared_norm(&vec![mean; size]).sqrt();
            assert!((gram.squared_norm(&away).sqrt() / radius - 1.0).abs() < 1e-8);
        }
    }
}

/// No point of the simplex on the way to a corner is better than what CAGrad found.
#[test]
fn nothing_near_cagrads_weights_is_better() {
    for seed in 0..20 {
        let gram = random_gram(4, 3, seed);
        let mean = [0.25; 4];
        let radius = 0.5 * gram.squared_norm(&mean).sqrt();
        let found = weights(&raw(BalanceMethod::CaGrad), &gram);
        let away: Vec<f64> = found.iter().map(|weight| weight - 0.25).collect();
        let sum: f64 = away.iter().sum();
        let simplex: Vec<f64> = away.iter().map(|weight| weight / sum).collect();
        let value =
            |w: &[f64]| matrix::dot(&gram.times(&mean), w) + radius * gram.squared_norm(w).sqrt();
        for corner in 0..4 {
            for share in [1e-3, 0.1, 1.0] {
                let mut other: Vec<f64> = simplex.iter().map(|w| w * (1.0 - share)).collect();
                other[corner] += share;
                assert!(value(&other) >= value(&simplex) - 1e-9);
            }
        }
    }
}

#[test]
fn the_order_of_tasks_changes_nothing() {
    let order = [2, 0, 3, 1];
    for method in METHODS {
        let tasks = names(4);
        let permuted: Vec<String> = order.iter().map(|task| tasks[*task].clone()).collect();
        let mut config = method.defaults();
        if method == BalanceMethod::MetaBalance {
            config.main_task = Some("t2".to_owned());
        }
        let mut one = Balancer::new(&config, &tasks).unwrap();
        let mut other = Balancer::new(&config, &permuted).unwrap();
        for step in 0..12 {
            let gram = random_gram(4, 6, step);
            let losses = [0.5, 2.0, 0.1 + step as f64, 1.0];
            let moved: Vec<f64> = order.iter().map(|task| losses[*task]).collect();
            let expected = one.weigh_gradients(&moment(step), &losses, &[true; 4], &gram);
            let expected: Vec<f64> = order.iter().map(|task| expected[*task]).collect();
            let found = other.weigh_gradients(&moment(step), &moved, &[true; 4], &gram.of(&order));
            assert_close(&found, &expected, 1e-8);
        }
    }
}

#[test]
fn an_unobserved_task_has_no_part_in_anything() {
    for method in METHODS {
        let mut with = Balancer::new(&method.defaults(), &names(3)).unwrap();
        let mut without = Balancer::new(&method.defaults(), &names(2)).unwrap();
        for step in 0..12 {
            let gram = random_gram(2, 5, step);
            let losses = [0.5 + step as f64, 2.0, f64::NAN];
            let seen = [true, true, false];
            let three = with.weigh_gradients(&moment(step), &losses, &seen, &gram);
            let two = without.weigh_gradients(&moment(step), &losses[..2], &seen[..2], &gram);
            assert_eq!(three[..2], two, "{}", method.name());
            assert_eq!(three[2], 0.0);
        }
    }
}

#[test]
fn a_task_without_a_gradient_is_weighed_against_nothing() {
    for method in METHODS {
        let gram = Gram::new(3, |row, column| match row == 1 || column == 1 {
            true => 0.0,
            false => random_gram(2, 4, 1).at(row / 2, column / 2),
        });
        let found = weights(&raw(method), &gram);
        assert_eq!(found[1], 1.0);
        assert!(
            found.iter().all(|weight| weight.is_finite()),
            "{}: {found:?}",
            method.name()
        );
        assert_close(&weights(&raw(method), &diagonal(&[0.0; 2])), &[1.0; 2], 0.0);
    }
}

/// What a factor of one task's loss does to its part of the direction.
#[test]
fn factors_of_losses_change_the_direction_of_some_methods_and_not_of_others() {
    let gram = random_gram(3, 6, 5);
    let factors = [1.0, 100.0, 0.03];
    let scaled = Gram::new(3, |row, column| {
        gram.at(row, column) * factors[row] * factors[column]
    });
    for method in METHODS {
        let parts = |gram: &Gram, losses: &[f64], factors: &[f64]| -> Vec<f64> {
            let mut balancer = Balancer::new(&raw(method), &names(3)).unwrap();
            let weights = balancer.weigh_gradients(&moment(0), losses, &[true; 3], gram);
            let parts: Vec<f64> = weights.iter().zip(factors).map(|(w, f)| w * f).collect();
            let length = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
            parts.iter().map(|part| part / length).collect()
        };
        let before = parts(&gram, &[1.0; 3], &[1.0; 3]);
        let after = parts(&scaled, &factors, &factors);
        let difference = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
        let difference = difference.fold(0f64, f64::max);
        let is_unmoved = matches!(
            method,
            BalanceMethod::ImpartialGradients
                | BalanceMethod::Nash
                | BalanceMethod::FairGrad
                | BalanceMethod::DualBalance
        );
        match is_unmoved {
            true => assert!(difference < 1e-8, "{} {difference}", method.name()),
            false => assert!(difference > 1e-2, "{} {difference}", method.name()),
        }
    }
}

#[test]
fn a_common_factor_scales_nash_weights_by_its_root() {
    let gram = random_gram(4, 7, 2);
    let scaled = Gram::new(4, |row, column| 1e6 * gram.at(row, column));
    for c in [0.5, 1.0, 2.0] {
        let (one, other) = (fairness::fair(&gram, c), fairness::fair(&scaled, c));
        let factor = 1e6f64.powf(-c / (1.0 + c));
        let expected: Vec<f64> = one.iter().map(|weight| weight * factor).collect();
        assert_close(&other, &expected, 1e-9);
    }
}

/// Norms over four decades, as those of a log-loss beside a squared error of large numbers.
#[test]
fn badly_scaled_matrices_solve_the_equation_too() {
    for seed in 0..30 {
        let even = random_gram(6, 9, seed);
        let factor = |task: usize| 10f64.powf(task as f64 * 0.8 - 2.0);
        let gram = Gram::new(6, |row, column| {
            even.at(row, column) * factor(row) * factor(column)
        });
        for c in [0.5, 1.0, 2.0] {
            let found = fairness::fair(&gram, c);
            for (gain, weight) in gram.times(&found).iter().zip(&found) {
                let wanted = weight.powf(-1.0 / c);
                assert!((gain / wanted - 1.0).abs() < 1e-8, "{c}: {gain} {wanted}");
            }
        }
    }
}

#[test]
fn what_is_kept_goes_on_to_the_bit() {
    for method in METHODS {
        let run = |balancer: &mut Balancer, steps: std::ops::Range<u64>| -> Vec<Vec<f64>> {
            let one = |step| {
                let losses = [0.3 + step as f64, 1.0, 2.0];
                let gram = random_gram(3, 5, step);
                balancer.weigh_gradients(&moment(step), &losses, &[true; 3], &gram)
            };
            steps.map(one).collect()
        };
        let mut whole = Balancer::new(&method.defaults(), &names(3)).unwrap();
        let expected = run(&mut whole, 0..15);
        let mut first = Balancer::new(&method.defaults(), &names(3)).unwrap();
        run(&mut first, 0..7);
        let text = toml::to_string(first.state()).unwrap();
        let mut second = Balancer::new(&method.defaults(), &names(3)).unwrap();
        assert!(second.go_on_from(toml::from_str(&text).unwrap()));
        assert_eq!(run(&mut second, 7..15), expected[7..], "{}", method.name());
    }
}

#[test]
fn projections_come_in_another_order_at_another_step() {
    let gram = random_gram(5, 6, 1);
    let tasks = names(5);
    let mut balancer = Balancer::new(&raw(BalanceMethod::PcGrad), &tasks).unwrap();
    assert_eq!(balancer.at(), BalanceAt::Parameters);
    let mut all = std::collections::BTreeSet::new();
    for step in 0..30 {
        let found = balancer.weigh_gradients(&moment(step), &[1.0; 5], &[true; 5], &gram);
        all.insert(format!("{found:?}"));
    }
    assert!(all.len() > 3, "{}", all.len());
}

#[test]
fn gradnorm_raises_the_weight_of_a_task_that_learns_slowly() {
    let mut config = raw(BalanceMethod::GradNorm);
    config.learning_rate = Some(0.01);
    let mut balancer = Balancer::new(&config, &names(2)).unwrap();
    let gram = diagonal(&[1.0, 1.0]);
    let mut last = Vec::new();
    for step in 0..400 {
        // The first task has halved its loss since the first epoch, the second one's stays.
        let losses = match step < 4 {
            true => [1.0, 10.0],
            false => [0.5, 10.0],
        };
        last = balancer.weigh_gradients(&moment(step), &losses, &[true; 2], &gram);
        if step < 4 {
            assert_eq!(last, [1.0, 1.0]);
        }
    }
    // r = (2/3, 4/3), so that norms are to be (2/3)^1.5 and (4/3)^1.5: more than 2 together, so that any weights between reaching one and
    // reaching the other are as good.
    let reached = (2.0 - (2f64 / 3.0).powf(1.5))..(4f64 / 3.0).powf(1.5);
    assert!(
        last[1] > reached.start - 0.02 && last[1] < reached.end + 0.02,
        "{last:?}"
    );
}

/// Weights of `tests/golden/balancing/gram.csv`: table, matrix, orders of projections, weights.
#[test]
fn weights_are_those_of_torchjd_and_scipy() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/balancing/gram.csv"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut checked = std::collections::BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = |cell: &str| -> Vec<f64> {
            cell.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let [table, matrix, orders, expected] = cells[..] else {
            panic!("{line}");
        };
        let config: BalanceConfig = toml::from_str(&table.replace(';', "\n")).unwrap();
        let config = config.filled();
        let expected = numbers(expected);
        let size = expected.len();
        let values = numbers(matrix);
        let gram = Gram::new(size, |row, column| values[row * size + column]);
        let found = match config.method {
            // In the order that the other program drew.
            BalanceMethod::PcGrad => {
                let orders: Vec<Vec<usize>> = orders
                    .split(';')
                    .map(|order| order.split(' ').map(|one| one.parse().unwrap()).collect())
                    .collect();
                conflict::pcgrad(&gram, &orders)
            }
            BalanceMethod::GradVac => {
                let orders: Vec<Vec<usize>> = orders
                    .split(';')
                    .map(|order| order.split(' ').map(|one| one.parse().unwrap()).collect())
                    .collect();
                // Before the first step, every mean cosine is 0.
                conflict::gradvac(&gram, &orders, &mut |_, _| 0.0, &mut |_, _, _| {})
            }
            _ => weights(&config, &gram),
        };
        assert_close(&found, &expected, 1e-8);
        *checked.entry(config.method.name()).or_insert(0) += 1;
    }
    assert_eq!(checked.len(), 9, "{checked:?}");
    assert!(checked.values().all(|count| *count >= 20), "{checked:?}");
}
