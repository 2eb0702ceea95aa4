"""The golden cases: a name, and the model.toml of each."""

THREE_TASKS = {
    "tasks": ["click", "like", "long_view"],
    # The order of the groups' tasks is not the order of the logits, and "like" is alone in its group.
    "groups": {"watch": ["click", "long_view"], "interaction": ["like"]},
}
FOUR_TASKS = {
    "tasks": ["click", "like", "long_view", "follow"],
    "groups": {"watch": ["click", "long_view"], "interaction": ["like", "follow"]},
}

PARTS = {
    "expert_dims": [4, 3],
    "tower_dims": [3],
    "norm": "none",
    "norm_position": "every_layer",
    "activation": "relu",
}
GATED = PARTS | {"gate_dims": []}
STARRED = {"norm": "batch", "activation": "silu"}

BASELINES = {
    "logistic": {},
    "single_task": PARTS,
    "shared_bottom": PARTS,
    "omoe": GATED | {"num_experts": 3},
    "mmoe": GATED | {"num_experts": 3},
    "ml_mmoe": GATED | {"num_experts": 3, "num_levels": 2},
    "cgc": GATED | {"num_shared_experts": 2, "num_task_experts": 2},
    "ple": GATED | {"num_shared_experts": 2, "num_task_experts": 1, "num_levels": 2},
    "adatt_sp": GATED | {"num_task_experts": 2, "num_levels": 2, "residual": "learned"},
    "adatt": GATED | {"num_shared_experts": 1, "num_task_experts": 2, "num_levels": 2, "residual": "learned"},
}

SPARSE = GATED | {
    "num_experts": 5,
    "top_k": 2,
    "num_shared_experts": 0,
    "gate": "top_k",
    "gate_reads": "per_task",
    "task_dim": 4,
    "gate_rank": 3,
    "gate_weights": "renormalised",
    "gate_noise": "none",
    "gate_noise_std": 0.7,
    "balance": "switch",
    "balance_weight": 0.5,
    "balance_over": "all",
}
LEARNED = {"gate_noise": "learned"}
# Name after the model's -> what differs. A balance loss other than `switch` is one that only this case has.
SPARSE_CASES = {
    "": {},
    "row_and_task": {"gate_reads": "row_and_task", "gate_dims": [4]},
    "row_times_task": {"gate_reads": "row_times_task"},
    "task_only": {"gate_reads": "task_only"},
    "row_only": {"gate_reads": "row_only"},
    "row_only_gate_dims": {"gate_reads": "row_only", "gate_dims": [4]},
    "gate_dims": {"gate_dims": [4, 3]},
    "raw": {"gate_weights": "raw"},
    "raw_one": {"gate_weights": "raw", "top_k": 1},
    # The weight is 1: the gate learns from the balance loss alone.
    "renormalised_one": {"top_k": 1},
    # Three tasks choose an expert each, for all rows: two experts of five or more are idle.
    "task_only_one": {"gate_reads": "task_only", "gate_weights": "raw", "top_k": 1, "balance": "none"},
    "learned_noise": LEARNED,
    "fixed_noise": {"gate_noise": "fixed"},
    "row_and_task_learned_noise": {"gate_reads": "row_and_task", "gate_dims": [4]} | LEARNED,
    "no_balance": {"balance": "none"},
    "switch_by_task": {"balance_over": "task"},
    "importance": {"balance": "importance"},
    "importance_by_task": {"balance": "importance", "balance_over": "task"},
    "importance_raw": {"balance": "importance", "gate_weights": "raw"},
    "load": {"balance": "load"} | LEARNED,
    "load_by_task": {"balance": "load", "balance_over": "task"} | LEARNED,
    "load_fixed_noise": {"balance": "load", "gate_noise": "fixed"},
    "mutual_info": {"balance": "mutual_info"},
    "shared_experts": {"num_shared_experts": 2},
    "dense": {"top_k": 5, "balance": "none"},
    "norm_layer": {"norm": "layer", "activation": "silu"},
    "starred": STARRED,
    "dselect_k": {"gate": "dselect_k"},
    "dselect_k_four_experts": {"gate": "dselect_k", "num_experts": 4},
    "dselect_k_no_balance": {"gate": "dselect_k", "balance": "none"},
}

