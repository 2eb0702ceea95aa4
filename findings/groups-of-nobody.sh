#!/usr/bin/env bash
# Guess:  grouping by user gives the same groups in pandas and in polars.
# Truth:  pandas leaves rows without a user out; polars makes one group of all of them.
# Seen with: pandas 2.3.3, polars 1.33.1, scikit-learn 1.7.2.
# Matters: GAUC is a mean of AUC within users. Rows of nobody as one large "user" weigh most in it, and move it without a word
#          when a script is carried from one library to the other. Say which you mean, and how many rows have no user.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pandas==2.3.3 polars==1.33.1 scikit-learn==1.7.2 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy, pandas, polars, sklearn
from sklearn.metrics import roc_auc_score

random = numpy.random.default_rng(7)
users = [f"u{row % 5}" if row % 2 else None for row in range(400)]
labels = random.integers(0, 2, 400)
# Good scores for known users, noise for rows of nobody.
scores = [labels[row] + random.normal() if users[row] else random.normal() for row in range(400)]

def gauc(groups):
    parts = [(len(y), roc_auc_score(y, s)) for y, s in groups if 0 < sum(y) < len(y)]
    return len(parts), sum(n * a for n, a in parts) / sum(n for n, _ in parts)

columns = {"user": users, "label": labels, "score": scores}
of_pandas = gauc([(g.label.tolist(), g.score.tolist()) for _, g in pandas.DataFrame(columns).groupby("user")])
of_polars = gauc([(g["label"].to_list(), g["score"].to_list()) for _, g in polars.DataFrame(columns).group_by("user")])
print("pandas", pandas.__version__, "polars", polars.__version__, "scikit-learn", sklearn.__version__)
print("pandas: %d users, GAUC %.4f" % of_pandas)
print("polars: %d users, GAUC %.4f" % of_polars)
assert of_pandas[0] == 5 and of_polars[0] == 6
assert abs(of_pandas[1] - of_polars[1]) > 0.01
PYTHON
