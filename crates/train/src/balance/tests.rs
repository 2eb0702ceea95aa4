//! What holds of every method, and what a script that shares no code with this one says of each (`tests/golden/balancing`).

use super::*;
use homebench_random::Philox;

const LOSS_METHODS: [BalanceMethod; 7] = [
    BalanceMethod::Uncertainty,
    BalanceMethod::DynamicAverage,
    BalanceMethod::RandomWeights,
    BalanceMethod::GeometricMean,
    BalanceMethod::ImpartialLosses,
    BalanceMethod::Famo,
    BalanceMethod::SmoothTchebycheff,
];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|task| format!("t{task}")).collect()
}

fn balancer(method: BalanceMethod, tasks: &[String], normalise: bool) -> Balancer {
    let mut config = method.defaults();
    config.normalise = Some(normalise);
    Balancer::new(&config, tasks).unwrap()
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 5,
        step,
        // Ten steps an epoch.
        epoch: 1 + step as usize / 10,
    }
}

/// Losses that fall at rates of their own, on scales of their own.
fn losses(step: u64, count: usize) -> Vec<f64> {
    let stream = Philox::new(11, "test", "losses");
    (0..count)
        .map(|task| {
            let noise = f64::from(stream.uniform(step * count as u64 + task as u64));
            10f64.powi(task as i32 - 1) * (0.2 + 0.1 * noise + (-0.03 * step as f64).exp())
        })
        .collect()
}

/// Weights of many steps; FAMO sees losses a little lower after each.
fn run(balancer: &mut Balancer, steps: std::ops::Range<u64>, observed: &[bool]) -> Vec<Vec<f64>> {
    let one = |step| {
        let losses = losses(step, observed.len());
        let weights = balancer.weigh_losses(&moment(step), &losses, observed);
        if balancer.looks_again() {
            let rates = [0.9, 0.99, 0.95, 1.01];
            let after = losses.iter().zip(rates).map(|(loss, rate)| loss * rate);
            balancer.look_again(&losses, &after.collect::<Vec<_>>(), observed);
        }
        weights
    };
    steps.map(one).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let bound = relative * expected.abs().max(1e-300);
        assert!((found - expected).abs() <= bound, "{found} {expected}");
    }
}

#[test]
fn normalised_weights_sum_to_the_number_of_observed_tasks_in_the_same_ratios() {
    for method in LOSS_METHODS {
        let tasks = names(3);
        let observed = [true, true, true];
        let raw = run(&mut balancer(method, &tasks, false), 0..35, &observed);
        let scaled = run(&mut balancer(method, &tasks, true), 0..35, &observed);
        for (raw, scaled) in raw.iter().zip(&scaled) {
            assert!((scaled.iter().sum::<f64>() - 3.0).abs() < 1e-12);
            let factor = 3.0 / raw.iter().sum::<f64>();
            let expected: Vec<f64> = raw.iter().map(|weight| weight * factor).collect();
            assert_close(scaled, &expected, 1e-12);
        }
    }
}

#[test]
fn one_observed_task_weighs_one() {
    for method in LOSS_METHODS {
        let observed = [false, true, false];
        let weights = run(&mut balancer(method, &names(3), true), 0..25, &observed);
        for weights in weights {
            assert_eq!(weights[0], 0.0);
            assert!((weights[1] - 1.0).abs() < 1e-15, "{weights:?}");
        }
    }
}

/// Where a task is not observed, the others are weighed as if there was no such task, and nothing of it moves.
#[test]
fn an_unobserved_task_has_no_part_in_anything() {
    for method in LOSS_METHODS {
        let mut with = balancer(method, &names(3), true);
        let mut without = balancer(method, &names(2), true);
        for step in 0..35 {
            let mut of_three = losses(step, 3);
            let of_two = of_three[..2].to_vec();
            // Whatever stands there.
            of_three[2] = if step % 2 == 0 { f64::NAN } else { 0.0 };
            let three = with.weigh_losses(&moment(step), &of_three, &[true, true, false]);
            let two = without.weigh_losses(&moment(step), &of_two, &[true, true]);
            assert_eq!(three[..2], two, "{}", method.name());
            assert_eq!(three[2], 0.0);
            if with.looks_again() {
                let after = [0.5, 0.7, f64::NAN];
                with.look_again(&of_three, &after, &[true, true, false]);
                without.look_again(&of_two, &after[..2], &[true, true]);
            }
        }
        let initial = with.config.initial.unwrap_or(0.0);
        assert_eq!(with.state.scalars.values[2], initial);
        let mean = with.take_mean_weights();
        assert_eq!(mean[2], None);
        assert!(mean[0].is_some());
    }
}

