"""torch-rechub's MMoE on Census, from the raw files to the test AUC, the steps and settings of its own census example.

    torch_rechub_census.py --train census_train.csv --test census_test.csv [--epochs 3] [--threads 2]

The files have no header and 42 columns. Preprocessing as in its example: instance weight dropped, categories numbered
over train and test together, 7 dense columns scaled to [0, 1], the test file halved into validation and test. The last
line of stdout is JSON: auc by task, seconds by part.
"""

import argparse
import json
import os
import tempfile
import time

COLUMNS = [
    "age", "class of worker", "industry code", "occupation code", "education", "wage per hour",
    "enrolled in edu inst last wk", "marital status", "major industry code", "major occupation code", "race",
    "hispanic origin", "sex", "member of a labor union", "reason for unemployment",
    "full or part time employment stat", "capital gains", "capital losses", "divdends from stocks",
    "tax filer status", "region of previous residence", "state of previous residence",
    "detailed household and family stat", "detailed household summary in household", "instance weight",
    "migration code-change in msa", "migration code-change in reg", "migration code-move within reg",
    "live in this house 1 year ago", "migration prev res in sunbelt", "num persons worked for employer",
    "family members under 18", "country of birth father", "country of birth mother", "country of birth self",
    "citizenship", "own business or self employed", "fill inc questionnaire for veterans admin",
    "veterans benefits", "weeks worked in year", "year", "income",
]  # fmt: skip
DENSE = [
    "age", "wage per hour", "capital gains", "capital losses", "divdends from stocks",
    "num persons worked for employer", "weeks worked in year",
]  # fmt: skip
LABELS = ["income", "marital status"]


def main():
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)

    import pandas as pd
    import torch
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import DataGenerator

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    imported = time.perf_counter()

    train, test = (pd.read_csv(path, header=None, names=COLUMNS) for path in (args.train, args.test))
    num_train = len(train)
    data = pd.concat([train, test]).drop(columns="instance weight")
    data["income"] = (data["income"].str.strip() == "50000+.").astype(int)
    data["marital status"] = (data["marital status"].str.strip() == "Never married").astype(int)
    sparse = [column for column in data.columns if column not in DENSE + LABELS]
    for column in sparse:
        data[column] = LabelEncoder().fit_transform(data[column])
    data[DENSE] = MinMaxScaler().fit_transform(data[DENSE]).round(4)
    train, test = data.iloc[:num_train], data.iloc[num_train:]
    validation, test = train_test_split(test, test_size=0.5, stratify=test["income"], random_state=args.seed)

    features = [SparseFeature(column, data[column].max() + 1, embed_dim=4) for column in sparse]
    features += [DenseFeature(column) for column in DENSE]

    def split(part):
        return {column: part[column].values for column in sparse + DENSE}, part[LABELS].values

    (x_train, y_train), (x_validation, y_validation), (x_test, y_test) = map(split, (train, validation, test))
    prepared = time.perf_counter()

    types = ["classification", "classification"]
    towers = [{"dims": [8]}, {"dims": [8]}]
    model = MMOE(features, types, 8, expert_params={"dims": [16]}, tower_params_list=towers)
    loaders = DataGenerator(x_train, y_train).generate_dataloader(
        x_val=x_validation, y_val=y_validation, x_test=x_test, y_test=y_test, batch_size=1024
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = MTLTrainer(
            model,
            task_types=types,
            optimizer_params={"lr": 1e-3, "weight_decay": 1e-4},
            n_epoch=args.epochs,
            earlystop_patience=30,
            device="cpu",
            model_path=folder,
        )
        trainer.fit(loaders[0], loaders[1])
    trained = time.perf_counter()
    auc = trainer.evaluate(trainer.model, loaders[2])
    ended = time.perf_counter()
    answer = {
        "auc": {"income": float(auc[0]), "never_married": float(auc[1])},
        "import_seconds": imported - started,
        "prepare_seconds": prepared - imported,
        "train_seconds": trained - prepared,
        "test_seconds": ended - trained,
        "total_seconds": ended - started,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
