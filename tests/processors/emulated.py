#!/usr/bin/env python3
"""Trains cells on processors that QEMU makes up, and compares them byte for byte: tests/processors/emulated.py target/release/homebench

A few variants, in f32 and in bfloat16, fused and through candle's graph, are trained here, then one by one by `qemu-x86_64 -cpu Haswell` (AVX2, no AVX-512) and `-cpu
Nehalem` (neither). Weights, scores, curves and statistics have to be the same bytes, and so has what `forward` gives. `homebench run`
starts its cells as processes of this processor, so the cells themselves are emulated here. Debian's package is qemu-user.
"""

import argparse
import concurrent.futures
import itertools
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
DESCRIPTIONS = REPOSITORY / "experiments/datasets"
PROCESSORS = ["Haswell", "Nehalem"]
SPEC = """
question = "Which?"
seeds = [1]

[dataset]
name = "synthetic"
rows = 150

[training]
batch_size = 64
max_epochs = 1
embedding_dim = 4

# No multiples of a register's width, and small: an emulated processor without vectors multiplies slowly.
[defaults]
expert_dims = [20, 9]
tower_dims = [5]
rank = 3

[variants.logistic]
model = "logistic"

[variants.layer_norm]
model = "mmoe"
norm = "layer"
activation = "silu"

[variants.ple]
model = "ple"
training.precision = "bf16x3"

[variants.home]
model = "home"

[variants.home_bf16]
model = "home"
training.precision = "bf16"

[variants.before_sigmoid]
model = "home"
feature_gate_mix = "before_sigmoid"
"""
VARIANTS = tomllib.loads(SPEC)["variants"]
COMPARED = ["weights.safetensors", "outcome.toml"]
# Widths that are no multiple of a register's.
MODEL = (REPOSITORY / "tests/golden/home.toml").read_text().replace("[4, 3]", "[24, 17]").replace("[3]", "[9]")


def parts(cell):
    """What a cell that ended keeps as text, by names of files."""
    return tomllib.loads((cell / "outcome.toml").read_text())["parts"]


class Processors:
    def __init__(self, binary, root):
        self.binary, self.root = str(pathlib.Path(binary).resolve()), pathlib.Path(root)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HOMEBENCH_")}
        self.places = ["--descriptions", str(DESCRIPTIONS), "--cache-dir", str(self.root / "cache")]

    def run(self, words, processor=None, **more):
        emulator = ["qemu-x86_64", "-cpu", processor] if processor else []
        command = [*emulator, self.binary, *map(str, words)]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, **more)
        if done.returncode != 0:
            raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")

    def cells(self):
        """The folders of the trained cells, by variant."""
        (self.root / "spec.toml").write_text(SPEC)
        self.run(["run", "spec.toml", "--out", "here", *self.places, "--threads", 1])
        found = {}
        for folder in sorted((self.root / "here/cells").iterdir()):
            text = parts(folder)["cell.toml"]
            found.update({name: folder for name in VARIANTS if f'variant = "{name}"' in text})
        missing = set(VARIANTS) - set(found)
        if missing:
            raise SystemExit(f"no cell of {', '.join(sorted(missing))}")
        return found

    def train(self, processor, variant, cell):
        """Trains the cell of a folder again; the names of files that differ."""
        folder = self.root / f"{processor}-{variant}"
        folder.mkdir()
        (folder / "cell.toml").write_text(parts(cell)["cell.toml"])
        # A cell whose parent has gone, which its standard input says, ends.
        reader, writer = os.pipe()
        with os.fdopen(reader) as stdin, os.fdopen(writer, "w"):
            self.run(["cell", folder, "--threads", 1, *self.places], processor, stdin=stdin)
        return differing(folder, cell, COMPARED)

    def forward(self, processor):
        """What the model gives for some inputs in each precision, under this processor's name."""
        name = processor or "here"
        found = []
        for precision in ("f32", "bf16", "bf16x3"):
            out = f"{name}-{precision}.safetensors"
            self.run(["forward", "--model", "model.toml", "--weights", "w.safetensors", "--inputs", "x.safetensors",
                      "--precision", precision, "--outputs", out], processor)
            found.append((self.root / out).read_bytes())
        if len(set(found)) != len(found):
            raise SystemExit("two precisions gave the same outputs: one had no effect")
        return found

    def write_model(self):
        (self.root / "model.toml").write_text(MODEL)
        rows, width = 37, 19
        header = b'{"x":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,%d]}}' % (rows, width, 4 * rows * width)
        numbers = [((index * 7919) % 2003 - 1001) / 317 for index in range(rows * width)]
        content = struct.pack("<Q", len(header)) + header + struct.pack(f"<{rows * width}f", *numbers)
        (self.root / "x.safetensors").write_bytes(content)
        self.run(["init", "--model", "model.toml", "--input-dim", width, "--weights", "w.safetensors"])


def differing(one, other, names):
    def read(folder, name):
        path = folder / name
        return path.read_bytes() if path.exists() else None

    return [name for name in names if read(one, name) != read(other, name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the homebench binary")
    arguments = parser.parse_args()
    if shutil.which("qemu-x86_64") is None:
        raise SystemExit("qemu-x86_64 is not there: install Debian's package qemu-user")
    failed = False
    with tempfile.TemporaryDirectory(prefix="homebench-processors-") as root:
        processors = Processors(arguments.binary, root)
        cells = processors.cells()
        processors.write_model()
        here = processors.forward(None)
        for processor in PROCESSORS:
            if processors.forward(processor) != here:
                failed = True
                print(f"{processor}: forward differs")
        # Emulation is slow, and each cell has one thread.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            tasks = list(itertools.product(PROCESSORS, cells.items()))
            trained = pool.map(lambda task: processors.train(task[0], *task[1]), tasks)
            for (processor, (variant, _)), found in zip(tasks, trained):
                failed |= bool(found)
                print(f"{processor}: {variant}: {', '.join(found) + ' differ' if found else 'the same bytes'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
