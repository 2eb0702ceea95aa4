"""The kinds of files that homebench reads: how each is made, read and judged."""

import gzip
import hashlib
import pathlib
import re
import shutil
import struct
import subprocess

from program import REPOSITORY, SPEC, TUNED

SEEDS = REPOSITORY / "fuzz/seeds/columnar"

MODEL = (REPOSITORY / "tests/golden/home.toml").read_text()

TABLE = """source = "table"
default_protocol = "all"
columns = ["user", "item", "price", "tags", "time", "bought"]
optional = ["price"]
user = "user"
{format}[files.log]
name = "{name}"
[features]
user = {{ kind = "categorical" }}
item = {{ kind = "categorical" }}
price = {{ kind = "numeric", transform = ["standardise"] }}
tags = {{ kind = "list"{separator} }}
[tasks.buys]
label = '{label}'
group = "shop"
[split]
kind = "hash"
validation_fraction = 0.2
test_fraction = 0.2
seed = 1
[protocols.all]
tasks = ["buys"]
"""

TEXT_FORMAT = '[format]\nseparator = ","\nhas_header = true\n'

CSV = "user,item,price,tags,time,bought\n" + "".join(
    f"u{row % 7},{row * 37 % 11},{row * 0.25 if row % 9 else ''},{'|'.join(f't{tag}' for tag in range(row % 3))},"
    f"{1700000000 + row * 3600},{int(row % 3 == 0)}\n"
    for row in range(60)
)


class Kind:
    """A kind of file: how it is made, read and judged. `work` is a folder of the worker's own."""

    name = ""
    is_text = False
    has_checksum = True

    def __init__(self, breaker):
        self.breaker = breaker

    def originals(self):
        """Paths of files, each relative to the folder that `place` makes."""
        raise NotImplementedError

    def place(self, work):
        """Puts everything that is read into the folder."""

    def read(self, work, path):
        """Runs commands; what they did, and the results to compare."""
        raise NotImplementedError

    def said(self, runs):
        """The words of the runs, without those that depend on the hour."""
        words = "\n".join(run.err for run in runs)
        # Of few digits, since a changed file may hold a million of them.
        return re.sub(r"(?<!\d)\d{1,12}(\.\d{1,12})?( ms| s|%| seconds?| rows/s)", "N", words)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


class Spec(Kind):
    name, is_text, has_checksum = "spec (plan)", True, False

    def originals(self):
        return ["s.toml", "t.toml"]

    def place(self, work):
        (work / "s.toml").write_text(SPEC)
        (work / "t.toml").write_text(TUNED)

    def read(self, work, path):
        run = self.breaker.run(work, "plan", path)
        return [run], run.out


class Prepared(Kind):
    """Files of a dataset that is described: a description of each, prepared and copied out."""

    is_text = False
    has_checksum = False
    files = {}

    def originals(self):
        return [f"data/{name}/{name}" for name in self.files]

    def place(self, work):
        (work / "descriptions").mkdir()
        for name, (content, form) in self.files.items():
            stem = name.replace(".", "_")
            (work / f"data/{name}").mkdir(parents=True)
            (work / f"data/{name}/{name}").write_bytes(content)
            (work / f"descriptions/{stem}.toml").write_text(TABLE.format(
                format=form, name=name, separator=', separator = "|"' if form else "", label="bought" if form else 'bought == "true"'
            ))

    def dataset(self, path):
        return pathlib.Path(path).name.replace(".", "_"), pathlib.Path(path).name

    def read(self, work, path):
        stem, name = self.dataset(path)
        shutil.rmtree(work / "cache", ignore_errors=True)
        shutil.rmtree(work / "out", ignore_errors=True)
        places = ["--descriptions", "descriptions", "--data-dir", f"data/{name}", "--cache-dir", "cache"]
        prepared = self.breaker.run_plain(work, "data", "export", stem, "--out", "out", *places)
        described = self.breaker.run_plain(work, "data", "describe", f"data/{name}/{name}")
        results = [digest(work / f"out/{split}.arrow") for split in ("train", "validation", "test")]
        return [prepared, described], (results, described.out)


class Descriptions(Prepared):
    name, is_text = "description (data prepare)", True
    files = {"log.csv": (CSV.encode(), TEXT_FORMAT)}

    def originals(self):
        return ["descriptions/log_csv.toml"]

    def dataset(self, path):
        return "log_csv", "log.csv"


class Csv(Prepared):
    name, is_text = "CSV", True
    files = {"log.csv": (CSV.encode(), TEXT_FORMAT)}


class CsvGzip(Prepared):
    name, has_checksum = "CSV.gz", True
    files = {"log.csv.gz": (gzip.compress(CSV.encode(), mtime=0), TEXT_FORMAT)}


class CsvZstandard(Prepared):
    name = "CSV.zst"

    def __init__(self, breaker):
        super().__init__(breaker)
        packed = subprocess.run(["zstd", "-q", "--no-check"], input=CSV.encode(), capture_output=True, check=True).stdout
        self.files = {"log.csv.zst": (packed, TEXT_FORMAT)}


def columnar(ending):
    return {path.name: (path.read_bytes(), "") for path in sorted(SEEDS.glob(ending))}