#[test]
fn the_order_of_tasks_changes_nothing() {
    let order = [2, 0, 1];
    for method in LOSS_METHODS {
        let tasks = names(3);
        let permuted: Vec<String> = order.iter().map(|task| tasks[*task].clone()).collect();
        let mut one = balancer(method, &tasks, true);
        let mut other = balancer(method, &permuted, true);
        for step in 0..35 {
            let losses = losses(step, 3);
            let moved: Vec<f64> = order.iter().map(|task| losses[*task]).collect();
            let weights = one.weigh_losses(&moment(step), &losses, &[true; 3]);
            let found = other.weigh_losses(&moment(step), &moved, &[true; 3]);
            let expected: Vec<f64> = order.iter().map(|task| weights[*task]).collect();
            assert_close(&found, &expected, 1e-12);
            if one.looks_again() {
                let after: Vec<f64> = [0.3, 0.4, 0.5].to_vec();
                let moved_after: Vec<f64> = order.iter().map(|task| after[*task]).collect();
                one.look_again(&losses, &after, &[true; 3]);
                other.look_again(&moved, &moved_after, &[true; 3]);
            }
        }
    }
}

/// A state that went through its text goes on with the same bits.
#[test]
fn what_is_kept_goes_on_to_the_bit() {
    for method in LOSS_METHODS {
        let tasks = names(3);
        let observed = [true, true, true];
        let mut whole = balancer(method, &tasks, true);
        let expected = run(&mut whole, 0..35, &observed);
        let mut first = balancer(method, &tasks, true);
        run(&mut first, 0..17, &observed);
        let text = toml::to_string(first.state()).unwrap();
        let mut second = balancer(method, &tasks, true);
        assert!(second.go_on_from(toml::from_str(&text).unwrap()));
        let found = run(&mut second, 17..35, &observed);
        assert_eq!(found, expected[17..], "{}", method.name());
        assert_eq!(second.take_mean_weights(), whole.take_mean_weights());
        // That of another number of tasks is none of its own.
        assert!(!balancer(method, &names(2), true).go_on_from(first.state().clone()));
    }
}

#[test]
fn learned_scalars_find_the_logarithms_of_fixed_losses() {
    let losses = [0.02, 1.0, 30.0];
    for (method, sign) in [
        (BalanceMethod::Uncertainty, 1.0),
        (BalanceMethod::ImpartialLosses, -1.0),
    ] {
        let mut balancer = balancer(method, &names(3), false);
        for step in 0..6000 {
            balancer.weigh_losses(&moment(step), &losses, &[true; 3]);
        }
        for (scalar, loss) in balancer.state.scalars.values.iter().zip(losses) {
            assert!(
                (scalar - sign * f64::ln(loss)).abs() < 1e-3,
                "{scalar} {loss}"
            );
        }
    }
}

