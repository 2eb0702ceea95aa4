"""How time and memory grow with rows: the feed is prepared and a shared bottom trained on it for an epoch, at each number of rows.

    python3 benches/feed_memory.py target/release/homebench [--millions 1 10 50] [--folder FOLDER]      (or: just feed-memory)

Prints one row of CSV per size. Memory is the largest resident memory of the process that prepares and of the cell's own, pages of the
memory-mapped cache that it has touched included. Validation and test have a tenth of the rows of training each. Everything is written
below `--folder`, by default one for temporary files: about 100 MB for a million rows, removed at the end.
"""

import argparse
import csv
import os
import pathlib
import tempfile

import measured

DESCRIPTIONS = pathlib.Path(__file__).resolve().parent.parent / "experiments" / "datasets"
DESCRIPTION = """extends = "{feed}"
[rows]
train = {rows}
validation = {others}
test = {others}
"""
SPEC = """question = "How much memory does it take?"
seeds = [1]
[dataset]
name = "rows"
[training]
batch_size = 4096
max_epochs = 1
embedding_dim = 8
[variants.shared_bottom]
model = "shared_bottom"
expert_dims = [64, 32]
tower_dims = [16]
"""
COLUMNS = ["rows", "prepare_seconds", "prepare_peak_bytes", "cache_bytes", "train_seconds", "evaluation_seconds", "train_peak_bytes"]


def at(program, folder, millions):
    rows = round(millions * 1e6)
    (folder / "descriptions").mkdir(parents=True)
    description = DESCRIPTION.format(feed=DESCRIPTIONS / "feed.toml", rows=rows, others=rows // 10)
    (folder / "descriptions" / "rows.toml").write_text(description)
    (folder / "spec.toml").write_text(SPEC)
    places = ["--descriptions", "descriptions", "--data-dir", "data", "--cache-dir", "cache"]
    prepared = measured.run([program, "data", "prepare", "rows", *places], folder)
    measured.run([program, "run", "spec.toml", "--out", "out", *places], folder)
    with open(folder / "out" / "throughput.csv", newline="") as file:
        (cell,) = csv.DictReader(file)
    cache = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    times = [round(float(cell[name]), 1) for name in ("train_seconds", "evaluation_seconds")]
    return [rows, round(prepared.seconds, 1), prepared.peak, cache, *times, cell["peak_memory_bytes"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 50])
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    program = os.path.abspath(arguments.program)
    print(",".join(COLUMNS), flush=True)
    for millions in arguments.millions:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            print(*at(program, pathlib.Path(name) / "feed", millions), sep=",", flush=True)


if __name__ == "__main__":
    main()
