#!/usr/bin/env python3
"""Changes the files that homebench reads, at random, and looks at what it says: tests/break/mutations.py target/release/homebench

Every kind of file is changed `--count` times: bits, bytes, cuts, pieces twice, numbers at the edges, deep nesting, long lines. What
came of each is one of:

  refused           exit code 1 or 2, with words
  said              exit code 0, with words about the file
  same              exit code 0, the results of the file as it was
  no checksum       exit code 0, other results, of a format in which other bytes are other data: CSV, Parquet, specs, ...
  SILENT            exit code 0, other results and not a word, of a file that only homebench writes, or one with a checksum
  WORDLESS          exit code 1 or 2 without a word
  PANIC, ABORT, SLOW  exit code 101, a signal, more than 10 seconds

The words in capitals are faults: the exit code is then 1, and the file is kept. Python's standard library is enough.
"""

import argparse
import collections
import concurrent.futures
import gzip
import hashlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SEEDS = REPOSITORY / "fuzz/seeds/columnar"
DESCRIPTIONS = REPOSITORY / "experiments/datasets"

MOST_SECONDS = 10
MOST_BYTES = 6 << 30
LONG_MESSAGE = 2048
FAULTS = ["SILENT", "WORDLESS", "PANIC", "ABORT", "SLOW"]
COLUMNS = ["refused", "said", "same", "no checksum", *FAULTS]

SPEC = """question = "Which?"
seeds = [1]
[dataset]
name = "synthetic"
rows = 400
[training]
batch_size = 128
max_epochs = 2
embedding_dim = 2
[run]
checkpoint_every_seconds = 0
[grid]
"training.learning_rate" = [0.001, 0.01]
[variants.mmoe]
model = "mmoe"
num_experts = 2
expert_dims = [4]
"""

TUNED = SPEC.replace('[grid]\n"training.learning_rate" = [0.001, 0.01]\n', "") + """
[tuning]
trials = 2
seeds = [7]
[tuning.random]
"training.learning_rate" = { log_range = [1e-4, 1e-1] }
"""

MODEL = """model = "home"
tasks = ["click", "like", "long_view"]
expert_dims = [4, 3]
tower_dims = [3]
rank = 2
[[groups]]
name = "watch"
tasks = ["click", "long_view"]
[[groups]]
name = "interaction"
tasks = ["like"]
"""

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

EDGES = ["0", "-1", "1", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808",
         "18446744073709551615", "-9223372036854775808", "1e308", "1e309", "nan", "inf", "0.0000000001", "1_000_000"]


def mutate(data, chance, is_text):
    """The bytes with something changed, and what."""
    data = bytearray(data)
    place = chance.randrange(max(len(data), 1))
    binary = ["bit", "bits", "byte", "cut", "delete", "twice", "swap", "insert", "word", "zeros", "empty"]
    text = ["bit", "bits", "cut", "delete", "twice", "line_twice", "line_gone", "number", "number", "number", "insert",
            "nest", "long_line", "name", "quote"]
    what = chance.choice(text if is_text else binary)
    if not data:
        return b"\0", "byte"
    if what in ("bit", "bits"):
        for _ in range(1 if what == "bit" else chance.randrange(2, 9)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif what == "byte":
        data[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
    elif what == "cut":
        del data[place:]
    elif what == "delete":
        del data[place:place + chance.choice([1, 4, 8, 64, 512])]
    elif what == "twice":
        end = place + chance.choice([1, 8, 64, 512])
        data[end:end] = data[place:end]
    elif what == "swap":
        other = chance.randrange(len(data))
        size = chance.choice([1, 8, 64])
        one, two = bytes(data[place:place + size]), bytes(data[other:other + size])
        data[place:place + len(two)], data[other:other + len(one)] = two, one
    elif what == "insert":
        data[place:place] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4, 32])))
    elif what == "word":
        size = chance.choice([2, 4, 8])
        value = chance.choice([0, 1, -1, (1 << (8 * size - 1)) - 1, -(1 << (8 * size - 1)), 1 << (8 * size - 2)])
        data[place:place + size] = value.to_bytes(size, "little", signed=True)
    elif what == "zeros":
        end = min(len(data), place + chance.choice([4, 64, 1024]))
        data[place:end] = bytes(end - place)
    elif what == "empty":
        data = bytearray()
    elif what in ("line_twice", "line_gone"):
        lines = data.split(b"\n")
        line = chance.randrange(len(lines))
        lines[line:line + 1] = [lines[line]] * (2 if what == "line_twice" else 0)
        data = bytearray(b"\n".join(lines))
    elif what == "number":
        numbers = list(re.finditer(rb"-?\d[\d.eE_+-]*", bytes(data)))
        if numbers:
            found = chance.choice(numbers)
            data[found.start():found.end()] = chance.choice(EDGES).encode()
    elif what == "nest":
        start, end = chance.choice([(b"[", b"]"), (b"{a=", b"}"), (b"a.", b"")])
        count = chance.choice([70, 3000, 200_000])
        data[place:place] = start * count + b"1" + end * count
    elif what == "long_line":
        data[place:place] = chance.choice([b"x", b"1,", b"\"", b"9", b"[]", b"a.b "]) * chance.choice([1000, 1_000_000])
    elif what == "name":
        names = list(re.finditer(rb"[a-z_]{3,}", bytes(data)))
        if names:
            found = chance.choice(names)
            data[found.start():found.end()] = chance.choice([b"x" * 300, b"..", b"/dev/zero", b"\xc3\xa9", b"a b", b""])
    elif what == "quote":
        data[place:place] = chance.choice([b'"', b"'", b'"""', b"'''", b"\\", b"#", b"\r", b"\0"])
    return bytes(data), what