SMES = PARTS | {
    "num_experts": 5,
    "shared_k": 2,
    "private_k": 1,
    "encoder_dims": [],
    "balance": "switch",
    "balance_weight": 0.5,
}
SMES_CASES = {
    "": {},
    "encoder": {"encoder_dims": [4]},
    "no_private": {"shared_k": 2, "private_k": 0},
    "no_shared": {"shared_k": 0, "private_k": 2},
    "no_balance": {"balance": "none"},
    "starred": STARRED | {"shared_k": 1, "private_k": 2},
}

SWITCH = {
    "num_blocks": 2,
    "num_experts": 3,
    "top_k": 2,
    "hidden_dim": 4,
    "block_dims": [5],
    "tower_dims": [3],
    "activation": "relu",
    "task_embedding": "learned",
    "task_dim": 4,
    "gate_weights": "raw",
    # Otherwise the masks would be 1 in every case.
    "expert_init": "fan_in",
    "prior": "window",
    "prior_weight": 0.5,
    "prior_order": ["click", "like", "long_view"],
    "prior_exponent": 1.0,
}
OTHER_ORDER = {"prior_order": ["long_view", "click", "like"]}
SWITCH_CASES = {
    "": {},
    "no_prior": {"prior": "none"},
    # One of the eight columns is no task's.
    "groups": {"prior": "groups", "prior_units": [2, 1, 1], "num_experts": 4},
    "renormalised": {"gate_weights": "renormalised"},
    "position": {"task_embedding": "position"} | OTHER_ORDER,
    "dense": {"top_k": 3},
    "exponent": {"prior_exponent": 4.0} | OTHER_ORDER,
    "zero_experts": {"expert_init": "zero"},
    "zero_experts_no_prior": {"expert_init": "zero", "prior": "none"},
    "silu": {"activation": "silu", "block_dims": [5, 3]},
    "three_blocks": {"num_blocks": 3},
    # The second of three windows starts at a half.
    "one_block": {"num_blocks": 1},
}

TASK_EXPERT = PARTS | {
    "num_levels": 2,
    "backbone_dims": [4],
    "num_experts": 3,
    "memory": True,
    "memory_write": "replace",
    "memory_read": "linear",
    "gate_reads": "backbone",
    "gate_kind": "softmax",
}
TASK_EXPERT_CASES = {
    "": {},
    "add": {"memory_write": "add"},
    "gated": {"memory_write": "gated"},
    "identity": {"memory_read": "identity"},
    "both": {"gate_reads": "both"},
    "static_gates": {"gate_reads": "none"},
    "sigmoid": {"gate_kind": "sigmoid"},
    "no_memory": {"memory": False},
    "one_level": {"num_levels": 1, "memory_write": "gated"},
    "three_levels": {"num_levels": 3, "memory_read": "identity", "backbone_dims": [4, 5]},
    "three_levels_all": {"num_levels": 3, "memory_write": "gated", "gate_reads": "both", "gate_kind": "sigmoid"},
    "starred": STARRED,
    "norm_layer_output": {"norm": "layer", "norm_position": "output", "activation": "silu", "backbone_dims": [5, 4]},
}

CROSS_STITCH_CASES = {
    "": {},
    "one_level": {"expert_dims": [4]},
    "three_levels": {"expert_dims": [4, 5, 3]},
    "starred": STARRED,
}

# What the columns of the input are, and which feature is the scenario.
FEATURES = {
    "features": [
        {"name": "user", "width": 2},
        {"name": "tab", "width": 1},
        {"name": "age", "width": 1},
        {"name": "author", "width": 1},
    ],
    "scenario": "tab",
}
PEPNET = PARTS | FEATURES | {"parts": "both", "prior_features": ["user", "author"], "gate_hidden_dim": 3}
PEPNET_CASES = {
    "": {},
    # In another order than the columns, and not beside each other.
    "order": {"prior_features": ["author", "tab", "user"], "tower_dims": []},
    "epnet": {"parts": "epnet", "prior_features": []},
    "ppnet": {"parts": "ppnet"},
    "starred": STARRED,
    "norm_layer_output": {"norm": "layer", "norm_position": "output", "activation": "silu"},
}

