"""From files that others wrote to a report: describe_to_report.py HOMEBENCH [--keep FOLDER] [--kuairand FOLDER]

Writes one log of impressions as folders of Parquet and of CSV by DuckDB, polars and pandas, and takes MovieLens-100K out of PyPI's
recbole in three layouts. Each goes the way a user goes: `data describe`, the label filled in and nothing else, `data prepare`, `run`,
`report`. Rows and positives of each split are compared with what numpy and pandas count in the frame that was written.
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import duckdb
import numpy
import pandas
import polars

EXPERIMENT = """question = "Does it run from the draft to the report?"
seeds = [1]
[dataset]
name = "NAME"
[training]
batch_size = 512
max_epochs = 1
embedding_dim = 4
[variants.logistic]
model = "logistic"
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [8]
"""


def impressions() -> pandas.DataFrame:
    """Fourteen days of impressions with what real logs have: ids beyond 2^53, nothing here and there, times with a zone."""
    random = numpy.random.default_rng(5)
    rows = 6000
    seconds = numpy.sort(random.integers(0, 14 * 86_400, rows))
    price = numpy.round(random.gamma(2.0, 10.0, rows), 2)
    watched = random.random(rows)
    return pandas.DataFrame(
        {
            "seen": pandas.to_datetime(1_649_376_000 + seconds, unit="s", utc=True),
            "user": random.integers(0, 300, rows) + 2**60,
            "item": [f"i{n}" for n in random.zipf(1.4, rows) % 500],
            "country": random.choice(["DE", "FR", "it, south", 'a "quoted" one'], rows),
            "price": pandas.Series(price).where(random.random(rows) > 0.1),
            "member": pandas.Series(random.random(rows) < 0.5, dtype="boolean").where(random.random(rows) > 0.05),
            "watched": watched,
            "click": (watched + random.normal(0, 0.3, rows) > 0.7),
        }
    )


def written(folder: Path, frame: pandas.DataFrame) -> dict[str, Path]:
    """The frame as each library's writer leaves it."""
    lazy = polars.from_pandas(frame)
    paths = {name: folder / name for name in ("duckdb-parquet", "duckdb-csv", "polars-parquet", "polars-csv", "pandas-parquet", "pandas-csv")}
    duckdb.sql(f"copy frame to '{paths['duckdb-parquet']}' (format parquet, partition_by (day))")
    duckdb.sql(f"copy frame to '{paths['duckdb-csv']}' (format csv, per_thread_output true)")
    for name in ("polars-parquet", "polars-csv", "pandas-csv"):
        paths[name].mkdir()
    for part, rows in enumerate(lazy.iter_slices(2000)):
        rows.write_parquet(paths["polars-parquet"] / f"part-{part}.parquet")
        rows.write_csv(paths["polars-csv"] / f"part-{part}.csv")
    frame.to_parquet(paths["pandas-parquet"], partition_cols=["day"])
    for part, start in enumerate(range(0, len(frame), 2000)):
        frame.iloc[start : start + 2000].to_csv(paths["pandas-csv"] / f"part-{part}.csv")
    return paths


