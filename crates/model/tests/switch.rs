//! `switch`: what it is without experts, its prior, and its experts one by one.

mod common;

use candle_core::{D, Tensor};
use common::{
    ByPath, Network, assert_close, config, inputs, layout, loss_of_step, three_tasks, values,
};

const WIDTH: usize = 7;
const ROWS: usize = 9;
const HIDDEN: usize = 6;

fn network(knobs: &str) -> Network {
    Network::from_seed(&switch(knobs), &three_tasks(), WIDTH)
}

fn switch(knobs: &str) -> homebench_model::ModelConfig {
    let sizes = format!("hidden_dim = {HIDDEN}\nblock_dims = [5]\ntask_dim = 4");
    config("switch", &format!("{sizes}\n{knobs}"))
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).iter().map(|value| value.to_bits()).collect()
}

#[test]
fn with_experts_of_0_it_is_the_network_without_them() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let expected = by_hand(&network("").variables.snapshot().unwrap(), &xs, 3, |_| None);
    let three = network("");
    assert_close(&three.logits(&xs), &expected, 1e-6);
    // Whatever gates choose among experts of 0, the bits are the same.
    for knobs in [
        "num_experts = 1\ntop_k = 1",
        "num_experts = 5\ntop_k = 3",
        "gate_weights = 'renormalised'",
        "task_embedding = 'position'",
    ] {
        for train in [false, true] {
            let logits = |network: &Network| network.model.forward_t(&xs, train, None).unwrap();
            assert_eq!(
                bits(&logits(&network(knobs))),
                bits(&logits(&three)),
                "{knobs}"
            );
        }
    }
}

#[test]
fn experts_of_0_teach_the_gates_nothing_but_learn() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let network = network("");
    let gradients = network.step_gradients(&xs, None, |output| loss_of_step(output, None));
    for (path, gradient) in &gradients {
        let is_zero = gradient.iter().all(|value| *value == 0.0);
        let of_gates = path.contains(".gate.") || path.ends_with(".embedding");
        assert_eq!(is_zero, of_gates, "{path}");
    }
    // A prior does teach them.
    let prior = Network::from_seed(&switch("prior = 'window'"), &three_tasks(), WIDTH);
    let gradients = prior.step_gradients(&xs, None, |output| loss_of_step(output, None));
    let learns = |path: &str| gradients[path].iter().any(|value| *value != 0.0);
    assert!(learns("level.0.shared.gate.weight") && learns("task.a.embedding"));
}

/// The softmax of each block's gate, [tasks, experts].
fn probabilities(weights: &ByPath, num_blocks: usize) -> Vec<Tensor> {
    let embeddings = ["a", "b", "c"].map(|task| &weights[&format!("task.{task}.embedding")]);
    let embeddings = Tensor::stack(&embeddings, 0).unwrap().silu().unwrap();
    let of_block = |block: usize| {
        let of = |name: &str| &weights[&format!("level.{block}.shared.gate.{name}")];
        let logits = embeddings.matmul(of("weight")).unwrap();
        let logits = logits.broadcast_add(of("bias")).unwrap();
        let powers = logits.exp().unwrap();
        let sums = powers.sum_keepdim(1).unwrap();
        powers.broadcast_div(&sums).unwrap()
    };
    (0..num_blocks).map(of_block).collect()
}

/// The divergence of tasks' gates from an even prior, in f64.
fn distance_from_even(weights: &ByPath, num_blocks: usize) -> f64 {
    let all = Tensor::cat(&probabilities(weights, num_blocks), 1).unwrap();
    let units = all.dim(1).unwrap() as f64;
    let small = 1e-6;
    let of_unit = |p: &f32| {
        let (a, r) = (f64::from(*p) / num_blocks as f64, 1.0 / units);
        let middle = libm::log((a + r) / 2.0 + small);
        0.5 * (a * (libm::log(a + small) - middle) + r * (libm::log(r + small) - middle))
    };
    values(&all).iter().map(of_unit).sum::<f64>() / 3.0
}

#[test]
fn a_prior_of_tasks_that_choose_every_expert_asks_for_even_gates() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    let all = "num_experts = 3\ntop_k = 3\nnum_blocks = 2\nexpert_init = 'fan_in'";
    for prior in [
        "prior = 'window'",
        "prior = 'window'\nprior_order = ['c', 'a', 'b']\nprior_exponent = 4.0",
        "prior = 'groups'\nprior_units = [6, 0, 0]",
    ] {
        let network = network(&format!("{all}\n{prior}"));
        let expected = distance_from_even(&network.variables.snapshot().unwrap(), 2);
        let loss = values(&network.step(&xs, None, 0).auxiliary.unwrap().loss)[0];
        assert!(
            (f64::from(loss) - expected).abs() < 1e-6,
            "{loss}, {expected}"
        );
    }
}

#[test]
fn a_prior_loss_is_between_0_and_ln_2_and_weightless_ones_are_none() {
    let xs = inputs(ROWS, WIDTH, 2.0);
    for prior in [
        "prior = 'window'",
        "prior = 'groups'\nprior_units = [3, 1, 2]",
    ] {
        let knobs = format!("{prior}\nnum_experts = 6");
        let auxiliary = network(&knobs).step(&xs, None, 0).auxiliary.unwrap();
        let loss = values(&auxiliary.loss)[0];
        assert!(loss > 0.0 && loss < std::f32::consts::LN_2);
        let weightless = network(&format!("{knobs}\nprior_weight = 0")).step(&xs, None, 0);
        assert!(weightless.auxiliary.is_none());
        let none = network("num_experts = 6").step(&xs, None, 0);
        assert_eq!(bits(&weightless.logits), bits(&none.logits));
    }
}

