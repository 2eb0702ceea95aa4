//! Known answers on a trace made by hand, and on models made to collapse, to be owned and to underfit.

use super::*;
use candle_core::Device;
use homebench_model::{
    BuildContext, ExpertTrace, GateTrace, InputColumns, ModelConfig, TaskGroup, VarBuilder,
    Variables,
};

const MOMENT: Moment = Moment { epoch: 2, step: 7 };

/// Tasks of rates .5, .1 and .01.
fn layout() -> TaskLayout {
    TaskLayout {
        tasks: ["dense", "rare", "rarest"].map(str::to_owned).to_vec(),
        groups: vec![TaskGroup {
            name: "all".into(),
            tasks: vec![0, 1, 2],
        }],
    }
}

fn scores(layout: &TaskLayout) -> Vec<Score> {
    let tasks = layout.tasks.iter().zip([500, 100, 10]);
    let score = |(task, positives): (&String, usize)| Score {
        split: crate::SplitName::Validation,
        task: task.clone(),
        metric: homebench_metric::Metric::Auc,
        value: None,
        rows: 1000,
        positives: Some(positives),
    };
    tasks.map(score).collect()
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// What is found on the rows of these traces.
fn found(layout: &TaskLayout, traces: &[Trace]) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut collector = Collector::with_histograms(layout);
    traces
        .iter()
        .for_each(|trace| collector.add(trace).unwrap());
    let norms = [("task.dense.expert".to_owned(), 1.5)].into();
    collector
        .finish(MOMENT, &scores(layout), &norms, &mut found)
        .unwrap();
    let mut collector = Collector::with_histograms(layout);
    traces
        .iter()
        .for_each(|trace| collector.add(trace).unwrap());
    collector.finish_histograms(MOMENT, &mut found);
    found
}

impl Diagnostics {
    #[track_caller]
    fn expert(&self, path: &str, expert: Option<usize>, metric: &str) -> (Option<f64>, &str) {
        let mut points = self.experts.iter().filter(|point| {
            point.path == path && point.expert == expert && point.metric.name() == metric
        });
        let point = points.next().unwrap_or_else(|| panic!("{path} {metric}"));
        assert!(points.next().is_none(), "two of {path} {metric}");
        (point.value, &point.task)
    }

