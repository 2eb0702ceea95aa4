//! HoME: hierarchy of multi-gate experts.
//!
//! Source: Wang et al., "HoME: hierarchy of multi-gate experts for multi-task learning at Kuaishou", arXiv:2408.05430. Its steps, as
//! comments here number them: (1) feature gates, (2) meta experts, (3) self-gates, (4) task experts, (5) towers. Layer 1 has shared meta experts and some per group; layer 2 shared experts,
//! some per group and some per task. Every set reads its input through a feature gate; a self-gate adds a residual over a set's own
//! experts; experts are normalised.
//!
//! Deviations, where the paper leaves a choice open, all of them knobs: gates read the raw input (`gate_input`), the softmax
//! over LoRAs is applied after their sigmoids (`feature_gate_mix`), a feature gate per set (`feature_gate_scope`). With
//! `gate_input = "gated"` a set's gates read that set's gated input, and `G_t` reads `z_c` as gated by the task's set beside `z_sh` as
//! gated by the shared set. Without the mask every gate sees every expert of its layer; inputs and self-gates stay.
//!
//! # Shapes
//! - v: [B, D]; the meta layer's outputs, `z_c` of K groups and then `z_sh`: [K + 1, B, H]
//! - inputs of the task layer's gates, `z_c + z_sh` side by side: [B, 2 H]; its outputs, h_t: [T, B, H]
//! - a gate: [B, experts seen]; a feature gate: the shape of the input that it scales
//! - result: [B, T]

use crate::ModelError;
use crate::features::Tables;
use crate::knobs::{GATE_DIMS, Knob, Knobs, expert_knobs};
use crate::layers::{ExpertSet, FeatureGateConfig, Gate, LevelConfig, Levels};
use crate::part::Place;
use crate::ranker::{BuildContext, GateKind, Ranker};
use crate::registry::Architecture;
use crate::var_builder::VarBuilder;
use homebench_kernels::feature_gate::FeatureGateMix;

pub(super) const HOME: Architecture = Architecture {
    name: "home",
    title: "HoME: hierarchy of multi-gate experts",
    paper: "arXiv:2408.05430",
    equation: "z_c = Sum(G_c(v), {E_sh, E_c}) + Sum(S_c(v), {E_c}); y_t = Tower_t(Sum(G_t(z_c + z_sh), {E2_sh, E2_c, E_t}) + Sum(S_t(z_c), {E_t})), every set behind its feature gate",
    knobs,
    build,
    tables: Tables::Shared,
    no_bottom: None,
    layers: &["meta layer", "task layer"],
};

fn knobs() -> Vec<Knob> {
    // Normalised experts throughout, against collapse; the ablation "HoME w/o norm" turns both knobs back.
    let mut knobs = expert_knobs("batch", "silu").to_vec();
    knobs.extend([
        GATE_DIMS,
        Knob::count("num_meta_shared_experts", 1, 2, "shared experts of layer 1"),
        Knob::count(
            "num_meta_group_experts",
            1,
            2,
            "experts of each group in layer 1",
        ),
        // Layer 2 may lack shared and group sets, but not a task's own: its self-gate would see no expert.
        Knob::count("num_shared_experts", 0, 2, "shared experts of layer 2"),
        Knob::count(
            "num_group_experts",
            0,
            2,
            "experts of each group in layer 2",
        ),
        Knob::count("num_task_experts", 1, 1, "experts of each task in layer 2"),
        Knob::choice(
            "feature_gate",
            &["all", "meta_only", "none"],
            "all",
            "which layers have feature gates",
        ),
        // The paper has two maps. It leaves their rank open.
        Knob::count("num_lora", 1, 2, "low-rank maps of a feature gate"),
        Knob::count("rank", 1, 16, "rank of those maps"),
        Knob::choice(
            "feature_gate_mix",
            &["after_sigmoid", "before_sigmoid"],
            // Each way is 1 at the start, where every map is 0. After the sigmoids each map is a gate of its own.
            "after_sigmoid",
            "where the softmax over low-rank maps is applied",
        ),
        Knob::choice(
            "feature_gate_scope",
            &["per_set", "per_expert"],
            "per_set",
            "what has a feature gate of its own",
        ),
        // G(v) in the equations; a feature gate belongs to a set, and a gate looks at several of them.
        Knob::choice("gate_input", &["raw", "gated"], "raw", "what gates read"),
        Knob::flag("self_gate", true, "residual over a set's own experts"),
        Knob::flag(
            "mask",
            true,
            "the hierarchy: a gate sees the shared experts, its group's and its task's alone",
        ),
    ]);
    knobs
}