STEM = GATED | {"num_task_experts": 1, "num_shared_experts": 1, "num_levels": 1, "stop_gradients": True}
STEM_CASES = {
    "": {},
    "two_levels": {"num_levels": 2},
    "other_counts": {"num_task_experts": 2, "num_shared_experts": 3, "num_levels": 2},
    "gate_dims": {"gate_dims": [4]},
    "no_stops": {"stop_gradients": False, "num_levels": 2},
    "starred": STARRED,
    "norm_layer": {"norm": "layer", "num_levels": 2},
}

# A chain whose order is not that of the tasks.
CHAIN = {"after": {"like": "long_view", "click": "like"}}
FORK = {"after": {"like": "click", "long_view": "click"}}
CHAIN_PARTS = PARTS | CHAIN
CHAIN_CASES = {"": {}, "fork": FORK, "pair": {"after": {"like": "click"}}, "starred": STARRED}
AITM_CASES = CHAIN_CASES | {"no_calibrator": {"calibrator_weight": 0.0}}
# A floor that some propensities are below.
ESCM2 = {"counterfactual": "ipw", "counterfactual_weight": 0.5, "propensity_floor": 0.4}
ROBUST = {"counterfactual": "dr"}
ESCM2_CASES = CHAIN_CASES | {
    "dr": ROBUST,
    "dr_fork": ROBUST | FORK,
    "dr_linear_towers": ROBUST | {"tower_dims": []},
    "low_floor": {"propensity_floor": 0.01},
}
RESFLOW_CASES = CHAIN_CASES | {
    "linear_towers": {"tower_dims": []},
    "norm_layer_output": {"norm": "layer", "norm_position": "output", "activation": "silu"},
}

PAD_NET = PARTS | {"task_dims": [3], "exchange": "gated", "deep_supervision": 0.5}
PAD_NET_CASES = {
    "": {},
    "no_exchange": {"exchange": "none"},
    "no_supervision": {"deep_supervision": 0.0},
    "two_layers": {"task_dims": [4, 3], "expert_dims": [4], "deep_supervision": 1.0},
    "starred": STARRED,
}



def bottom(kind, embedded=(), num_numeric=0, **settings):
    """The keys of a bottom: its settings, and the columns of features of tables (by name), then of numeric ones."""
    features = [{"name": name, "width": width} for name, width in dict(embedded).items()]
    features += [{"name": f"n{n}", "width": 1} for n in range(num_numeric)]
    keys = {"bottom": kind} | settings
    if kind != "dcn_v2":
        keys |= {"features": features, "num_embedded": sum(dict(embedded).values())}
        keys |= {} if embedded else {"embedding_dim": 4}
    return keys


TWO, THREE = {"a": 2, "b": 2}, {"a": 2, "b": 2, "c": 2}
FULL_CROSS = bottom("dcn_v2", cross_layers=2, cross_rank=0)


def autoint(embedded, num_numeric, layers, heads, dim):
    settings = {"attention_layers": layers, "attention_heads": heads, "attention_dim": dim}
    return bottom("autoint", embedded, num_numeric, **settings)


TWO_LAYERS = autoint(TWO, 1, 2, 2, 3)
# Model, name after it, bottom.
BOTTOM_CASES = [
    ("mmoe", "fm", bottom("fm", TWO, 1)),
    ("mmoe", "fm_embedded", bottom("fm", THREE)),
    ("mmoe", "fm_numeric", bottom("fm", num_numeric=3)),
    ("mmoe", "fm_two_numeric", bottom("fm", {"a": 3}, 2)),
    ("shared_bottom", "fm", bottom("fm", TWO, 1)),
    ("home", "fm", bottom("fm", TWO, 1)),
    ("sparse_mmoe", "fm", bottom("fm", TWO, 1)),
    ("mmoe", "dcn_v2", FULL_CROSS),
    ("mmoe", "dcn_v2_low_rank", bottom("dcn_v2", cross_layers=3, cross_rank=2)),
    ("mmoe", "dcn_v2_one_layer", bottom("dcn_v2", cross_layers=1, cross_rank=1)),
    ("home", "dcn_v2", FULL_CROSS),
    ("sparse_mmoe", "dcn_v2", FULL_CROSS),
    ("single_task", "dcn_v2", FULL_CROSS),
    ("mmoe", "autoint", TWO_LAYERS),
    ("mmoe", "autoint_one_head", autoint(THREE, 0, 1, 1, 3)),
    ("mmoe", "autoint_numeric", autoint({}, 3, 1, 2, 3)),
    ("mmoe", "autoint_three_layers", autoint({"a": 4}, 1, 3, 3, 2)),
    ("single_task", "autoint", TWO_LAYERS),
    ("ple", "autoint", TWO_LAYERS),
]

