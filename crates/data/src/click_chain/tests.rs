//! Tests that a chain has its rates, its impossible rows and the probabilities that it says it has.

use super::*;
use crate::tests::correlation;

const ROWS: u64 = 30_000;

fn config() -> ClickChainConfig {
    let task = |name: &str, rate| ChainTask {
        name: name.to_owned(),
        rate,
    };
    ClickChainConfig {
        seed: 3,
        rows: [1000, 100, 100],
        input_dim: 11,
        correlation: 0.6,
        signal: 1.5,
        nonlinearity: 0.3,
        confounding: 1.0,
        tasks: vec![task("click", 0.3), task("cart", 0.4), task("buy", 0.2)],
    }
}

fn labels(config: &ClickChainConfig) -> Vec<[bool; 3]> {
    let rows = ClickChain::new(config).rows(0, 0..ROWS);
    let rows = rows.labels.chunks_exact(3);
    rows.map(|row| [0, 1, 2].map(|task| row[task] == 1.0))
        .collect()
}

fn chances(config: &ClickChainConfig, task: usize) -> Vec<f64> {
    let logits = ClickChain::new(config).true_logits(0, 0..ROWS, task);
    logits
        .into_iter()
        .map(|logit| sigmoid(f64::from(logit)))
        .collect()
}

#[test]
fn any_range_of_rows_is_the_same_wherever_it_is_made() {
    let all = ClickChain::new(&config()).rows(1, 0..100);
    let part = ClickChain::new(&config()).rows(1, 40..60);
    assert_eq!(part.numeric, all.numeric[40 * 11..60 * 11]);
    assert_eq!(part.labels, all.labels[40 * 3..60 * 3]);
    let logits = ClickChain::new(&config()).true_logits(1, 0..100, 2);
    assert_eq!(
        ClickChain::new(&config()).true_logits(1, 40..60, 2),
        logits[40..60]
    );
}

#[test]
fn a_label_is_positive_only_where_the_one_before_it_is_and_at_its_rate_there() {
    let labels = labels(&config());
    assert!(
        labels
            .iter()
            .all(|[click, cart, buy]| cart <= click && buy <= cart)
    );
    let rate = |of: usize| {
        let among = labels.iter().filter(|row| of == 0 || row[of - 1]);
        let (count, positives) = among.fold((0.0, 0.0), |(count, positives), row| {
            (count + 1.0, positives + f64::from(u8::from(row[of])))
        });
        positives / count
    };
    // About three standard errors of each.
    for (task, (expected, tolerance)) in [(0.3, 0.009), (0.4, 0.017), (0.2, 0.022)]
        .into_iter()
        .enumerate()
    {
        assert!(
            (rate(task) - expected).abs() < tolerance,
            "{task}: {}",
            rate(task)
        );
    }
}

/// Rows with chances in each tenth have labels at about their mean chance, with what no input tells and without.
#[test]
fn chances_are_those_of_the_labels() {
    for confounding in [0.0, 3.0] {
        let config = ClickChainConfig {
            confounding,
            ..config()
        };
        let labels = labels(&config);
        for task in 0..3 {
            let mut rows: Vec<(f64, f64)> = chances(&config, task)
                .into_iter()
                .zip(&labels)
                .map(|(chance, row)| (chance, f64::from(u8::from(row[task]))))
                .collect();
            rows.sort_by(|a, b| a.0.total_cmp(&b.0));
            for tenth in rows.chunks(rows.len() / 10) {
                let count = tenth.len() as f64;
                let [chance, rate] = tenth
                    .iter()
                    .fold([0.0; 2], |[a, b], (chance, label)| [a + chance, b + label])
                    .map(|sum| sum / count);
                let error = (chance * (1.0 - chance) / count).sqrt();
                assert!(
                    (chance - rate).abs() < 4.0 * error + 1e-4,
                    "{confounding} {task}: {chance} {rate}"
                );
            }
        }
    }
}

#[test]
fn functions_are_of_mean_0_and_variance_1_and_neighbours_agree_as_asked() {
    for (nonlinearity, expected) in [(0.0, 0.6), (0.3, 0.42)] {
        let config = ClickChainConfig {
            nonlinearity,
            signal: 1.0,
            ..config()
        };
        let chain = ClickChain::new(&config);
        let mut scores = [const { Vec::new() }; 3];
        chain.inputs.for_each_row(0, 0..ROWS, |_, inputs| {
            for (task, scores) in scores.iter_mut().enumerate() {
                scores.push(chain.score(task, inputs) - chain.intercepts[task]);
            }
        });
        for scores in &scores {
            let count = scores.len() as f64;
            let mean = scores.iter().sum::<f64>() / count;
            let variance = scores.iter().map(|score| score * score).sum::<f64>() / count;
            assert!(
                mean.abs() < 0.02 && (variance - 1.0).abs() < 0.05,
                "{mean} {variance}"
            );
        }
        let agreement = correlation(&scores[0], &scores[1]);
        assert!((agreement - expected).abs() < 0.02, "{agreement}");
    }
}

/// Rows with a click are others than all: more of them have inputs that speak for a purchase.
#[test]
fn rows_with_a_click_are_selected() {
    let config = config();
    let chain = ClickChain::new(&config);
    let mut scores = Vec::new();
    chain
        .inputs
        .for_each_row(0, 0..ROWS, |_, inputs| scores.push(chain.score(1, inputs)));
    let labels = labels(&config);
    let mean = |clicked: bool| {
        let rows = scores
            .iter()
            .zip(&labels)
            .filter(|(_, row)| row[0] == clicked);
        let (count, sum) = rows.fold((0.0, 0.0), |(count, sum), (score, _)| {
            (count + 1.0, sum + score)
        });
        sum / count
    };
    assert!(
        mean(true) - mean(false) > 0.5,
        "{} {}",
        mean(true),
        mean(false)
    );
}