fn build(
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> Result<Box<dyn Ranker>, ModelError> {
    if knobs.choice("gate_input") == "gated" && knobs.choice("feature_gate_scope") == "per_expert" {
        return Err(ModelError::knob(
            "gate_input",
            "\"gated\" needs feature_gate_scope = \"per_set\": with a gate per expert a set has no one gated input",
        ));
    }
    if knobs.choice("gate_input") == "gated" && knobs.count("num_shared_experts") == 0 {
        return Err(ModelError::knob(
            "gate_input",
            "\"gated\" needs num_shared_experts of at least 1: the tasks' gates read what the shared set reads",
        ));
    }
    let meta = meta_layer(knobs, context);
    let task = task_layer(knobs, context, meta.expert.output_dim());
    let sources = (0..context.layout.tasks.len()).collect();
    let levels = Levels::new(vec![meta, task], sources, false, knobs, context, vb)?;
    Ok(Box::new(levels))
}

/// (1) Feature gates, of layer 1 or 2.
fn feature_gate(knobs: &Knobs, meta: bool) -> Option<FeatureGateConfig> {
    let there = match knobs.choice("feature_gate") {
        "all" => true,
        // The ablation "HoME w/o fg2".
        "meta_only" => meta,
        _ => false,
    };
    there.then(|| FeatureGateConfig {
        num_lora: knobs.count("num_lora"),
        rank: knobs.count("rank"),
        mix: match knobs.choice("feature_gate_mix") {
            "before_sigmoid" => FeatureGateMix::BeforeSigmoid,
            _ => FeatureGateMix::AfterSigmoid,
        },
        per_expert: knobs.choice("feature_gate_scope") == "per_expert",
        gates_read_gated: knobs.choice("gate_input") == "gated",
    })
}

/// (2), (3) The meta layer: outputs z_c of each group, then z_sh.
fn meta_layer(knobs: &Knobs, context: &BuildContext<'_>) -> LevelConfig {
    let num_groups = context.layout.groups.len();
    let meta = |place: Place, name: &str| Place {
        path: format!("meta.{name}"),
        ..place
    };
    let shared_set = meta(Place::shared(), "shared");
    let groups: Vec<Place> = Place::groups(context.layout)
        .into_iter()
        .map(|group| meta(group.clone(), &group.name))
        .collect();
    let mut level = LevelConfig::new(knobs, 0, context.input_dim, num_groups + 1);
    level.feature_gate = feature_gate(knobs, true);
    let num_shared = knobs.count("num_meta_shared_experts");
    let shared = level.add_set(ExpertSet::new(shared_set.clone(), 0, num_shared));
    let num_own = knobs.count("num_meta_group_experts");
    let own: Vec<Vec<usize>> = groups
        .iter()
        .map(|group| level.add_set(ExpertSet::new(group.clone(), 0, num_own)))
        .collect();
    let all = [shared.as_slice(), &own.concat()].concat();
    for (index, group) in groups.iter().enumerate() {
        let seen = match knobs.flag("mask") {
            true => [shared.as_slice(), &own[index]].concat(),
            false => all.clone(),
        };
        // Sets in order: shared, groups.
        let sources = [vec![0], vec![index + 1]];
        push_gates(&mut level, knobs, group, sources, seen, &own[index], index);
    }
    // G_sh sees every group's experts with the mask as well: z_sh is what groups have in common.
    let sources = [vec![0], vec![0]];
    push_gates(
        &mut level,
        knobs,
        &shared_set,
        sources,
        all,
        &shared,
        num_groups,
    );
    level
}

/// (4) The task layer: output h_t of each task.
fn task_layer(knobs: &Knobs, context: &BuildContext<'_>, input_dim: usize) -> LevelConfig {
    let layout = context.layout;
    let tasks = Place::tasks(layout);
    let mut level = LevelConfig::new(knobs, 1, input_dim, tasks.len());
    level.feature_gate = feature_gate(knobs, false);
    // Inputs are the meta layer's outputs: z_c of each group, then z_sh.
    let z_shared = layout.groups.len();
    let num_shared = knobs.count("num_shared_experts");
    let shared = level.add_set(ExpertSet::new(Place::shared(), z_shared, num_shared));
    let num_group = knobs.count("num_group_experts");
    let of_group: Vec<Vec<usize>> = Place::groups(layout)
        .into_iter()
        .enumerate()
        .map(|(index, group)| level.add_set(ExpertSet::new(group, index, num_group)))
        .collect();
    // A set of no experts is none, so that places of sets are counted and not computed.
    let sets_before_tasks = level.sets.len();
    let num_own = knobs.count("num_task_experts");
    let own: Vec<Vec<usize>> = tasks
        .iter()
        .enumerate()
        .map(|(t, task)| level.add_set(ExpertSet::new(task.clone(), layout.group_of(t), num_own)))
        .collect();
    let all = [shared.as_slice(), &of_group.concat(), &own.concat()].concat();
    for (t, task) in tasks.iter().enumerate() {
        let group = layout.group_of(t);
        let seen = match knobs.flag("mask") {
            true => [shared.as_slice(), &of_group[group], &own[t]].concat(),
            false => all.clone(),
        };
        // The gate reads z_c beside z_sh, the self-gate z_c alone: the first of the sources.
        let sources = [vec![group, z_shared], vec![sets_before_tasks + t, 0]];
        push_gates(&mut level, knobs, task, sources, seen, &own[t], t);
    }
    level
}

/// A gate over `seen` and, unless switched off, a self-gate over `own`; `sources` are their inputs, raw and as sets.
fn push_gates(
    level: &mut LevelConfig,
    knobs: &Knobs,
    place: &Place,
    sources: [Vec<usize>; 2],
    seen: Vec<usize>,
    own: &[usize],
    output: usize,
) {
    let [raw, gated] = sources;
    // Both add to one output: the residual of (3) is a sum, and the mix sums whatever shares an output.
    if knobs.flag("self_gate") {
        level.gates.push(Gate {
            part: level.gate_of(place, GateKind::SelfGate),
            kind: GateKind::SelfGate,
            sources: raw[..1].to_vec(),
            gated_sources: gated[..1].to_vec(),
            experts: own.to_vec(),
            output,
            stopped: Vec::new(),
        });
    }
    level.gates.push(Gate {
        part: level.gate_of(place, GateKind::Softmax),
        kind: GateKind::Softmax,
        sources: raw,
        gated_sources: gated,
        experts: seen,
        output,
        stopped: Vec::new(),
    });
}
