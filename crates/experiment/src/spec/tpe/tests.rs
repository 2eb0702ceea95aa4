//! Whether what is suggested is what the paper says, and better than draws.

use super::super::space::Axis;
use super::*;
use crate::spec::Setting;
use homebench_diagnostic::KeyPath;

fn axis(name: &str, domain: Domain) -> Axis {
    Axis {
        setting: Setting::at(KeyPath::new([name])).unwrap(),
        domain,
        place: KeyPath::default(),
    }
}

fn space() -> RandomSpace {
    let choices = ["a", "b", "c"].map(|name| Value::String(name.to_owned()));
    RandomSpace {
        n: None,
        seed: Some(3),
        axes: vec![
            axis("kind", Domain::Choices(choices.to_vec())),
            axis(
                "rate",
                Domain::Reals {
                    low: 1e-4,
                    high: 1.0,
                    log: true,
                },
            ),
            axis(
                "width",
                Domain::Integers {
                    low: 1,
                    high: 64,
                    log: false,
                },
            ),
        ],
    }
}

/// Best at kind b, a rate of .01 and a width of 48.
fn score(chosen: &[Chosen]) -> f64 {
    let off = |index: usize, best: f64| {
        let domain = &space().axes[index].domain;
        position(domain, &chosen[index].value) - best
    };
    let of_kind = if in_name(&chosen[0].value) == "b" {
        0.0
    } else {
        -0.3
    };
    of_kind - off(1, 0.5).powi(2) - off(2, 0.75).powi(2)
}

/// Scores of so many trials, the first ten drawn.
fn search(space: &RandomSpace, trials: usize, generation: usize, is_random: bool) -> Vec<f64> {
    let mut observed: Vec<Observed> = Vec::new();
    while observed.len() < trials {
        let num_ended = observed.len();
        let size = if num_ended < 10 { 10 } else { generation };
        for _ in 0..size.min(trials - num_ended) {
            let index = observed.len() as u64;
            let chosen = match num_ended < 10 || is_random {
                true => space.with_values(|axis| {
                    draw(
                        &axis.domain,
                        space.seed.unwrap(),
                        &axis.setting.to_string(),
                        index,
                    )
                }),
                false => suggest(space, &observed, num_ended, |_| Ok(())).unwrap().1,
            };
            observed.push(Observed {
                chosen,
                score: None,
            });
        }
        for one in &mut observed[num_ended..] {
            one.score = Some(score(&one.chosen));
        }
    }
    observed.iter().map(|one| one.score.unwrap()).collect()
}

#[test]
fn suggestions_come_nearer_to_the_best_than_random_draws() {
    let best = |seed: u64, is_random: bool| {
        let space = RandomSpace {
            seed: Some(seed),
            ..space()
        };
        search(&space, 40, 4, is_random)
            .into_iter()
            .fold(f64::MIN, f64::max)
    };
    let mean = |is_random: bool| (0..20).map(|seed| best(seed, is_random)).sum::<f64>() / 20.0;
    let (tpe, random) = (mean(false), mean(true));
    assert!(tpe > 0.75 * random, "{tpe} {random}");
}

#[test]
fn a_suggestion_depends_on_what_has_ended_and_on_the_seed_and_is_never_tried_twice() {
    let space = space();
    let observed = |count: u64| -> Vec<Observed> {
        let all = (0..count).map(|index| {
            let chosen =
                space.with_values(|axis| draw(&axis.domain, 3, &axis.setting.to_string(), index));
            let score = (index != 2).then(|| score(&chosen));
            Observed { chosen, score }
        });
        all.collect()
    };
    let suggested =
        |observed: &[Observed], ended| suggest(&space, observed, ended, |_| Ok(())).unwrap().1;
    assert_eq!(suggested(&observed(12), 12), suggested(&observed(12), 12));
    assert_ne!(suggested(&observed(12), 12), suggested(&observed(13), 13));
    // What is under way says nothing yet.
    let mut under_way = observed(12);
    under_way[11].score = None;
    let first = suggested(&under_way, 11);
    assert_eq!(first, suggested(&observed(12), 11));
    // Three settings in all, two of which were tried.
    let few = RandomSpace {
        axes: space.axes[..1].to_vec(),
        ..space.clone()
    };
    let tried = |name: &str| Observed {
        chosen: few.with_values(|_| Value::String(name.to_owned())),
        score: Some(1.0),
    };
    let both = [tried("a"), tried("c")];
    let (_, chosen) = suggest(&few, &both, 2, |_| Ok(())).unwrap();
    assert_eq!(in_name(&chosen[0].value), "b");
    let all = [tried("a"), tried("b"), tried("c")];
    let said = suggest(&few, &all, 3, |_| Ok(())).unwrap_err().to_string();
    assert!(
        said.contains("no settings are left after 3 trials"),
        "{said}"
    );
    // What makes no model is passed over.
    let refuse_b = |chosen: Vec<Chosen>| match in_name(&chosen[0].value).as_str() {
        "b" => Err(Diagnostic::new("spec.toml", "no such width")),
        _ => Ok(()),
    };
    assert!(
        suggest(&few, &both, 2, refuse_b)
            .unwrap_err()
            .to_string()
            .contains("no such width")
    );
}

#[test]
fn densities_are_those_of_the_paper_and_have_a_sum_of_one() {
    let domain = &space().axes[1].domain.clone();
    let values = [Value::Float(0.01), Value::Float(0.1)];
    let density = Density::new(domain, values.iter());
    let Density::Mixture(normals) = &density else {
        panic!("a range has a mixture");
    };
    // At one half and three quarters of four decades; each as wide as the way to its farther neighbour.
    let expected = [(0.5, 0.5), (0.75, 0.25)];
    for (found, expected) in normals.iter().zip(expected) {
        assert!((found.0 - expected.0).abs() < 1e-12 && (found.1 - expected.1).abs() < 1e-12);
    }
    let num = 20_000;
    let at = |index: usize| {
        let share = (index as f64 + 0.5) / num as f64;
        let sum: f64 = normals
            .iter()
            .map(|normal| normal_density(share, *normal))
            .sum();
        (1.0 + sum) / 3.0
    };
    let total: f64 = (0..num).map(at).sum::<f64>() / num as f64;
    assert!((total - 1.0).abs() < 1e-6, "{total}");
    let choices = Density::new(&space().axes[0].domain, [Value::String("b".into())].iter());
    let Density::Choices(shares) = choices else {
        panic!("choices have shares");
    };
    assert_eq!(shares, [0.25, 0.5, 0.25]);
}