# Model -> its knobs, and what its cases change.
FAMILIES = {
    "pepnet": (PEPNET, PEPNET_CASES),
    "stem": (STEM, STEM_CASES),
    "esmm": (CHAIN_PARTS, CHAIN_CASES),
    "aitm": (CHAIN_PARTS | {"calibrator_weight": 0.6}, AITM_CASES),
    "resflow": (CHAIN_PARTS, RESFLOW_CASES),
    "escm2": (CHAIN_PARTS | ESCM2, ESCM2_CASES),
    "sparse_mmoe": (SPARSE, SPARSE_CASES),
    "smes": (SMES, SMES_CASES),
    "switch": (SWITCH, SWITCH_CASES),
    "task_expert": (TASK_EXPERT, TASK_EXPERT_CASES),
    "cross_stitch": (PARTS, CROSS_STITCH_CASES),
    "pad_net": (PAD_NET, PAD_NET_CASES),
}

HOME = (
    GATED
    | STARRED
    | {
        "num_meta_shared_experts": 2,
        "num_meta_group_experts": 2,
        "num_shared_experts": 2,
        "num_group_experts": 2,
        "num_task_experts": 1,
        "num_lora": 2,
        "rank": 2,
        "feature_gate": "all",
        "feature_gate_mix": "after_sigmoid",
        "feature_gate_scope": "per_set",
        "self_gate": True,
        "mask": True,
        "gate_input": "raw",
    }
)
# One expert where the others have several, and several where they have one.
OTHER_COUNTS = {
    "num_meta_shared_experts": 3,
    "num_meta_group_experts": 1,
    "num_shared_experts": 1,
    "num_group_experts": 2,
    "num_task_experts": 2,
}

ABLATIONS = {
    "home": {},
    "home_without_fg2": {"feature_gate": "meta_only"},
    "home_without_fg": {"feature_gate": "none"},
    "home_without_fg_sg": {"feature_gate": "none", "self_gate": False},
    "home_without_fg_sg_mask": {"feature_gate": "none", "self_gate": False, "mask": False},
    "home_without_norm": {"norm": "none", "activation": "relu"},
    "home_without_self_gate": {"self_gate": False},
    "home_without_mask": {"mask": False},
    "home_before_sigmoid": {"feature_gate_mix": "before_sigmoid"},
    "home_per_expert": {"feature_gate_scope": "per_expert"},
    "home_per_expert_before_sigmoid": {"feature_gate_scope": "per_expert", "feature_gate_mix": "before_sigmoid"},
    "home_gated_gates": {"gate_input": "gated"},
    "home_gated_gates_without_fg2": {"gate_input": "gated", "feature_gate": "meta_only"},
    "home_gated_gates_without_mask": {"gate_input": "gated", "mask": False},
    "home_norm_layer": {"norm": "layer"},
    "home_norm_output": {"norm_position": "output"},
    "home_norm_layer_output": {"norm": "layer", "norm_position": "output"},
    "home_batch_relu": {"activation": "relu"},
    "home_gate_dims": {"gate_dims": [4]},
    "home_three_loras": {"num_lora": 3, "rank": 3},
    "home_one_lora": {"num_lora": 1, "rank": 1},
    "home_other_counts": OTHER_COUNTS,
    "home_other_counts_without_mask": OTHER_COUNTS | {"mask": False},
}


def value(item):
    """A knob's value as TOML."""
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, dict):
        return "{ " + ", ".join(f"{key} = {value(i)}" for key, i in item.items()) + " }"
    if isinstance(item, list):
        return "[" + ", ".join(value(i) for i in item) + "]"
    return f'"{item}"' if isinstance(item, str) else str(item)