def limits():
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Ran:
    def __init__(self, command, folder, environment, keep_stdin=False):
        process = subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=limits, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.PIPE if keep_stdin else subprocess.DEVNULL)
        start = time.monotonic()
        self.is_slow = False
        stdin = process.stdin
        # `communicate` would close it, and a cell without a parent ends.
        process.stdin = None
        try:
            out, err = process.communicate(timeout=MOST_SECONDS * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.is_slow = True
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        finally:
            if stdin:
                stdin.close()
        self.seconds = time.monotonic() - start
        self.code = process.returncode
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")


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
        tables = [digest(work / "cell" / name) for name in ("metrics.csv", "curves.csv", "weights.safetensors")]
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


class Outcome(Results):
    name, pattern = "outcome.toml", "cells/*/outcome.toml"


class WinnersFile(Results):
    name, pattern = "winners", "winners*"


class Provenance(Results):
    name, pattern = "provenance.toml", "provenance.toml"


class Resolved(Results):
    name, pattern = "spec.resolved.toml", "spec.resolved.toml"


class Facts(Results):
    name, pattern = "facts.toml", "facts.toml"


class External(Results):
    name, pattern = "external scores", "external/*"


class Tables(Results):
    name, pattern = "tables", "*.csv"


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


KINDS = [Spec, Descriptions, Csv, CsvGzip, CsvZstandard, Parquet, Arrow, Cache, Sources, Checkpoint, Forward, Outcome,
         WinnersFile, Provenance, Resolved, Facts, External, Tables, Continued]
SLOWNESS = 1


class Breaker:
    def __init__(self, binary, root):
        self.binary = str(pathlib.Path(binary).resolve())
        self.root = pathlib.Path(root)
        self.base = self.root / "base"
        self.environment = {**os.environ, "NO_COLOR": "1", "GIT_OPTIONAL_LOCKS": "0"}
        for name in ("RUST_BACKTRACE", "HOMEBENCH_CACHE", "HOMEBENCH_DATA", "HOMEBENCH_FAULTS"):
            self.environment.pop(name, None)

    def run_plain(self, work, *arguments):
        return Ran([self.binary, *arguments], work, self.environment)

    def run(self, work, *arguments):
        # A changed spec may ask for other rows, which would fill the cache.
        places = ["--descriptions", str(DESCRIPTIONS), "--cache-dir", str(work / "cache"), "--data-dir", str(work / "data")]
        return self.run_plain(work, *arguments, *places)

    def cell(self, work, folder):
        command = [self.binary, "cell", folder, "--threads", "1", "--descriptions", str(DESCRIPTIONS), "--cache-dir",
                   str(work / "cache"), "--data-dir", str(work / "data")]
        return Ran(command, work, self.environment, keep_stdin=True)

    def set_up(self):
        """A finished, tuned experiment, and a cell that was interrupted after its first epoch."""
        self.base.mkdir()
        (self.base / "t.toml").write_text(TUNED)
        places = ["--descriptions", str(DESCRIPTIONS), "--cache-dir", "cache", "--data-dir", "data", "--threads", "1"]
        command = [self.binary, "run", "t.toml", "--out", "done", *places]
        subprocess.run(command, cwd=self.base, env=self.environment, check=True, capture_output=True)
        cell = next(path.parent for path in sorted(self.base.glob("done/cells/*/metrics.csv")))
        (self.base / "cell").mkdir()
        shutil.copy(cell / "cell.toml", self.base / "cell")
        crash = {**self.environment, "HOMEBENCH_FAULTS": "*=kill@5"}
        command = [self.binary, "cell", "cell", "--checkpoint-every", "0", *places]
        with subprocess.Popen(command, cwd=self.base, env=crash, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            process.wait()
        self.external(cell)

    def external(self, cell):
        """Scores of another program, made of the folder's own."""
        folder = self.base / "done/external"
        folder.mkdir()
        lines = (self.base / "done/metrics.csv").read_text().splitlines()
        header = lines[0].split(",")
        wanted = ["variant", "seed", "split", "task", "metric", "value", "rows", "positives"]
        places = [header.index(name) for name in wanted]
        rows = [[line.split(",")[place] for place in places] for line in lines[1:]]
        rows = [row for row in rows if row[2] == "test" and row[4] == "auc"]
        text = "\n".join(",".join(row) for row in [wanted, *[["trees", *row[1:]] for row in rows]])
        (folder / "trees.csv").write_text(text + "\n")
        content = re.search(r'content_hash = "(\w+)"', (cell / "cell.toml").read_text())[1]
        (folder / "trees.toml").write_text(
            f'about = "Trees"\nprogram = "trees 1"\ncommand = "trees"\ndataset_content = "{content}"\ntrials = 0\n')
        # What is seen for the first time is sealed.
        subprocess.run([self.binary, "report", "done"], cwd=self.base, env=self.environment, check=True, capture_output=True)


def judge(kind, runs, results, reference):
    said, before = kind.said(runs), reference[0]
    if any(run.is_slow for run in runs):
        return "SLOW"
    text = "".join(run.out + run.err for run in runs)
    if any(run.code == 101 for run in runs) or "panicked at" in text or "RUST_BACKTRACE" in text:
        return "PANIC"
    if any(run.code < 0 for run in runs) or re.search(r"SIGABRT|SIGSEGV|killed by signal|memory allocation of", text):
        return "ABORT"
    failed = [run for run in runs if run.code != 0]
    if failed:
        return "refused" if all((run.err + run.out).strip() for run in failed) else "WORDLESS"
    if results == reference[1]:
        return "same" if said == before else "said"
    if said != before:
        return "said"
    return "SILENT" if kind.has_checksum else "no checksum"


def attempt(kind, seed, folder, keep):
    """One change of one file of a kind; what came of it."""
    chance = random.Random(seed)
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    try:
        kind.place(work)
        path = chance.choice(kind.originals())
        original = (work / path).read_bytes()
        data, what = mutate(original, chance, kind.is_text or path.endswith((".toml", ".csv")))
        (work / path).write_bytes(data)
        runs, results = kind.read(work, path)
        verdict = "same" if data == original else judge(kind, runs, results, kind.references[path])
        longest = max(len(run.err) for run in runs)
        if verdict in FAULTS and keep:
            name = f"{kind.name.split()[0]}-{seed}-{verdict}".replace("/", "-")
            (keep / name).write_bytes(data)
            words = "\n".join(f"exit code {run.code}\n{run.out[-2000:]}\n{run.err[-4000:]}" for run in runs)
            (keep / f"{name}.txt").write_text(f"{path}\n{what}\n{words}")
        return verdict, longest, path, what, seed
    finally:
        shutil.rmtree(work, ignore_errors=True)


def look(kind, folder):
    """What the commands say and make of each file as it is."""
    kind.references = {}
    for path in kind.originals() or []:
        work = pathlib.Path(tempfile.mkdtemp(dir=folder))
        kind.place(work)
        runs, results = kind.read(work, path)
        bad = [run for run in runs if run.code not in (0,)]
        if bad:
            raise SystemExit(f"{kind.name}: {path} is not read as it is: {bad[0].err}{bad[0].out}")
        kind.references[path] = (kind.said(runs), results)
        shutil.rmtree(work)


def main():
    global SLOWNESS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the homebench binary")
    parser.add_argument("--count", type=int, default=100, help="changes of each kind of file [default: 100]")
    parser.add_argument("--seed", type=int, default=0, help="another number gives other changes [default: 0]")
    parser.add_argument("--kinds", default="", help="only kinds whose names contain one of these words, separated by commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at once [default: one a core]")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the files that led to faults")
    parser.add_argument("--slowness", type=float, default=1, help="multiply the time limit, for a build without optimisation")
    arguments = parser.parse_args()
    SLOWNESS = arguments.slowness
    words = [word for word in arguments.kinds.split(",") if word]
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    faults = []
    header = ["file", "inputs", *COLUMNS, "words over 2 KB"]
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1), flush=True)
    with tempfile.TemporaryDirectory(prefix="homebench-break-") as root:
        breaker = Breaker(arguments.binary, root)
        breaker.set_up()
        for make in KINDS:
            if words and not any(word.lower() in make.name.lower() for word in words):
                continue
            try:
                kind = make(breaker)
            except FileNotFoundError as error:
                print(f"{make.name}: left out, {error.filename} is not installed", file=sys.stderr)
                continue
            start = time.monotonic()
            look(kind, root)
            if not kind.references:
                raise SystemExit(f"{kind.name}: there is no such file to change")
            counts = collections.Counter()
            with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
                seeds = [f"{arguments.seed} {kind.name} {index}" for index in range(arguments.count)]
                for result in pool.map(lambda seed: attempt(kind, seed, root, arguments.keep), seeds):
                    verdict, length, path, what, seed = result
                    counts[verdict] += 1
                    counts["long"] += length > LONG_MESSAGE
                    if verdict in FAULTS:
                        faults.append(f"{verdict}: {kind.name}: {path} ({what}), {seed!r}")
            cells = [str(counts[column]) for column in COLUMNS]
            # As they come: who waits for the last has the first already.
            print(f"| {kind.name} | {arguments.count} | " + " | ".join(cells) + f" | {counts['long']} |", flush=True)
            print(f"{kind.name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
