#!/usr/bin/env bash
# Guess:  one metric of one library, called AUC, is one number on the same rows, scores and weights.
# Truth:  CatBoost weighs rows in `catboost.utils.eval_metric` and not in a model's own evaluation, both called "AUC". There `use_weights`
#         says which is meant; in `eval_metric` it is read and has no effect: with `use_weights=false` rows are weighed all the same.
# Seen with: catboost 1.2.8, scikit-learn 1.9.1.
# Matters: the AUC that a training log shows, and that early stopping goes by, is compared with one that a script computes later. Where rows
#          have weights these are two metrics, and asking for the unweighted one by name doesn't give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q catboost==1.2.8 scikit-learn==1.9.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import catboost, numpy
from catboost.utils import eval_metric
from sklearn.metrics import roc_auc_score

random = numpy.random.default_rng(1)
inputs = random.normal(size=(500, 3))
labels = (inputs[:, 0] + random.normal(size=500) > 0).astype(int)
weights = random.integers(1, 9, 500).astype(float)
train, test = slice(0, 300), slice(300, 500)
pool = lambda rows: catboost.Pool(inputs[rows], labels[rows], weight=weights[rows])
model = catboost.CatBoostClassifier(iterations=5, verbose=0, random_seed=0)
model.fit(pool(train))
scores = model.predict(inputs[test], prediction_type="RawFormulaVal")
weighted = roc_auc_score(labels[test], scores, sample_weight=weights[test])
plain = roc_auc_score(labels[test], scores)
print("catboost", catboost.__version__, "scikit-learn: weighted %.6f, unweighted %.6f" % (weighted, plain))
assert abs(weighted - plain) > 1e-3

names = ["AUC", "AUC:use_weights=true", "AUC:use_weights=false"]
of_model = model.eval_metrics(pool(test), names)
for name, is_weighted in zip(names, [False, True, False]):
    in_model = of_model[name][-1]
    (in_utils,) = eval_metric(labels[test], scores, name, weight=weights[test])
    print("%-22s model.eval_metrics %.6f  utils.eval_metric %.6f" % (name, in_model, in_utils))
    assert abs(in_model - (weighted if is_weighted else plain)) < 1e-9
    assert abs(in_utils - weighted) < 1e-9
PYTHON
