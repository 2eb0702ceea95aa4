//! What must hold of bottoms whatever their weights, what they cost, and what is refused.

mod common;

use candle_core::{DType, Tensor};
use common::{
    ByPath, NUM_EMBEDDED, Network, config, fields, inputs, loss_of_step, place, three_tasks, values,
};
use homebench_model::{
    BuildContext, InputColumns, InputFeature, ModelConfig, ModelError, VarBuilder, bottoms,
    registry,
};

const WIDTH: usize = 7;
const ROWS: usize = 9;

/// Every bottom with small settings.
const BOTTOMS: [&str; 5] = [
    "bottom = 'fm'",
    "bottom = 'dcn_v2'",
    "bottom = 'dcn_v2'\ncross_rank = 2\ncross_layers = 3",
    "bottom = 'autoint'",
    "bottom = 'autoint'\nattention_layers = 1\nattention_heads = 3\nattention_dim = 2",
];

fn network(model: &str, knobs: &str) -> Network {
    Network::from_seed(&config(model, knobs), &three_tasks(), WIDTH)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).iter().map(|value| value.to_bits()).collect()
}

/// A model of these knobs on these features, or why there is none.
fn built(
    model: &str,
    knobs: &str,
    features: &[InputFeature],
    num_embedded: usize,
    embedding_dim: usize,
) -> Result<Network, ModelError> {
    let layout = three_tasks();
    let context = BuildContext {
        layout: &layout,
        input_dim: features.last().map_or(WIDTH, |feature| feature.columns.end),
        num_embedded,
        input_per_task: false,
        columns: InputColumns {
            features,
            embedding_dim,
            ..InputColumns::default()
        },
        after: &[],
    };
    let config = ModelConfig::from_table(model, &knobs.parse().unwrap())?;
    let vb = VarBuilder::from_seed(3, DType::F32, &place::device());
    let model = config.build(&context, &vb)?;
    Ok(Network {
        model,
        variables: vb.finish()?,
        config,
    })
}

fn features(widths: &[usize]) -> Vec<InputFeature> {
    let mut start = 0;
    let feature = |(index, width): (usize, &usize)| {
        let first = start;
        start += width;
        InputFeature {
            name: format!("f{index}"),
            columns: first..start,
        }
    };
    widths.iter().enumerate().map(feature).collect()
}

/// The weights of a network, those below `path` as `change` makes them.
fn changed(network: &Network, path: &str, change: impl Fn(&Tensor) -> Tensor) -> ByPath {
    let weights = network.variables.snapshot().unwrap().into_iter();
    let changed = weights.map(|(name, tensor)| match name.starts_with(path) {
        true => (name, change(&tensor)),
        false => (name, tensor),
    });
    changed.collect()
}

fn zero(tensor: &Tensor) -> Tensor {
    tensor.zeros_like().unwrap()
}

#[test]
fn cross_layers_of_zero_weights_are_no_bottom_at_all() {
    let plain = network("home", "rank = 2");
    let xs = inputs(ROWS, WIDTH, 2.0);
    for rank in [0, 3] {
        let knobs = format!("rank = 2\nbottom = 'dcn_v2'\ncross_layers = 3\ncross_rank = {rank}");
        let with = network("home", &knobs);
        // In evaluation: a pass in training would move the running statistics of each by what it reads.
        let score = |network: &Network| bits(&network.model.forward_t(&xs, false, None).unwrap());
        assert_ne!(score(&with), score(&plain));
        let weights = changed(&with, "bottom.", zero);
        let with = Network::from_weights(&with.config, &three_tasks(), WIDTH, weights);
        // The rest of the model starts from the same weights, whatever is before it.
        assert_eq!(score(&with), score(&plain), "rank {rank}");
    }
}

