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
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

from changes import mutate
from kinds import KINDS
from program import Breaker, Ran

LONG_MESSAGE = 2048
FAULTS = ["SILENT", "WORDLESS", "PANIC", "ABORT", "SLOW"]
COLUMNS = ["refused", "said", "same", "no checksum", *FAULTS]


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the homebench binary")
    parser.add_argument("--count", type=int, default=100, help="changes of each kind of file [default: 100]")
    parser.add_argument("--seed", type=int, default=0, help="another number gives other changes [default: 0]")
    parser.add_argument("--kinds", default="", help="only kinds whose names contain one of these words, separated by commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at once [default: one a core]")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the files that led to faults")
    parser.add_argument("--slowness", type=float, default=1, help="multiply the time limit, for a build without optimisation")
    arguments = parser.parse_args()
    Ran.slowness = arguments.slowness
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
