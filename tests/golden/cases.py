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
    "adatt_sp": GATED | {"num_task_experts": 2, "num_levels": 2},
    "adatt": GATED | {"num_shared_experts": 1, "num_task_experts": 2, "num_levels": 2},
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
    variant("mmoe_four_tasks", "mmoe", FOUR_TASKS)
    variant("ple_four_tasks", "ple", FOUR_TASKS)
    return out
