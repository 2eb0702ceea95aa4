//! Training through embeddings, dropout and clipping: the CUDA path learns what the processor learns, and repeats itself.

mod common;

use candle_core::DType;
use common::{config, place, three_tasks};
use homebench_kernels::cuda::{Order, on_host};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{
    AdamConfig, Lists, Optimizer, Pooling, SparseRule, clip_gradient_norm,
};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    BuildContext, EmbeddedInput, FeatureDims, Ids, InputColumns, Tables, VarBuilder,
};
use homebench_random::Philox;

const ROWS: usize = 70;

/// Losses of some steps, then every variable.
fn train(name: &str, knobs: &str, tables: Tables) -> (Vec<f32>, Vec<Vec<f32>>) {
    let layout = three_tasks();
    let dims = FeatureDims {
        vocabularies: vec![("author".to_owned(), 9), ("topic".to_owned(), 3)],
        lists: vec![
            ("tags".to_owned(), 5, Pooling::Mean),
            ("words".to_owned(), 7, Pooling::Sum),
        ],
        num_numeric: 2,
        embedding_dim: 4,
        tables: Default::default(),
        attention: Default::default(),
    };
    let vb = VarBuilder::from_seed(5, DType::F32, &place::device());
    let context = BuildContext {
        layout: &layout,
        input_dim: dims.input_dim(),
        num_embedded: dims.num_embedded(),
        input_per_task: tables.per_task(),
        columns: InputColumns::default(),
        after: &[],
    };
    let model = config(name, knobs).build(&context, &vb).unwrap();
    let trained = |p: &&Parameter| p.role() == Role::Trained;
    let made = vb.finish().unwrap();
    let dense: Vec<Parameter> = made.parameters().iter().filter(trained).cloned().collect();
    let rule = SparseRule::RowWiseAdagrad {
        epsilon: 1e-8,
        weight_decay: 1e-3,
    };
    let mut input = EmbeddedInput::new(&dims, &layout, tables, rule, &vb).unwrap();
    let mut optimizer = Optimizer::new(&dense, AdamConfig::default());
    let mut losses = Vec::new();
    for step in 0..5 {
        let stream = Philox::new(step, "test", "batch");
        let ids: Vec<u32> = (0..2 * ROWS as u64)
            .map(|index| stream.below(index, if index % 2 == 0 { 9 } else { 3 }))
            .collect();
        // Lists of none to two ids.
        let ends = (0..2 * ROWS as u32).scan(0, |end, list| {
            *end += list % 3;
            Some(*end)
        });
        let ends: Vec<u32> = ends.collect();
        let listed: Vec<u32> = (0..2 * ROWS as u64)
            .map(|index| stream.below(1000 + index, 5))
            .take(ends[ends.len() - 1] as usize)
            .collect();
        let ids = Ids {
            single: &ids,
            lists: Lists {
                ids: &listed,
                ends: &ends,
            },
        };
        let numeric: Vec<f32> = (0..2 * ROWS as u64).map(|i| stream.normal(i)).collect();
        let labels = (0..3 * ROWS as u64).map(|i| f32::from(u8::from(stream.uniform(i) < 0.4)));
        let dropout = Dropout::new(0.25, 1, step, "embedding");
        let xs = input.gather(ids, &numeric, ROWS, Some(&dropout)).unwrap();
        let logits = model.forward_t(&xs, true, None).unwrap();
        let loss = multi_task_loss(&logits, &Targets::new(labels.collect())).unwrap();
        losses.push(loss.to_scalar().unwrap());
        let gradients = loss.backward().unwrap();
        for parameter in &dense {
            parameter.collect(&gradients).unwrap();
        }
        clip_gradient_norm(&dense, 1.0).unwrap();
        optimizer.step(0.01).unwrap();
        let of_xs = gradients.get(&xs).unwrap();
        input.update(ids, of_xs, Some(&dropout), 0.05).unwrap();
    }
    let all = vb.finish().unwrap();
    let values = all.parameters().iter().map(|p| common::values(p.tensor()));
    (losses, values.collect())
}

#[test]
fn models_behind_embeddings_learn_the_same_on_the_cuda_path() {
    for (name, knobs, tables) in [
        ("home", "rank = 2", Tables::Shared),
        ("mmoe", "", Tables::Shared),
        (
            "single_task",
            "norm = 'batch'\nactivation = 'silu'",
            Tables::PerTask,
        ),
    ] {
        if !place::device().is_cpu() {
            // On a GPU: that it repeats itself, to the last bit.
            assert_eq!(train(name, knobs, tables), train(name, knobs, tables));
            continue;
        }
        let (expected, variables) = train(name, knobs, tables);
        let [first, last] = [Order::Ascending, Order::Descending]
            .map(|order| on_host(place::kernels, order, || train(name, knobs, tables)));
        assert!(
            first == last,
            "{name}: the order of threads changes numbers"
        );
        for (found, expected) in first.0.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{name}: {found} {expected}"
            );
        }
        // Adam's first steps have the learning rate's size whatever a gradient's, so that rounding shows in a variable whose
        // gradient is all rounding.
        let distances = first.1.iter().flatten().zip(variables.iter().flatten());
        let far = distances.filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
        let count: usize = variables.iter().map(Vec::len).sum();
        assert!(far * 100 < count, "{name}: {far} of {count} values are far");
    }
}
