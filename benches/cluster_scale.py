"""What many cells cost a cluster's parent: seconds and memory to plan and submit them, to collect them once they are done, and to look
at them again.

    pip install blake3
    python3 benches/cluster_scale.py target/release/homebench [--cells 100000] [--variants 50] [--tasks 1000]
                                                                                              (or: just cluster-scale)

The cells are a grid over learning rates with many seeds, submitted by `--executor manual --no-wait`, which writes all that Slurm's would
and leaves the starting to others. Nothing trains: one cell is trained as a pattern, and what tasks would write of every other is written
from it, with that cell's name and digests of its own. Collecting reads and judges all of it, merges and seals the tables, and draws the
report. Fails where a number of the four is over its limit.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time
import tomllib

import blake3
import measured
import parent_overhead

SPEC = """question = "How long does it take?"
seeds = [{seeds}]
[dataset]
name = "visits"
[training]
batch_size = 64
max_epochs = 1
[variants.v]
model = "logistic"
[grid]
"training.learning_rate" = [{rates}]
"""
# Seconds and bytes that a step may take.
LIMITS = {"plan and submit": (20, 500e6), "collect and report": (120, 2e9)}
DIGEST = "# blake3 of the lines above: "


def write(folder, variants, seeds):
    rates = ", ".join(f"{(number + 1) / 10_000:.4f}" for number in range(variants))
    (folder / "spec.toml").write_text(SPEC.format(seeds=", ".join(map(str, range(1, seeds + 1))), rates=rates))


def with_digest(text):
    return text + DIGEST + blake3.blake3(text.encode()).hexdigest() + "\n"


class Pattern:
    """A cell that was trained, to write others from."""

    def __init__(self, folder):
        (self.folder,) = (folder / "cells").iterdir()
        self.id = self.folder.name
        self.outcome = (self.folder / "outcome.toml").read_text()
        self.content = tomllib.loads(self.outcome)["parts"]["cell.toml"]
        self.times = (self.folder / "throughput.csv").read_text()
        self.weights = (self.folder / "weights.safetensors").read_bytes()
        self.head = ",".join(self.times.splitlines()[1].split(",")[:3])

    def write(self, folder, label):
        """Writes what the cell of a folder, which its parent has made, would be once it is done."""
        variant, _, seed = label.rpartition("/")
        head = f"{folder.name},{variant},{seed}"
        content = folder / "cell.toml"
        text = self.outcome.replace(self.content, content.read_text()).replace(self.head, head).replace(self.id, folder.name)
        (folder / "throughput.csv").write_text(self.times.replace(self.head, head))
        (folder / "weights.safetensors").write_bytes(self.weights)
        (folder / "outcome.toml").write_text(with_digest(text[: text.rindex(DIGEST)]))
        content.unlink()


def play_tasks(out, pattern):
    """Writes what the tasks of the one submission would."""
    (submission,) = (folder for folder in (out / ".cluster").iterdir() if folder.is_dir())
    start = {"start": "ab", "host": "n1", "process": 1, "instructions": "avx2", "cores": 2}
    tasks = (submission / "chunks").read_text().splitlines()
    for number, line in enumerate(tasks):
        events = [{"start": start}]
        for cell in json.loads(line):
            pattern.write(out / "cells" / cell["id"], cell["label"])
            events += [{"began": cell["id"]}, {"ended": cell["id"]}]
        (submission / f"{number}.events").write_text("".join(json.dumps(event) + "\n" for event in [*events, "over"]))
    return len(tasks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench", help="the program")
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--variants", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--keep", type=pathlib.Path, help="work here, and leave it")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.homebench).resolve())
    is_slow = False

    def step(what, words, code=0):
        nonlocal is_slow
        done = measured.run([program, *words], folder, code)
        print(f"{what}: {done.seconds:.1f} s ({done.processor:.1f} s of processors), {done.peak / 1e6:.0f} MB", flush=True)
        seconds, peak = LIMITS.get(what, (float("inf"), float("inf")))
        is_slow |= done.seconds > seconds or done.peak > peak

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(exist_ok=True)
        parent_overhead.prepare(folder)
        (folder / "cluster.toml").write_text(f"[manual]\ntasks = {arguments.tasks}\n")
        places = ["--descriptions", "descriptions", "--data-dir", "data", "--cache-dir", "cache", "--threads", "1"]
        write(folder, 1, 1)
        measured.run([program, "run", "spec.toml", "--out", "pattern", *places], folder)
        pattern = Pattern(folder / "pattern")
        print(f"a cell that is done: {1 + len(list(pattern.folder.iterdir()))} inodes")

        write(folder, arguments.variants, arguments.cells // arguments.variants)
        run = ["run", "spec.toml", "--out", "out", "--executor", "manual", "--no-wait", *places]
        step("plan", ["plan", "spec.toml", "--out", "planned", *places[:-2]])
        step("plan and submit", run, code=4)
        start = time.perf_counter()
        num_tasks = play_tasks(folder / "out", pattern)
        print(f"{num_tasks} tasks played in {time.perf_counter() - start:.0f} s", flush=True)
        step("collect and report", run)
        step("run again, all of them reused", run)
        step("status", ["status", "out"])
        step("report", ["report", "out"])
    return 1 if is_slow else 0


if __name__ == "__main__":
    sys.exit(main())