def movielens(folder: Path) -> dict[str, list[Path]]:
    """MovieLens-100K as RecBole's atomic files, with `::`, and with `|`."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "recbole==1.2.1"], check=True
    )
    wheel = zipfile.ZipFile(next(folder.glob("recbole-*.whl")))
    files = {}
    for ending in ("inter", "user"):
        path = folder / f"ml-100k.{ending}"
        path.write_bytes(wheel.read(f"recbole/dataset_example/ml-100k/ml-100k.{ending}"))
        files[ending] = path
    layouts = {"movielens-recbole": [files["inter"], files["user"]]}
    for name, separator in (("movielens-colons", "::"), ("movielens-bars", "|")):
        layouts[name] = []
        for ending in ("inter", "user"):
            rows = files[ending].read_text().splitlines()[1:]
            path = folder / f"{name}-{ending}.dat"
            path.write_text("".join(row.replace("\t", separator) + "\n" for row in rows))
            layouts[name].append(path)
    return layouts


class Trial:
    """One dataset on its way from describe to report."""

    def __init__(self, homebench: Path, folder: Path, name: str):
        self.homebench, self.folder, self.name = homebench, folder / f"work-{name}", name
        (self.folder / "experiments/datasets").mkdir(parents=True)

    def run(self, *arguments: str | Path) -> str:
        command = [self.homebench, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: {' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def describe(self, paths: list[Path], label: str, leaks: list[str]) -> dict:
        """Drafts a description and fills in the label and what must not be an input, as its comments ask for."""
        draft = self.run("data", "describe", *paths)
        columns = [column if isinstance(column, str) else column["name"] for column in tomllib.loads(draft)["columns"]]
        label, *leaks = [text.format(*columns) for text in [label, *leaks]]
        head, tasks = draft.split("[protocols.draft]")
        head = head.replace('[tasks.choose]\nlabel = ""\ngroup = "main"\n', "")
        rest = tasks.split("\n", 2)[2]
        leaks = [leak for leak in leaks if re.search(rf"^{leak} = ", rest, re.MULTILINE)]
        chosen = f"{head}[tasks.wanted]\nlabel = '{label}'\ngroup = \"main\"\n\n[protocols.draft]\ntasks = [\"wanted\"]\n"
        chosen += f"not_inputs = {leaks}\n{rest}"
        (self.folder / f"experiments/datasets/{self.name}.toml").write_text(chosen)
        (self.folder / f"experiments/{self.name}.toml").write_text(EXPERIMENT.replace("NAME", self.name))
        return tomllib.loads(chosen)

    def report(self, data: Path) -> tuple[list[int], list[float]]:
        """Rows of training, validation and test, and the label's rates in the first two, once the report is there."""
        said = self.run("data", "prepare", self.name, "--data-dir", data)
        self.run("run", f"experiments/{self.name}.toml", "--set", f"data.root={data}")
        self.run("report", f"runs/{self.name}")
        assert (self.folder / f"runs/{self.name}/report.html").stat().st_size > 10_000
        rows = re.search(r"rows: (\d+) train, (\d+) validation, (\d+) test", said)
        rates = re.search(r"positive rate ([\d.]+) train, ([\d.]+) validation", said)
        return [int(count) for count in rows.groups()], [float(rate) for rate in rates.groups()]


def counted(times: pandas.Series, labels: pandas.Series, split: dict) -> tuple[list[int], list[float]]:
    """What `Trial.report` should give for these times and labels, divided at the draft's limits."""
    if times.dtype.kind == "M":
        first, last = (pandas.Timestamp(split[key]).tz_convert("UTC") for key in ("validation_from", "test_from"))
    else:
        first, last = split["validation_from"], split["test_from"]
    parts = [labels[times < first], labels[(times >= first) & (times < last)], labels[times >= last]]
    return [len(part) for part in parts], [round(float(part.mean()), 4) for part in parts[:2]]


def compare(name: str, seen: tuple, expected: tuple) -> None:
    close = all(abs(a - b) <= 0.5001e-4 for a, b in zip(seen[1], expected[1], strict=True))
    print(f"{name}: rows {seen[0]}, rates {seen[1]}: {'as counted' if seen[0] == expected[0] and close else 'NOT AS COUNTED'}")
    if seen[0] != expected[0] or not close:
        raise SystemExit(f"{name}: counted rows {expected[0]}, rates {expected[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench", type=lambda text: Path(text).resolve())
    parser.add_argument("--kuairand", type=lambda text: Path(text).resolve(), help="folder of a slice of KuaiRand: log.tsv and two tables")
    arguments = parser.parse_args()
    for package in (duckdb, numpy, pandas, polars):
        print(package.__name__, package.__version__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frame = impressions()
        frame["day"] = frame["seen"].dt.strftime("%Y-%m-%d")
        for name, path in written(folder, frame).items():
            trial = Trial(arguments.homebench, folder, name)
            split = trial.describe([path], "click", ["watched", "member"])["split"]
            compare(name, trial.report(path.parent), counted(frame[split["column"]], frame["click"], split))
        for name, paths in movielens(folder).items():
            trial = Trial(arguments.homebench, folder, name)
            description = trial.describe(paths, "{2} >= 4", ["{2}"])
            ratings = pandas.read_csv(folder / "ml-100k.inter", sep="\t", header=0, names=["user", "item", "rating", "time"])
            compare(name, trial.report(paths[0].parent), counted(ratings["time"], ratings["rating"] >= 4, description["split"]))
        if arguments.kuairand:
            trial = Trial(arguments.homebench, folder, "kuairand")
            files = ["log.tsv", "user_features_pure.csv", "video_features_basic_pure.csv"]
            split = trial.describe([arguments.kuairand / file for file in files], "is_click", ["play_time_ms"])["split"]
            log = pandas.read_csv(arguments.kuairand / "log.tsv", sep="\t")
            compare("kuairand", trial.report(arguments.kuairand), counted(log[split["column"]], log["is_click"], split))


if __name__ == "__main__":
    main()
