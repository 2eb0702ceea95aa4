"""The cases of `star`, `hinet` and `m3oe`: a name, and the model.toml of each."""

from cases import GATED, PARTS, STARRED, model_toml

ONE_TASK = {"tasks": ["click"], "groups": {"watch": ["click"]}}

# The scenario's columns are two, and in the middle.
SCENARIOS = {
    "features": [
        {"name": "user", "width": 2},
        {"name": "tab", "width": 2},
        {"name": "age", "width": 1},
    ],
    "scenario": "tab",
    "num_scenarios": 3,
}
STAR = SCENARIOS | {
    "expert_dims": [4, 3],
    "tower_dims": [3],
    "activation": "relu",
    "partitioned_norm": True,
    "auxiliary": True,
    "auxiliary_dims": [4],
}
SCENARIO_COUNTS = {"one_scenario": {"num_scenarios": 1}, "idle_scenario": {"num_scenarios": 4}}
STAR_CASES = SCENARIO_COUNTS | {
    "": {},
    "silu": {"activation": "silu"},
    "no_norm": {"partitioned_norm": False},
    "no_auxiliary": {"auxiliary": False},
    "auxiliary_linear": {"auxiliary_dims": []},
    "linear_towers": {"tower_dims": [], "expert_dims": [4]},
    # See draws.py: no row lacks a scenario; and not every pair is observed.
    "all_known": {},
    "masked": {},
}

HINET = SCENARIOS | GATED | {
    "num_scenario_shared_experts": 2,
    "num_scenario_experts": 2,
    "num_task_experts": 2,
    "num_shared_experts": 2,
    "attention": True,
}
HINET_CASES = SCENARIO_COUNTS | {
    "": {},
    "starred": STARRED,
    "norm_layer": {"norm": "layer"},
    "gate_dims": {"gate_dims": [4]},
    "no_attention": {"attention": False},
    "other_counts": {
        "num_scenario_shared_experts": 3,
        "num_scenario_experts": 1,
        "num_task_experts": 1,
        "num_shared_experts": 0,
    },
    "two_scenarios": {"num_scenarios": 2},
    "two_known": {"num_scenarios": 2},
}

M3OE = SCENARIOS | PARTS | {"star_dim": 4, "bottom_dim": 5, "num_shared_experts": 3, "fusion": "each"}
M3OE_CASES = SCENARIO_COUNTS | {
    "": {},
    "starred": STARRED,
    "norm_layer": {"norm": "layer"},
    "norm_output": {"norm": "batch", "norm_position": "output"},
    "shared_fusion": {"fusion": "shared"},
    "linear_towers": {"tower_dims": []},
}

FAMILIES = {"star": (STAR, STAR_CASES), "hinet": (HINET, HINET_CASES), "m3oe": (M3OE, M3OE_CASES)}


def scenario_cases():
    """Case name -> text of its model.toml."""
    out = {}
    for model, (knobs, family) in FAMILIES.items():
        for name, changes in family.items():
            out[f"{model}_{name}".rstrip("_")] = model_toml(model, knobs | changes)
    out["star_one_task"] = model_toml("star", STAR, ONE_TASK)
    out["m3oe_one_task"] = model_toml("m3oe", M3OE, ONE_TASK)
    return out
