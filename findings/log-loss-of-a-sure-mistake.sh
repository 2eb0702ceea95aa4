#!/usr/bin/env bash
# Guess:  the log loss of the same probabilities is the same number, whatever their width and whoever computes it.
# Truth:  a probability of 0 for what happened costs what the library clips to: 36.0 in scikit-learn for 64 bits and 15.9 for the same
#         numbers in 32 bits, 36.8 in XGBoost; CatBoost takes logits and clips nothing.
# Seen with: scikit-learn 1.9.1, xgboost-cpu 3.2.0, catboost 1.2.10.
# Matters: rankers write scores in 32 bits, where a probability is 1 from a logit of about 17 on, and 0 below about -104. A few such rows
#          decide which of two models has the lower log loss. Compute it from logits, or say what was clipped on how many rows.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q scikit-learn==1.9.1 xgboost-cpu==3.2.0 catboost==1.2.10 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import catboost, numpy, sklearn, xgboost
from catboost.utils import eval_metric
from sklearn.metrics import log_loss

# One row that happened though its logit says never, and one that did not.
labels, logits = [1, 0], numpy.array([-200.0, -200.0])
wide = numpy.array([0.0, 0.0])
of_wide = log_loss(labels, wide, labels=[0, 1])
of_narrow = log_loss(labels, wide.astype("float32"), labels=[0, 1])
rows = xgboost.DMatrix(numpy.zeros((2, 1)), label=labels, base_margin=logits)
settings = {"objective": "binary:logistic", "eval_metric": "logloss", "eta": 0.0}
of_xgboost = float(xgboost.train(settings, rows, 1).eval(rows).rsplit(":", 1)[1])
of_catboost = eval_metric(labels, logits, "Logloss")[0]

print("scikit-learn", sklearn.__version__, "xgboost", xgboost.__version__, "catboost", catboost.__version__)
print(f"scikit-learn {of_wide:.2f} (64 bits), {of_narrow:.2f} (32 bits), XGBoost {of_xgboost:.2f}, CatBoost {of_catboost:.2f}")
# Half of -log of the machine epsilon of either width, and half of the logit.
assert abs(of_wide + numpy.log(numpy.finfo("float64").eps) / 2) < 1e-6
assert abs(of_narrow + numpy.log(numpy.finfo("float32").eps) / 2) < 1e-4
assert abs(of_xgboost - 18.42) < 0.01 and abs(of_catboost - 100) < 1e-6
PYTHON