#[test]
fn one_field_has_no_interaction_beside_it() {
    let one = features(&[5]);
    let with = built("shared_bottom", "bottom = 'fm'", &one, 5, 5).unwrap();
    // Without any, the network's first layer reads the field beside units that are 0: what it has for those makes no difference.
    let xs = inputs(ROWS, 5, 2.0);
    let first = "shared.expert.0.weight";
    let weights = with.variables.snapshot().unwrap();
    assert_eq!(weights[first].dims(), [1, 10, 64]);
    let mut other = weights.clone();
    let cut = weights[first].narrow(1, 0, 5).unwrap();
    let nothing = Tensor::zeros((1, 5, 64), DType::F32, &place::device()).unwrap();
    other.insert(first.to_owned(), Tensor::cat(&[&cut, &nothing], 1).unwrap());
    let before = with.logits(&xs);
    with.variables.restore(&other).unwrap();
    assert_eq!(bits(&with.logits(&xs)), bits(&before));
    // And of two fields it does make one.
    let two = built("shared_bottom", "bottom = 'fm'", &features(&[5, 5]), 10, 5).unwrap();
    let xs = inputs(ROWS, 10, 2.0);
    let before = two.logits(&xs);
    let no_pairs = changed(&two, first, |weight| {
        let kept = weight.narrow(1, 0, 10).unwrap();
        Tensor::cat(
            &[
                &kept,
                &weight.narrow(1, 10, 5).unwrap().zeros_like().unwrap(),
            ],
            1,
        )
        .unwrap()
    });
    two.variables.restore(&no_pairs).unwrap();
    assert_ne!(bits(&two.logits(&xs)), bits(&before));
}

#[test]
fn fields_may_stand_in_any_order_for_what_interacts() {
    // Two fields change places, columns and all; behind them the pairs are the same ones.
    let both = features(&[3, 3]);
    let network = built("shared_bottom", "bottom = 'fm'", &both, 6, 3).unwrap();
    let first = "shared.expert.0.weight";
    // Only the interaction is read.
    let weights = changed(&network, first, |weight| {
        let nothing = weight.narrow(1, 0, 6).unwrap().zeros_like().unwrap();
        Tensor::cat(&[&nothing, &weight.narrow(1, 6, 3).unwrap()], 1).unwrap()
    });
    network.variables.restore(&weights).unwrap();
    let xs = inputs(ROWS, 6, 2.0);
    let halves = [xs.narrow(1, 3, 3).unwrap(), xs.narrow(1, 0, 3).unwrap()];
    let swapped = Tensor::cat(&halves, 1).unwrap();
    assert_eq!(bits(&network.logits(&xs)), bits(&network.logits(&swapped)));
}

#[test]
fn a_row_alone_is_that_row_of_a_batch_to_the_bit() {
    for bottom in BOTTOMS {
        for model in ["mmoe", "home", "single_task"] {
            let knobs = match model {
                "home" => format!("rank = 2\n{bottom}"),
                _ => bottom.to_owned(),
            };
            let network = network(model, &knobs);
            let xs = inputs(130, WIDTH, 2.0);
            let score = |xs: &Tensor| network.model.forward_t(xs, false, None).unwrap();
            let all = score(&xs);
            for row in [0, 63, 64, 129] {
                let alone = score(&xs.narrow(0, row, 1).unwrap().contiguous().unwrap());
                assert_eq!(
                    bits(&alone),
                    bits(&all.narrow(0, row, 1).unwrap()),
                    "{model} {bottom}"
                );
            }
        }
    }
}

#[test]
fn without_a_bottom_a_model_is_the_cell_and_the_weights_that_it_was() {
    for entry in registry() {
        let none = ModelConfig::from_table(entry.name, &"bottom = 'none'".parse().unwrap());
        let nothing = ModelConfig::from_table(entry.name, &toml::Table::new());
        assert_eq!(none, nothing);
        assert!(!nothing.unwrap().knobs().contains_key("bottom"));
    }
    let (plain, none) = (network("mmoe", ""), network("mmoe", "bottom = 'none'"));
    let paths = |network: &Network| -> Vec<String> {
        let parameters = network.variables.parameters().iter();
        parameters.map(|p| p.path().to_owned()).collect()
    };
    assert_eq!(paths(&plain), paths(&none));
    assert_eq!(plain.model.flops_per_row(), none.model.flops_per_row());
}

#[test]
fn a_bottom_is_shared_by_the_tasks_unless_their_tables_are_their_own() {
    for bottom in BOTTOMS {
        for (model, is_shared) in [("mmoe", true), ("ple", true), ("single_task", false)] {
            let network = network(model, bottom);
            let shared: Vec<&str> = network.variables.shared().map(|p| p.path()).collect();
            let of_bottom = network.variables.parameters().iter().map(|p| p.path());
            let mut of_bottom = of_bottom.filter(|path| path.contains("bottom.")).peekable();
            assert!(of_bottom.peek().is_some(), "{model} {bottom}");
            for path in of_bottom {
                assert_eq!(shared.contains(&path), is_shared, "{model}: {path}");
                assert_eq!(path.starts_with("bottom."), is_shared, "{model}: {path}");
            }
        }
        // One task's loss reaches its own bottom and no other.
        let network = network("single_task", bottom);
        let arrived = network.gradients(&inputs(ROWS, WIDTH, 1.0), |logits| {
            logits.narrow(1, 1, 1)?.sqr()?.sum_all()
        });
        for (path, gradient) in &arrived {
            let is_zero = gradient.iter().all(|value| *value == 0.0);
            if path.starts_with("task.a.bottom") || path.starts_with("task.c.bottom") {
                assert!(is_zero, "{path}");
            }
        }
        let own = arrived
            .iter()
            .filter(|(path, _)| path.starts_with("task.b.bottom"));
        assert!(own.count() > 0, "{bottom}");
    }
}