/// What a constant factor of a loss does to the gradient that its task gets: `w_t L_t` stays as it is.
#[test]
fn a_factor_of_a_loss_leaves_its_part_of_the_gradient_as_it_is() {
    let factor = [1.0, 100.0, 0.01];
    for method in [
        BalanceMethod::GeometricMean,
        BalanceMethod::DynamicAverage,
        BalanceMethod::SmoothTchebycheff,
        BalanceMethod::Famo,
    ] {
        let mut one = balancer(method, &names(3), true);
        let mut other = balancer(method, &names(3), true);
        for step in 0..35 {
            let losses = losses(step, 3);
            let scaled: Vec<f64> = losses.iter().zip(factor).map(|(l, f)| l * f).collect();
            let weights = one.weigh_losses(&moment(step), &losses, &[true; 3]);
            let found = other.weigh_losses(&moment(step), &scaled, &[true; 3]);
            // Parts of the gradient, up to the common scale that an optimiser's step takes out.
            let part = |weights: &[f64], losses: &[f64]| -> Vec<f64> {
                let parts = weights.iter().zip(losses).map(|(w, l)| w * l);
                let parts: Vec<f64> = parts.collect();
                let sum: f64 = parts.iter().sum();
                parts.iter().map(|part| part / sum).collect()
            };
            match method {
                // Of ratios of losses: the weight itself stays, so that the large loss keeps its say.
                BalanceMethod::DynamicAverage => assert_close(&found, &weights, 1e-12),
                _ => assert_close(&part(&found, &scaled), &part(&weights, &losses), 1e-5),
            }
            if one.looks_again() {
                let after = [0.9, 0.8, 0.99];
                let lower = |losses: &[f64]| -> Vec<f64> {
                    losses.iter().zip(after).map(|(l, a)| l * a).collect()
                };
                one.look_again(&losses, &lower(&losses), &[true; 3]);
                other.look_again(&scaled, &lower(&scaled), &[true; 3]);
            }
        }
    }
}

#[test]
fn the_mean_of_random_weights_is_one() {
    let mut balancer = balancer(BalanceMethod::RandomWeights, &names(3), true);
    for step in 0..4000 {
        balancer.weigh_losses(&moment(step), &[1.0, 9.0, 0.1], &[true; 3]);
    }
    for mean in balancer.take_mean_weights() {
        assert!((mean.unwrap() - 1.0).abs() < 0.04);
    }
}

#[test]
fn a_slow_task_gains_weight_in_dynamic_averages_once_there_are_two_windows() {
    let mut config = BalanceMethod::DynamicAverage.defaults();
    config.every_steps = Some(5);
    let mut balancer = Balancer::new(&config, &names(2)).unwrap();
    for step in 0..30u64 {
        // The first task's loss halves from window to window, the second one's stays.
        let window = (step / 5) as i32;
        let losses = [0.5f64.powi(window), 7.0];
        let weights = balancer.weigh_losses(&moment(step), &losses, &[true; 2]);
        match window {
            0 | 1 => assert_eq!(weights, [1.0, 1.0]),
            _ => {
                let (fast, slow) = (f64::exp(0.25), f64::exp(0.5));
                let expected = [2.0 * fast / (fast + slow), 2.0 * slow / (fast + slow)];
                assert_close(&weights, &expected, 1e-12);
            }
        }
    }
}

#[test]
fn a_loss_of_zero_has_a_weight() {
    for method in LOSS_METHODS {
        let mut balancer = balancer(method, &names(2), true);
        for step in 0..30 {
            let weights = balancer.weigh_losses(&moment(step), &[0.0, 0.7], &[true; 2]);
            assert!(
                weights.iter().all(|weight| weight.is_finite()),
                "{weights:?}"
            );
            if balancer.looks_again() {
                balancer.look_again(&[0.0, 0.7], &[0.0, 0.6], &[true; 2]);
            }
        }
    }
}

/// Weights of `tests/golden/balancing/losses.csv`, step after step.
#[test]
fn weights_are_those_of_the_script() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/balancing/losses.csv"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut balancers: std::collections::BTreeMap<String, Balancer> = Default::default();
    let mut num_checked = 0;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = |cell: &str| -> Vec<f64> {
            cell.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let [case, config, step, epoch, observed, losses, after, expected] = cells[..] else {
            panic!("{line}");
        };
        let balancer = balancers.entry(case.to_owned()).or_insert_with(|| {
            let config: BalanceConfig = toml::from_str(&config.replace(';', "\n")).unwrap();
            Balancer::new(&config.filled(), &names(3)).unwrap()
        });
        let observed: Vec<bool> = observed.split(' ').map(|one| one == "1").collect();
        let losses = numbers(losses);
        let moment = Moment {
            seed: 1,
            step: step.parse().unwrap(),
            epoch: epoch.parse().unwrap(),
        };
        let found = balancer.weigh_losses(&moment, &losses, &observed);
        assert_close(&found, &numbers(expected), 1e-9);
        if balancer.looks_again() {
            balancer.look_again(&losses, &numbers(after), &observed);
        }
        num_checked += 1;
    }
    assert_eq!(num_checked, 10 * 40);
}