def model_toml(model, knobs, layout=THREE_TASKS):
    """The text of a model.toml: model, tasks, knobs in order, then the groups."""
    lines = [f'model = "{model}"', f"tasks = {value(layout['tasks'])}"]
    lines += [f"{knob} = {value(knobs[knob])}" for knob in sorted(knobs)]
    for name, tasks in layout["groups"].items():
        lines += ["", "[[groups]]", f'name = "{name}"', f"tasks = {value(tasks)}"]
    return "\n".join(lines) + "\n"


def cases():
    """Case name -> text of its model.toml."""
    out = {}
    for model, knobs in BASELINES.items():
        out[model] = model_toml(model, knobs)
        if "norm" in knobs:
            out[f"{model}_starred"] = model_toml(model, knobs | STARRED)
    for name, changes in ABLATIONS.items():
        out[name] = model_toml("home", HOME | changes)
    for model, (knobs, family) in FAMILIES.items():
        for name, changes in family.items():
            out[f"{model}_{name}".rstrip("_")] = model_toml(model, knobs | changes)
    out["home_four_tasks"] = model_toml("home", HOME, FOUR_TASKS)

    def variant(name, model, layout=THREE_TASKS, **changes):
        out[name] = model_toml(model, BASELINES[model] | changes, layout)

    # Experts, on a model with one set and on one where every expert has its own input.
    variant("mmoe_norm_layer", "mmoe", norm="layer")
    variant("mmoe_norm_batch_output", "mmoe", norm="batch", norm_position="output")
    variant("mmoe_norm_layer_output", "mmoe", norm="layer", norm_position="output", activation="silu")
    variant("mmoe_batch_relu", "mmoe", norm="batch")
    variant("mmoe_silu", "mmoe", activation="silu")
    variant("ml_mmoe_norm_layer", "ml_mmoe", norm="layer", activation="silu")
    # Depths: no hidden layer in a tower, one and three layers in an expert, gates with hidden layers.
    variant("shared_bottom_linear_towers", "shared_bottom", tower_dims=[])
    variant("mmoe_one_layer", "mmoe", expert_dims=[4], tower_dims=[4, 3])
    variant("mmoe_three_layers", "mmoe", expert_dims=[4, 5, 3], **STARRED)
    variant("mmoe_gate_dims", "mmoe", gate_dims=[4, 3])
    variant("ple_gate_dims", "ple", gate_dims=[4])
    variant("ml_mmoe_gate_dims", "ml_mmoe", gate_dims=[4])
    # Counts.
    variant("mmoe_one_expert", "mmoe", num_experts=1)
    variant("ml_mmoe_one_level", "ml_mmoe", num_levels=1)
    variant("ml_mmoe_three_levels", "ml_mmoe", num_levels=3, num_experts=2)
    variant("cgc_without_shared", "cgc", num_shared_experts=0)
    variant("cgc_without_shared_starred", "cgc", num_shared_experts=0, **STARRED)
    variant("ple_one_level", "ple", num_levels=1)
    variant("ple_three_levels_starred", "ple", num_levels=3, **STARRED)
    variant("adatt_sp_one_level", "adatt_sp", num_levels=1, num_task_experts=1)
    variant("adatt_three_levels_starred", "adatt", num_levels=3, num_shared_experts=2, **STARRED)
    for model, one in (("adatt_sp", {}), ("adatt", {"num_shared_experts": 2})):
        one = one | {"num_task_experts": 1}
        variant(f"{model}_fixed", model, residual="fixed")
        variant(f"{model}_one_expert", model, residual="learned", **one)
        variant(f"{model}_one_expert_fixed", model, residual="fixed", **one)
    variant("mmoe_four_tasks", "mmoe", FOUR_TASKS)
    variant("ple_four_tasks", "ple", FOUR_TASKS)
    every = BASELINES | {model: knobs for model, (knobs, _) in FAMILIES.items()} | {"home": HOME}
    for model, name, keys in BOTTOM_CASES:
        out[f"{model}_{name}"] = model_toml(model, every[model] | keys)
    return out
