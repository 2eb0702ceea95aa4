#!/usr/bin/env bash
# Guess:  an exact AUC of a test set doesn't depend on the size of the batches in which a metric is fed with it.
# Truth:  torchmetrics decides batch by batch whether scores are logits: where one lies outside [0, 1], the whole batch goes through a
#         sigmoid, else it stays. A batch of logits that happen to lie within [0, 1] is then compared with sigmoids of the others.
# Seen with: torchmetrics 1.9.0, torch 2.15.0, scikit-learn 1.9.1.
# Matters: small or last batches change the AUC, with no word, by more than models differ. Feed probabilities, not logits.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torchmetrics==1.9.0 torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy, torch, torchmetrics
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC

random = numpy.random.default_rng(0)
logits = random.normal(size=2000).astype("float32")
labels = (random.uniform(size=2000) < 1 / (1 + numpy.exp(-logits))).astype(int)

def auc(scores, rows):
    metric = BinaryAUROC()
    for start in range(0, 2000, rows):
        metric.update(torch.tensor(scores[start : start + rows]), torch.tensor(labels[start : start + rows]))
    return float(metric.compute())

expected = roc_auc_score(labels, logits)
probabilities = 1 / (1 + numpy.exp(-logits))
print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__, "scikit-learn: %.4f" % expected)
for rows in (1, 2, 4, 2000):
    print("batches of %4d: logits %.4f, probabilities %.4f" % (rows, auc(logits, rows), auc(probabilities, rows)))
    assert abs(auc(probabilities, rows) - expected) < 1e-5
assert abs(auc(logits, 2000) - expected) < 1e-5
assert auc(logits, 2) < expected - 0.01 and auc(logits, 1) < expected - 0.05
PYTHON