#[test]
fn what_a_bottom_costs_is_counted_by_hand() {
    // Two embedded features of 2 units, three numbers; a shared bottom of 6 and 5 units, three towers of 4.
    let of_model = |width: usize| 2 * (width * 6 + 6 * 5 + 3 * (5 * 4 + 4));
    let counts = |knobs: &str| {
        let network = network("shared_bottom", knobs);
        let parameters = network.variables.parameters().iter();
        let of_bottom = parameters.filter(|p| p.path().starts_with("bottom."));
        let numbers: usize = of_bottom.map(|p| p.num_elements()).sum();
        (network.model.flops_per_row(), numbers)
    };
    assert_eq!(counts(""), (of_model(7), 0));
    // Three vectors of 2; five fields in two units; two columns more.
    assert_eq!(
        counts("bottom = 'fm'"),
        (of_model(9) + 2 * 3 * 2 + 2 * 5 * 2, 3 * 2)
    );
    assert_eq!(
        counts("bottom = 'dcn_v2'\ncross_layers = 3"),
        (of_model(7) + 3 * 2 * 7 * 7, 3 * (7 * 7 + 7))
    );
    assert_eq!(
        counts("bottom = 'dcn_v2'\ncross_layers = 1\ncross_rank = 2"),
        (of_model(7) + 2 * (7 * 2 + 2 * 7), 7 * 2 + 2 * 7 + 7)
    );
    // Four maps of five fields, from 2 units and then from 6; two times 5 x 5 pairs of 6 units.
    let layer = |width: usize| 2 * 4 * 5 * width * 6 + 2 * 2 * 5 * 5 * 6;
    assert_eq!(
        counts("bottom = 'autoint'\nattention_layers = 2\nattention_heads = 3\nattention_dim = 2"),
        (
            of_model(5 * 6) + 2 * 3 * 2 + layer(2) + layer(6),
            3 * 2 + 4 * 2 * 6 + 4 * 6 * 6
        )
    );
}

#[test]
fn inputs_of_numbers_alone_have_vectors_of_the_width_of_embeddings() {
    let numbers = features(&[1, 1, 1]);
    for bottom in ["bottom = 'fm'", "bottom = 'autoint'"] {
        let network = built("mmoe", bottom, &numbers, 0, 4).unwrap();
        let weights = network.variables.snapshot().unwrap();
        assert_eq!(weights["bottom.numeric.weight"].dims(), [3, 4]);
        let xs = inputs(ROWS, 3, 1.0);
        let arrived = network.step_gradients(&xs, None, |output| loss_of_step(output, None));
        assert!(
            arrived["bottom.numeric.weight"]
                .iter()
                .any(|slope| *slope != 0.0)
        );
        let said = built("mmoe", bottom, &numbers, 0, 0)
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains("give `embedding_dim`"), "{said}");
    }
}

#[test]
fn settings_of_another_bottom_and_models_that_can_have_none_are_refused() {
    let said = |model: &str, knobs: &str| {
        let table = knobs.parse().unwrap();
        ModelConfig::from_table(model, &table)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        said("mmoe", "bottom = 'dcn'"),
        "bottom: expected one of \"none\", \"fm\", \"dcn_v2\", \"autoint\", found \"dcn\""
    );
    assert_eq!(
        said("mmoe", "cross_layers = 2"),
        "cross_layers: a setting of bottom = \"dcn_v2\", and the bottom here is \"none\"; write that bottom, or leave this out"
    );
    assert_eq!(
        said("mmoe", "bottom = 'dcn_v2'\nattention_dim = 2"),
        "attention_dim: a setting of bottom = \"autoint\", and the bottom here is \"dcn_v2\"; write that bottom, or leave this out"
    );
    assert_eq!(
        said("mmoe", "bottom = 'dcn_v2'\ncross_layers = 0"),
        "cross_layers: expected a whole number of at least 1, found 0"
    );
    for (model, why) in [
        ("logistic", "it is linear in the features"),
        ("pepnet", "its gates read the columns of single features"),
        ("stem", "its gates add up the inputs"),
    ] {
        for bottom in BOTTOMS {
            let said = said(model, bottom);
            let start = format!("bottom: `{model}` can't have one: {why}");
            assert!(said.starts_with(&start), "{said}");
        }
    }
    let mut unknown = ModelConfig::from_table("mmoe", &"botom = 'fm'".parse().unwrap());
    let Err(ModelError::UnknownKnob { known, .. }) = &mut unknown else {
        panic!("{unknown:?}");
    };
    assert!(known.contains(&"bottom".to_owned()), "{known:?}");
}