#[test]
fn the_names_of_an_order_go_with_their_tasks() {
    // The order of the tasks in the dataset is no part of a prior that names its own.
    let xs = inputs(ROWS, WIDTH, 2.0);
    let loss = |order: &str, groups: &[(&str, &[&str])]| {
        let config = switch(&format!("prior = 'window'\nprior_order = {order}"));
        let network = Network::from_seed(&config, &layout(groups), WIDTH);
        values(&network.step(&xs, None, 0).auxiliary.unwrap().loss)[0]
    };
    let straight: &[(&str, &[&str])] = &[("g", &["a", "b"]), ("h", &["c"])];
    let turned: &[(&str, &[&str])] = &[("h", &["c"]), ("g", &["b", "a"])];
    let expected = loss("['a', 'b', 'c']", straight);
    assert!((loss("['a', 'b', 'c']", turned) - expected).abs() < 1e-6);
    assert!((loss("[]", straight) - expected).abs() < 1e-6);
    assert!((loss("['b', 'a', 'c']", straight) - expected).abs() > 1e-4);
}

/// Logits from candle's stock operators, each expert by itself; `gates` gives a block's weights, [tasks, experts].
fn by_hand(
    weights: &ByPath,
    xs: &Tensor,
    num_blocks: usize,
    gates: impl Fn(usize) -> Option<Vec<Vec<f32>>>,
) -> Tensor {
    let linear = |xs: &Tensor, path: &str| {
        let product = xs.matmul(&weights[&format!("{path}.weight")]).unwrap();
        product
            .broadcast_add(&weights[&format!("{path}.bias")])
            .unwrap()
    };
    let mut logits = Vec::new();
    for (task, name) in ["a", "b", "c"].into_iter().enumerate() {
        let mut stream = linear(xs, "shared.input");
        for block in 0..num_blocks {
            let under = format!("level.{block}.shared");
            let mut mask = stream.ones_like().unwrap();
            for (expert, weight) in gates(block)
                .into_iter()
                .flat_map(|g| g[task].clone())
                .enumerate()
            {
                let of = |name: &str| {
                    weights[&format!("{under}.expert.{name}")]
                        .get(expert)
                        .unwrap()
                };
                let output = stream.matmul(&of("weight")).unwrap();
                let output = output.broadcast_add(&of("bias")).unwrap();
                mask = (mask + (output * f64::from(weight)).unwrap()).unwrap();
            }
            let masked = (&mask * &stream).unwrap();
            let centred = masked
                .broadcast_sub(&masked.mean_keepdim(D::Minus1).unwrap())
                .unwrap();
            let variance = centred.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
            let deviation = (variance + 1e-5).unwrap().sqrt().unwrap();
            let of_norm = |name: &str| &weights[&format!("{under}.block.norm.{name}")];
            let normalised = centred.broadcast_div(&deviation).unwrap();
            let normalised = normalised.broadcast_mul(of_norm("weight")).unwrap();
            let normalised = normalised.broadcast_add(of_norm("bias")).unwrap();
            let hidden = linear(&normalised, &format!("{under}.block.0"))
                .relu()
                .unwrap();
            let hidden = linear(&hidden, &format!("{under}.block.1"));
            let rest = (mask.affine(-1.0, 1.0).unwrap() * &stream).unwrap();
            stream = ((masked + hidden).unwrap() + rest).unwrap();
        }
        let tower = format!("task.{name}.tower");
        let hidden = linear(&stream, &format!("{tower}.0")).relu().unwrap();
        logits.push(linear(&hidden, &format!("{tower}.1")));
    }
    Tensor::cat(&logits, 1).unwrap()
}

#[test]
fn merged_experts_are_the_experts_one_by_one() {
    for gate_weights in ["raw", "renormalised"] {
        let knobs = format!(
            "expert_init = 'fan_in'\nnum_experts = 4\nnum_blocks = 2\ngate_weights = '{gate_weights}'"
        );
        let network = network(&knobs);
        let weights = network.variables.snapshot().unwrap();
        let gates = |block: usize| {
            let rows: Vec<Vec<f32>> = probabilities(&weights, 2)[block].to_vec2().unwrap();
            let chosen = rows.iter().map(|row| {
                let mut sorted = row.clone();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let sum = match gate_weights {
                    "raw" => 1.0,
                    _ => sorted[0] + sorted[1],
                };
                let of = |p: &f32| if *p >= sorted[1] { p / sum } else { 0.0 };
                row.iter().map(of).collect()
            });
            Some(chosen.collect())
        };
        let xs = inputs(ROWS, WIDTH, 1.0);
        let expected = by_hand(&weights, &xs, 2, gates);
        assert_close(&network.logits(&xs), &expected, 1e-6);
        assert_ne!(
            values(&expected),
            values(&by_hand(&weights, &xs, 2, |_| None))
        );
    }
}
