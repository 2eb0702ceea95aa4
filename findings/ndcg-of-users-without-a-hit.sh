#!/usr/bin/env bash
# Guess:  NDCG, a mean over users, is one number for the same labels and scores in every library.
# Truth:  a user without a positive label counts as 1 in XGBoost (unless the metric is called `ndcg-`) and in LightGBM, and as 0 in
#         scikit-learn. None of them says how many users that are.
# Seen with: xgboost-cpu 3.2.0, lightgbm 4.7.0, scikit-learn 1.9.1.
# Matters: in click logs most users have no hit in a split. The mean then says how many those are rather than how well anything ranks,
#          and trees look far better than a model whose NDCG another library computed. Leave such users out, and say how many they are.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q xgboost-cpu==3.2.0 lightgbm==4.7.0 scikit-learn==1.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import lightgbm, numpy, sklearn, xgboost
from sklearn.metrics import ndcg_score

# Two users of three videos: the first likes the one that is ranked last, the second likes none.
labels = numpy.array([1, 0, 0, 0, 0, 0])
scores = numpy.array([0.1, 0.2, 0.3, 0.3, 0.2, 0.1])
inputs, users = scores.reshape(-1, 1), [3, 3]

of_sklearn = ndcg_score(labels.reshape(2, 3), scores.reshape(2, 3))

# The scores are where boosting begins, and it doesn't move.
rows = xgboost.DMatrix(inputs, label=labels)
rows.set_group(users)
rows.set_base_margin(scores)
settings = {"objective": "rank:ndcg", "eval_metric": ["ndcg", "ndcg-"], "eta": 0.0}
said = xgboost.train(settings, rows, 1).eval(rows)
of_xgboost, of_xgboost_minus = (float(part.rsplit(":", 1)[1]) for part in said.split("\t")[1:])

rows = lightgbm.Dataset(inputs, label=labels, group=users, init_score=scores)
watched = lightgbm.Dataset(inputs, label=labels, group=users, init_score=scores, reference=rows)
settings = {"objective": "lambdarank", "metric": "ndcg", "eval_at": [3], "min_data_in_leaf": 100, "verbose": -1}
found = {}
lightgbm.train(settings, rows, 1, valid_sets=[watched], callbacks=[lightgbm.record_evaluation(found)])
of_lightgbm = found["valid_0"]["ndcg@3"][0]

print("xgboost", xgboost.__version__, "lightgbm", lightgbm.__version__, "scikit-learn", sklearn.__version__)
print(f"scikit-learn {of_sklearn:.2f}, XGBoost {of_xgboost:.2f} (ndcg-: {of_xgboost_minus:.2f}), LightGBM {of_lightgbm:.2f}")
# The first user has 1 / log2(4) = .5.
assert abs(of_sklearn - 0.25) < 1e-9 and abs(of_xgboost_minus - 0.25) < 1e-6
assert abs(of_xgboost - 0.75) < 1e-6 and abs(of_lightgbm - 0.75) < 1e-6
PYTHON