#[test]
fn inputs_that_a_bottom_cannot_read_are_refused() {
    let said = |bottom: &str, features: &[InputFeature], num_embedded| {
        let knobs = format!("bottom = '{bottom}'");
        match built("mmoe", &knobs, features, num_embedded, 2) {
            Ok(_) => "a model".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    for bottom in ["fm", "autoint"] {
        let one_by_one = format!("bottom: \"{bottom}\" reads the features of the input one by one");
        // Nobody named them; some columns are nobody's; the tables end inside of a feature; a number of two columns.
        let gap = vec![features(&[2])[0].clone(), features(&[3, 1])[1].clone()];
        for (features, num_embedded) in [
            (Vec::new(), 0),
            (gap, 2),
            (features(&[2, 2, 1]), 3),
            (features(&[2, 2, 2]), 4),
        ] {
            let said = said(bottom, &features, num_embedded);
            assert!(said.starts_with(&one_by_one), "{said}");
        }
        assert_eq!(
            said(bottom, &features(&[2, 3, 1]), 5),
            format!(
                "bottom: \"{bottom}\" needs embeddings of one width, and `f0` has 2 units, `f1` 3; give all features one width, or use \
                 bottom = \"dcn_v2\""
            )
        );
        assert_eq!(said(bottom, &fields(WIDTH), NUM_EMBEDDED), "a model");
    }
    // Cross layers read the input as it is.
    assert_eq!(said("dcn_v2", &[], 0), "a model");
    assert_eq!(said("dcn_v2", &features(&[2, 3, 1]), 5), "a model");
    let rank = |rank: usize| {
        let knobs = format!("bottom = 'dcn_v2'\ncross_rank = {rank}");
        built("mmoe", &knobs, &features(&[2, 3, 1]), 5, 2).map(|_| ())
    };
    assert_eq!(
        rank(6).unwrap_err().to_string(),
        "cross_rank: expected less than 6, the width of the input, found 6; 0 is the full matrix"
    );
    assert!(rank(5).is_ok());
}

#[test]
fn another_bottom_takes_the_settings_of_the_last_with_it() {
    let table = |text: &str| -> toml::Table { text.parse().unwrap() };
    let crossed = config("mmoe", "bottom = 'dcn_v2'\ncross_layers = 4");
    let same = crossed.with_knobs(&table("num_experts = 2")).unwrap();
    assert_eq!(same.knobs()["cross_layers"].as_integer(), Some(4));
    let attending = crossed.with_knobs(&table("bottom = 'autoint'")).unwrap();
    assert_eq!(attending, config("mmoe", "bottom = 'autoint'"));
    assert_eq!(
        crossed.with_knobs(&table("bottom = 'none'")).unwrap(),
        config("mmoe", "")
    );
    assert!(
        crossed
            .with_knobs(&table("bottom = 'fm'\ncross_layers = 1"))
            .is_err()
    );
    for (model, takes) in [("mmoe", true), ("single_task", true), ("pepnet", false)] {
        let plain = ModelConfig::from_table(model, &toml::Table::new()).unwrap();
        assert_eq!(plain.has_knob("bottom"), takes, "{model}");
        assert!(!plain.has_knob("cross_layers"));
    }
    assert!(crossed.has_knob("cross_layers"));
}

#[test]
fn every_bottom_is_among_those_tested_and_no_model_has_a_knob_of_its_name() {
    for bottom in bottoms() {
        let chosen = format!("bottom = '{}'", bottom.name);
        assert!(
            BOTTOMS.iter().any(|knobs| knobs.contains(&chosen)),
            "{chosen}"
        );
        assert!(
            common::MODELS
                .iter()
                .any(|(_, knobs)| knobs.contains(&chosen)),
            "{chosen}"
        );
        for entry in registry() {
            for knob in bottom.knobs {
                assert!(entry.knobs.iter().all(|other| other.name != knob.name));
            }
            assert!(entry.knobs.iter().all(|knob| knob.name != "bottom"));
        }
    }
}