    fn gate(&self, path: &str, expert: Option<(&str, usize)>, metric: &str) -> Option<f64> {
        let of = |point: &GatePoint| point.expert.map(|e| (point.expert_path.clone(), e));
        let expert = expert.map(|(path, e)| (path.to_owned(), e));
        let mut points = self.gates.iter().filter(|point| {
            point.path == path && of(point) == expert && point.metric.name() == metric
        });
        points.next()?.value
    }
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.expect("a value");
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

/// Two shared experts and one of the densest task, on two rows.
fn by_hand() -> Trace {
    let mut trace = Trace::default();
    let set = |path: &str, owner, values: &[f32], experts| ExpertTrace {
        path: path.into(),
        layer: 0,
        owner,
        outputs: tensor(values, &[experts, 2, 2]),
    };
    // The second shared expert is dead, the first has mean 1 and deviation 1.
    let shared = [2.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0];
    trace
        .experts
        .push(set("shared.expert", Owner::All, &shared, 2));
    let own = [-3.0, 3.0, 3.0, -3.0];
    trace
        .experts
        .push(set("task.dense.expert", Owner::Task(0), &own, 1));
    let gate = |task: usize, seen: &[usize], weights: &[f32]| GateTrace {
        path: format!("task.{}.gate", layout().tasks[task]),
        layer: 0,
        owner: Owner::Task(task),
        kind: GateKind::Softmax,
        chooses: false,
        weights: tensor(weights, &[2, seen.len()]),
        seen: seen.to_vec(),
    };
    let dense = [0.25, 0.25, 0.5, 0.25, 0.25, 0.5];
    trace.gates.push(gate(0, &[0, 1, 2], &dense));
    trace.gates.push(gate(1, &[0, 1], &[1.0, 0.0, 0.5, 0.5]));
    trace.gates.push(gate(2, &[0, 1], &[0.0, 1.0, 0.0, 1.0]));
    trace
}

#[test]
fn a_trace_made_by_hand_has_the_indices_made_by_hand() {
    let layout = layout();
    // Twice the same rows: means stay.
    let found = found(&layout, &[by_hand(), by_hand()]);
    let of = |path, expert, metric| found.expert(path, expert, metric).0;
    assert_close(of("shared.expert", Some(0), "zero_rate"), 0.5);
    assert_close(of("shared.expert", Some(0), "dead_units"), 0.0);
    assert_close(of("shared.expert", Some(0), "mean"), 1.0);
    assert_close(of("shared.expert", Some(0), "std"), 1.0);
    assert_close(of("shared.expert", Some(1), "zero_rate"), 1.0);
    assert_close(of("shared.expert", Some(1), "dead_units"), 1.0);
    assert_close(of("task.dense.expert", Some(0), "std"), 3.0);
    assert_eq!(
        of("", None, "scale_disparity"),
        None,
        "an expert is constant"
    );
    // Mean weights on the first shared expert: .25, .75, 0; on the second .25, .25, 1.
    let (share, occupant) = found.expert("shared.expert", Some(0), "occupancy");
    assert_close(share, 0.75);
    assert_eq!(occupant, "rare");
    let (share, occupant) = found.expert("shared.expert", Some(1), "occupancy");
    assert_close(share, 1.0 / 1.5);
    assert_eq!(occupant, "rarest");
    let occupancies = found
        .experts
        .iter()
        .filter(|p| p.metric == InsideName::Occupancy);
    assert_eq!(
        occupancies.count(),
        2,
        "an expert of one's own isn't shared"
    );
    let gradient = found.expert("task.dense.expert", None, "gradient_norm");
    assert_eq!(gradient, (Some(1.5), "dense"));

    let gate = |path, expert, metric| found.gate(path, expert, metric);
    assert_close(gate("task.dense.gate", None, "specific_weight"), 0.5);
    assert_eq!(gate("task.rare.gate", None, "specific_weight"), None);
    let shared = Some(("shared.expert", 0));
    assert_close(gate("task.rare.gate", shared, "weight"), 0.75);
    let hidden = Some(("task.dense.expert", 0));
    assert_eq!(gate("task.rare.gate", hidden, "weight"), None, "not seen");
    assert_close(gate("task.rare.gate", None, "entropy"), 2f64.ln() / 2.0);
    assert_close(gate("task.rare.gate", None, "spread"), 0.25);
    assert_close(gate("task.dense.gate", None, "spread"), 0.0);
    let moments = found.gates.iter().map(|point| (point.epoch, point.step));
    assert!(moments.into_iter().all(|moment| moment == (2, 7)));

    let dead: Vec<&HistogramPoint> = found
        .histograms
        .iter()
        .filter(|bin| (bin.path.as_str(), bin.expert) == ("shared.expert", 1))
        .collect();
    assert_eq!((dead.len(), dead[0].count), (1, 8), "all of it is zero");
}

#[test]
fn an_expert_or_a_gate_or_a_gradient_that_is_not_finite_is_refused_by_its_path() {
    let layout = layout();
    let refused = |trace: &Trace, norm: f64| {
        let mut collector = Collector::new(&layout);
        collector.add(trace).unwrap();
        let norms = [("task.dense.expert".to_owned(), norm)].into();
        let mut found = Diagnostics::default();
        let finished = collector.finish(MOMENT, &scores(&layout), &norms, &mut found);
        finished.map_err(|error| error.to_string())
    };
    assert_eq!(refused(&by_hand(), 1.0), Ok(()));
    let mut expert = by_hand();
    expert.experts[0].outputs = tensor(
        &[f32::INFINITY, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0],
        &[2, 2, 2],
    );
    let mut gate = by_hand();
    gate.gates[1].weights = tensor(&[f32::NAN, 0.0, 0.5, 0.5], &[2, 2]);
    for (said, begins) in [
        (refused(&expert, 1.0), "mean of `shared.expert` became inf"),
        (refused(&gate, 1.0), "weight of `task.rare.gate` became NaN"),
        (
            refused(&by_hand(), f64::INFINITY),
            "gradient_norm of `task.dense.expert` became inf",
        ),
    ] {
        let said = said.unwrap_err();
        assert!(said.starts_with(begins), "{said}");
        assert!(said.contains("(after step 7, epoch 2)"), "{said}");
    }
}

/// A model with its variables, on inputs that vary.
fn traced(name: &str, knobs: &str, change: impl Fn(&Variables)) -> Diagnostics {
    let layout = layout();
    let context = BuildContext {
        layout: &layout,
        input_dim: 4,
        num_embedded: 0,
        input_per_task: false,
        columns: InputColumns::default(),
        after: &[],
    };
    let vb = VarBuilder::from_seed(3, DType::F32, &Device::Cpu);
    let config = ModelConfig::from_table(name, &knobs.parse().unwrap()).unwrap();
    let model = config.build(&context, &vb).unwrap();
    change(&vb.finish().unwrap());
    let values: Vec<f32> = (0..400).map(|i| (i as f32 * 1.7).sin()).collect();
    let mut trace = Trace::default();
    let xs = tensor(&values, &[100, 4]);
    model.forward_t(&xs, false, Some(&mut trace)).unwrap();
    found(&layout, &[trace])
}

fn set(variables: &Variables, path: &str, change: impl FnOnce(&mut [f32])) {
    let mut parameters = variables.parameters().iter();
    let parameter = parameters.find(|parameter| parameter.path() == path);
    parameter.expect(path).update(change).unwrap();
}

#[test]
fn an_expert_pushed_below_zero_is_found_dead_and_the_others_are_not() {
    let knobs = "num_experts = 3\nexpert_dims = [8]\ntower_dims = []";
    let found = traced("mmoe", knobs, |variables| {
        let bias = |values: &mut [f32]| values[8..16].fill(-100.0);
        set(variables, "shared.expert.0.bias", bias);
    });
    let of = |expert, metric| found.expert("shared.expert", Some(expert), metric).0;
    assert_eq!(
        (of(1, "zero_rate"), of(1, "dead_units")),
        (Some(1.0), Some(1.0))
    );
    for alive in [0, 2] {
        assert!(of(alive, "zero_rate") < Some(0.9) && of(alive, "std") > Some(0.01));
    }
    assert_eq!(found.expert("", None, "scale_disparity").0, None);
}

const CGC: &str =
    "num_task_experts = 1\nnum_shared_experts = 1\nexpert_dims = [8]\ntower_dims = []";

/// Logits of each task's gate on its own expert and on the shared one.
fn with_gates(own_and_shared: [[f32; 2]; 3]) -> Diagnostics {
    traced("cgc", CGC, |variables| {
        for (task, logits) in layout().tasks.iter().zip(own_and_shared) {
            let path = |name: &str| format!("level.0.task.{task}.gate.{name}");
            set(variables, &path("weight"), |weight| weight.fill(0.0));
            set(variables, &path("bias"), |bias| {
                bias.copy_from_slice(&logits)
            });
        }
    })
}

#[test]
fn a_shared_expert_that_one_gate_alone_uses_is_owned() {
    let found = with_gates([[20.0, -20.0], [-20.0, 20.0], [20.0, -20.0]]);
    let (share, occupant) = found.expert("level.0.shared.expert", Some(0), "occupancy");
    assert_close(share, 1.0);
    assert_eq!(occupant, "rare");
    let even = with_gates([[0.0; 2]; 3]);
    let (share, _) = even.expert("level.0.shared.expert", Some(0), "occupancy");
    assert_close(share, 1.0 / 3.0);
}

#[test]
fn weight_on_own_experts_that_falls_with_the_rate_is_seen_as_underfitting() {
    let found = with_gates([[3.0, 0.0], [1.0, 0.0], [-2.0, 0.0]]);
    let weight = |task: &str| {
        let path = format!("level.0.task.{task}.gate");
        found.gate(&path, None, "specific_weight")
    };
    let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    assert_close(weight("dense"), share(3.0));
    assert_close(weight("rarest"), share(-2.0));
    assert_close(found.gate("", None, "specific_weight_rho"), 1.0);
    let turned = with_gates([[-3.0, 0.0], [1.0, 0.0], [2.0, 0.0]]);
    assert_close(turned.gate("", None, "specific_weight_rho"), -1.0);
    // Gates that don't look at the row are static, and a shared gate's choice is no task's.
    let spreads = found
        .gates
        .iter()
        .filter(|point| point.metric == InsideName::Spread);
    assert!(spreads.into_iter().all(|point| point.value == Some(0.0)));
}

#[test]
fn homes_meta_layer_has_groups_for_tasks_and_self_gates_are_no_one_s_share() {
    let knobs = "expert_dims = [8]\ntower_dims = []\nrank = 2";
    let found = traced("home", knobs, |_| ());
    let layers = found.experts.iter().map(|point| point.layer).max();
    assert_eq!(layers, Some(1));
    assert!(found.gate("task.rare.self_gate", None, "entropy").is_none());
    assert!(found.gate("task.rare.self_gate", None, "spread").is_some());
    assert!(
        found
            .gate("task.rare.gate", None, "specific_weight")
            .is_some()
    );
    assert!(
        found
            .gate("meta.all.gate", None, "specific_weight")
            .is_some()
    );
    // One group: its gate alone sees the shared meta experts, so nobody occupies them.
    let occupied = found
        .experts
        .iter()
        .filter(|p| p.metric == InsideName::Occupancy);
    let paths: std::collections::BTreeSet<&str> = occupied.map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths.into_iter().collect::<Vec<_>>(),
        ["group.all.expert", "shared.expert"]
    );
}

#[test]
fn the_same_numbers_come_out_at_any_number_of_threads() {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| traced("ple", "expert_dims = [8]\ntower_dims = []", |_| ()))
    };
    assert_eq!(with_threads(1), with_threads(3));
}
