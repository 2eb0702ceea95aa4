"""scikit-learn's HistGradientBoosting on Census, one untuned model a task: what a simple baseline reaches.

    trees.py --train census_train.csv --test census_test.csv [--out trees.csv]

The same columns, split and preprocessing as torch_rechub_census.py, with its seed. Writes and prints task, auc and
log-loss on the test half, and the seconds of it all.
"""

import argparse
import csv
import sys
import time

from torch_rechub_census import DENSE, LABELS, read


def main():
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--out", help="a CSV; stdout otherwise")
    args = parser.parse_args()

    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss, roc_auc_score
    from sklearn.model_selection import train_test_split

    data, sparse, num_train = read(args.train, args.test)
    for column in sparse:
        data[column] = data[column].astype("category")
    train, test = data.iloc[:num_train], data.iloc[num_train:]
    _, test = train_test_split(test, test_size=0.5, stratify=test["income"], random_state=args.seed)

    rows = []
    for task in LABELS:
        model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=args.seed)
        model.fit(train[sparse + DENSE], train[task])
        scores = model.predict_proba(test[sparse + DENSE])[:, 1]
        name = task if task == "income" else "never_married"
        rows.append({"task": name, "auc": roc_auc_score(test[task], scores), "log_loss": log_loss(test[task], scores)})
    seconds = time.perf_counter() - started

    with open(args.out, "w", newline="") if args.out else sys.stdout as file:
        writer = csv.DictWriter(file, ["task", "auc", "log_loss", "total_seconds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"total_seconds": seconds} for row in rows)


if __name__ == "__main__":
    main()
