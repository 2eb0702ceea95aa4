"""Installs a wheel where there is no Rust, and does with it what a newcomer would.

    check_wheel.py WHEEL [--small] [--frames pandas polars] [--fetch]          (or: just check-wheel)

Makes an empty virtual environment whose PATH has nothing else, installs the wheel into it without an index, runs `homebench run quickstart`
in an empty folder and loads the results, in one environment for each library of frames, which come from pip's index. `--small` cuts the
quickstart down, for a program that was not optimised; `--fetch` gets Census-Income too.
"""

import argparse
import csv
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
SMALL = ["--set", "dataset.rows=3000", "--set", "training.max_epochs=2", "--set", "training.batch_size=256"]

# Compares every value with what Python's own csv, int and float make of it, and a packed copy with what it was made from.
LOAD = """
import sys, csv, json, homebench
results, packed = homebench.load("runs/quickstart"), homebench.load("packed")
assert type(results.metrics).__module__.startswith(sys.argv[1]), type(results.metrics)
def rows(frame):
    if sys.argv[1] == "polars":
        return frame.rows()
    import pandas
    return list(zip(*([None if v is pandas.NA else v for v in frame[name]] for name in frame)))
kinds = json.load(open(homebench.__file__.replace("__init__.py", "columns.json")))
make = {"text": str, "whole": int, "number": float, "truth": "true".__eq__}
for name in results.tables:
    with open(f"runs/quickstart/{name}.csv", newline="") as file:
        lines = csv.DictReader(file)
        expected = [tuple(make[kinds[name][c]](v) if v else None for c, v in line.items()) for line in lines]
    assert rows(results[name]) == expected, name
    print(f"  {name}: {len(expected)} rows as written")
assert rows(packed.metrics) == rows(results.metrics)
assert rows(packed.curves) == rows(results.curves)
"""


class Environment:
    """A virtual environment, and nothing else on its PATH."""

    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        self.bin = folder / "env" / "bin"
        self.work = folder / "empty"
        self.work.mkdir()
        for tool in ("cargo", "rustc", "cc", "ld"):
            assert shutil.which(tool, path=self.bin) is None, f"{tool} is on the environment's PATH"

    def run(self, *command, code=0):
        found = shutil.which(command[0], path=self.bin)
        assert found, f"{command[0]} is not in the environment"
        variables = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), "NO_COLOR": "1"}
        # Where pip finds its index, and nothing of homebench's own.
        variables |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "http"))}
        ran = subprocess.run([found, *command[1:]], cwd=self.work, env=variables, text=True, capture_output=True)
        if ran.returncode != code:
            raise SystemExit(f"{' '.join(map(str, command))}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran


def check(wheel, frames, args):
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(pathlib.Path(folder))
        run = environment.run
        began = time.monotonic()
        # Whatever the wheel needs must be in it.
        run("pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel)
        print(f"{frames}: installed, {run('homebench', '--version').stdout.strip()}")
        run("homebench", "run", "quickstart", *(SMALL if args.small else []))
        print(f"  from the wheel to the first chart: {time.monotonic() - began:.1f} s")
        for made in ("report.html", "report.md", "metrics.csv"):
            assert (environment.work / "runs/quickstart" / made).stat().st_size, made
        assert list((environment.work / "runs/quickstart/figures").glob("*.svg"))
        with (environment.work / "runs/quickstart/cells.csv").open(newline="") as file:
            assert [row["status"] for row in csv.DictReader(file)] == ["done"] * 9
        run("python", "-m", "homebench", "pack", "runs/quickstart", "--into", "packed")
        assert (environment.work / "packed/curves.csv.zst").exists()
        # Not before a table is asked for: the wheel needs no library of frames.
        without = run("python", "-c", "import homebench; homebench.load('runs/quickstart')", code=1).stderr
        assert "hint: pip install pandas" in without, without
        run("homebench", "new", "my-question")
        run("homebench", "run", "my-question", *SMALL, "--only", "mmoe/1")
        refused = run("homebench", "data", "prepare", "census-income", code=2).stderr
        assert "homebench data fetch census-income" in refused, refused
        if args.fetch:
            run("homebench", "data", "fetch", "census-income")
            print(f"  {run('homebench', 'data', 'prepare', 'census-income').stdout.splitlines()[0]}")
        run("pip", "install", "--quiet", "--disable-pip-version-check", frames, "zstandard")
        print(run("python", "-c", LOAD, frames).stdout, end="")
        run("python", "-m", "unittest", "discover", "-s", HERE.resolve(), "-p", "test_reader.py")
        print("  the reader passes its tests")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--fetch", action="store_true")
    parser.add_argument("--frames", nargs="+", default=["pandas", "polars"])
    args = parser.parse_args()
    for frames in args.frames:
        check(args.wheel.resolve(), frames, args)


if __name__ == "__main__":
    main()