class Parquet(Prepared):
    name = "Parquet"
    files = columnar("*.parquet")


class Arrow(Prepared):
    name = "Arrow"
    files = columnar("*.arrow*")


class CellFiles(Kind):
    """Files that the process of a cell reads."""

    def place(self, work):
        shutil.copytree(self.breaker.base / "cache", work / "cache")
        shutil.copytree(self.breaker.base / "cell", work / "cell")

    def read(self, work, path):
        run = self.breaker.cell(work, "cell")
        tables = [digest(work / "cell" / name) for name in ("outcome.toml", "weights.safetensors")]
        run.err = "\n".join(line for line in (run.err + run.out).splitlines() if "notice" in line or "error" in line or "failed" in line or "panicked" in line)
        return [run], tables


class Cache(CellFiles):
    name = "prepared cache (cell)"

    def originals(self):
        root = self.breaker.base
        files = sorted((root / "cache").glob("synthetic-*/*"))
        kept = [path for path in files if path.suffix in (".arrow", ".toml", ".csv")]
        return [str(path.relative_to(root)) for path in kept]


class Sources(Prepared):
    """What is remembered of source files: it may be lost, but never lead to other data."""

    name, is_text, has_checksum = "cache's sources.toml", True, True
    files = {"log.csv": (CSV.encode(), TEXT_FORMAT)}

    def originals(self):
        return ["cache/sources.toml"]

    def place(self, work):
        super().place(work)
        super().read(work, "data/log.csv/log.csv")

    def read(self, work, path):
        shutil.rmtree(work / "out", ignore_errors=True)
        places = ["--descriptions", "descriptions", "--data-dir", "data/log.csv", "--cache-dir", "cache"]
        run = self.breaker.run_plain(work, "data", "export", "log_csv", "--out", "out", *places)
        files = ("train.arrow", "validation.arrow", "test.arrow", "schema.toml")
        return [run], [digest(work / "out" / name) for name in files]


class Checkpoint(CellFiles):
    name = "checkpoint (cell)"

    def originals(self):
        return [f"cell/{path.name}" for path in (self.breaker.base / "cell").glob("*checkpoint*")]


class Results(Kind):
    """Files of a results folder: what `status` and `report` make of it."""

    is_text = True
    pattern = ""

    def originals(self):
        root = self.breaker.base
        return [str(path.relative_to(root)) for path in sorted(root.glob(f"done/{self.pattern}"))]

    def place(self, work):
        shutil.copytree(self.breaker.base / "done", work / "done")

    def read(self, work, path):
        status = self.breaker.run_plain(work, "status", "done")
        report = self.breaker.run_plain(work, "report", "done")
        return [status, report], (status.out, digest(work / "done/report.md"))


def files_of_results(title, files):
    """The kind of these files of a results folder."""
    return type("FilesOfResults", (Results,), {"name": title, "pattern": files})


class Continued(Results):
    """Any file of a results folder, and the experiment run again in it: with the results as they were, or with words about the file."""

    name = "any of them (run)"

    def originals(self):
        root = self.breaker.base
        folders = [root / "done", root / "done/external", *(root / "done/cells").iterdir()]
        files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
        return [str(path.relative_to(root)) for path in files]

    def place(self, work):
        super().place(work)
        shutil.copytree(self.breaker.base / "cache", work / "cache")
        (work / "t.toml").write_text(TUNED)

    def read(self, work, path):
        run = self.breaker.run(work, "run", "t.toml", "--out", "done", "--threads", "1")
        files = ("metrics.csv", "curves.csv", "settings.csv", "winners.toml", "report.md")
        return [run], [digest(work / "done" / name) for name in files]


class Forward(Kind):
    """A model, its weights and its inputs, which come from anywhere: other bytes are other numbers."""

    name, has_checksum = "model, weights, inputs (forward)", False

    def originals(self):
        return ["model.toml", "weights.safetensors", "inputs.safetensors"]

    def place(self, work):
        (work / "model.toml").write_text(MODEL)
        header = b'{"x":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
        numbers = struct.pack("<12f", *range(12))
        (work / "inputs.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + numbers)
        self.breaker.run_plain(work, "init", "--model", "model.toml", "--input-dim", "4", "--seed", "1", "--weights",
                               "weights.safetensors")

    def read(self, work, path):
        run = self.breaker.run_plain(work, "forward", "--model", "model.toml", "--weights", "weights.safetensors", "--inputs",
                                     "inputs.safetensors", "--outputs", "outputs.safetensors")
        return [run], digest(work / "outputs.safetensors")


KINDS = [
    Spec,
    Descriptions,
    Csv,
    CsvGzip,
    CsvZstandard,
    Parquet,
    Arrow,
    Cache,
    Sources,
    Checkpoint,
    Forward,
    files_of_results("outcome.toml", "cells/*/outcome.toml"),
    files_of_results("winners", "winners*"),
    files_of_results("provenance.toml", "provenance.toml"),
    files_of_results("spec.resolved.toml", "spec.resolved.toml"),
    files_of_results("facts.toml", "facts.toml"),
    files_of_results("external scores", "external/*"),
    files_of_results("tables", "*.csv"),
    Continued,
]
