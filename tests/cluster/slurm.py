#!/usr/bin/env python3
"""Runs experiments through a real Slurm of two nodes on this machine, disturbs them, and compares what they end with, byte for byte.

    tests/cluster/slurm.py HOMEBENCH [--only NAME] [--long] [--kills 200] [--seed 2408]

Slurm is installed where it is missing and can be (apt-get); where not, it says so in a line with "left out" and ends well. --long adds
what takes minutes: time limits, small limits of Slurm, and random kills of everything (--kills).
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import Cluster, install

PROJECT = Path(__file__).resolve().parents[2]
SMALL = ["--set", "dataset.rows=3000", "--set", "training.max_epochs=2", "--set", "training.batch_size=256", "--set", "seeds=[1]"]
# Experiments by name: a short one, and one that is long enough to be disturbed, to which main() gives its epochs.
SPECS = {"quickstart": PROJECT / "experiments" / "quickstart.toml", "tuned": PROJECT / "experiments" / "tuned.toml",
         "slow": PROJECT / "tests" / "cluster" / "slow.toml"}
SLOW = []
SETTINGS = """\
[slurm]
tasks = {tasks}
memory = "300MiB"
poll_seconds = 1
silence_seconds = {silence}
"""


class Bench:
    """A folder with a binary, a cluster and its settings."""

    def __init__(self, homebench, folder, cluster):
        self.homebench, self.dir, self.cluster = Path(homebench).resolve(), Path(folder), cluster
        self.env = {**cluster.env, "HOMEBENCH_CACHE": str(self.dir / "cache"), "NO_COLOR": "1"}
        # A wrapper counts submissions.
        wrapper = self.dir / "bin" / "sbatch"
        wrapper.parent.mkdir(exist_ok=True)
        self.calls = self.dir / "sbatch.calls"
        wrapper.write_text(f'#!/bin/sh\ncase " $* " in *" --test-only "*) ;; *) echo "$*" >>{self.calls} ;; esac\n'
                           f'exec {shutil.which("sbatch")} "$@"\n')
        wrapper.chmod(0o755)
        self.env["PATH"] = f"{wrapper.parent}:{os.environ['PATH']}"
        self.settings()

    def settings(self, tasks=4, silence=6, more=""):
        (self.dir / "cluster.toml").write_text(SETTINGS.format(tasks=tasks, silence=silence) + more)

    def words(self, spec, out, more, slurm=True):
        words = [self.homebench, "run", SPECS[spec], "--out", out,
                 "--descriptions", PROJECT / "experiments" / "datasets", *more]
        if "--threads" not in more:
            words += ["--threads", "1"]
        return [str(word) for word in words] + (["--executor", "slurm"] if slurm else [])

    def start(self, spec, out, more, env=()):
        log = open(self.dir / f"{out}.log", "ab")
        return subprocess.Popen(self.words(spec, out, more), cwd=self.dir, env={**self.env, **dict(env)},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self, spec, out, more, code=0, env=(), seconds=600):
        process = self.start(spec, out, more, env)
        try:
            found = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            found = f"still running after {seconds} s"
        if code is not None and found != code:
            raise AssertionError(f"exit code {found} instead of {code}\n{self.log(out)}")
        return self.log(out)

    def local(self, spec, out, more):
        done = subprocess.run(self.words(spec, out, more, slurm=False), cwd=self.dir, env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def log(self, out):
        return (self.dir / f"{out}.log").read_text()

    def submissions(self):
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def same(self, out, expected):
        done = subprocess.run([PROJECT / ".ci" / "same-results", expected, out], cwd=self.dir, capture_output=True, text=True)
        assert done.returncode == 0, f"{out}: {done.stdout}{done.stderr}\n{self.log(out)}"
        # What has ended is COMPLETING for a while, longer where its node was away.
        self.cluster.wait(120, "an empty queue", lambda: not self.cluster.queue())

    def has_checkpoint(self, out):
        return any((self.dir / out / "cells").glob("*/checkpoint"))

    def wait_for_checkpoint(self, out):
        self.cluster.wait(120, "a checkpoint", lambda: self.has_checkpoint(out))

    def busy_node(self):
        for node in self.cluster.nodes:
            if self.cluster.tasks(node):
                return node
        raise AssertionError(f"no node has a task: {self.cluster.queue()}")


def same_bytes(bench):
    """Two nodes give the bytes of this machine, each node its share."""
    # Nothing is disturbed, and a task that takes seconds to begin on a cold machine is not lost: of such the logs would stay.
    bench.settings(silence=60)
    bench.local("quickstart", "local", SMALL)
    before = bench.submissions()
    said = bench.run("quickstart", "out", SMALL)
    bench.same("out", "local")
    assert bench.submissions() == before + 1
    provenance = (bench.dir / "out" / "provenance.toml").read_text()
    assert all(f'name = "{node}"' in provenance for node in bench.cluster.nodes), provenance
    left = [str(path) for path in (bench.dir / "out").rglob("*") if ".cluster" in path.parts]
    assert not left, f"{left}\n{said}"
    bench.settings()


def tuned(bench):
    """A tuned experiment is submitted phase by phase."""
    small = ["--set", "dataset.rows=2000", "--set", "training.max_epochs=1", "--set", "training.batch_size=256",
             "--set", "tuning.trials=2", "--set", "seeds=[1]", "--set", "tuning.seeds=[7]"]
    bench.local("tuned", "local-tuned", small)
    bench.run("tuned", "out-tuned", small)
    bench.same("out-tuned", "local-tuned")


def killed_node(bench):
    """A node that is gone: its cells end by themselves and are submitted again from their checkpoints."""
    process = bench.start("slow", "out-node", SLOW)
    bench.wait_for_checkpoint("out-node")
    node = bench.busy_node()
    assert bench.cluster.kill_node(node) > 0
    bench.cluster.wait(5, "the end of its cells", lambda: not [
        pid for pid in bench.cluster.processes(node=node) if alive(pid)])
    time.sleep(12)
    bench.cluster.start_node(node)
    assert process.wait(300) == 0, bench.log("out-node")
    assert "submitted again" in bench.log("out-node"), bench.log("out-node")
    bench.same("out-node", "local-slow")
    bench.cluster.wait_for_nodes()


def cancelled_task(bench):
    """A task that somebody cancels is submitted again."""
    process = bench.start("slow", "out-scancel", SLOW)
    bench.wait_for_checkpoint("out-scancel")
    name, index, *_ = next(line for line in bench.cluster.queue() if "RUNNING" in line).split()
    job = bench.cluster.call("squeue", "-h", f"--name={name}", "-o", "%F").stdout.split()[0]
    bench.cluster.call("scancel", f"{job}_{index}")
    assert process.wait(300) == 0, bench.log("out-scancel")
    assert "submitted again" in bench.log("out-scancel"), bench.log("out-scancel")
    bench.same("out-scancel", "local-slow")


def interrupted(bench):
    """Ctrl-C leaves checkpoints and an empty queue; the same command goes on."""
    process = bench.start("slow", "out-int", SLOW)
    bench.wait_for_checkpoint("out-int")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, bench.log("out-int")
    bench.cluster.wait(20, "an empty queue", lambda: not bench.cluster.queue())
    assert bench.has_checkpoint("out-int")
    bench.run("slow", "out-int", SLOW)
    bench.same("out-int", "local-slow")


def killed_parent(bench):
    """A parent that is killed while tasks run, or around its submission: nothing is submitted twice."""
    before = bench.submissions()
    process = bench.start("slow", "out-parent", SLOW)
    bench.wait_for_checkpoint("out-parent")
    process.kill()
    process.wait()
    bench.run("slow", "out-parent", SLOW)
    assert bench.submissions() == before + 1, bench.log("out-parent")
    bench.same("out-parent", "local-slow")
    for moment, calls in (("intended", 1), ("submitted", 1)):
        before, out = bench.submissions(), f"out-{moment}"
        bench.run("quickstart", out, SMALL, code=-9, env={"HOMEBENCH_FAULTS": f"parent=kill@{moment}"})
        bench.run("quickstart", out, SMALL)
        assert bench.submissions() == before + calls, bench.log(out)
        bench.same(out, "local")


def refused(bench):
    """What can't be run is said, with nothing left in the queue."""
    bench.settings(more='arguments = ["--partition=nowhere"]\n')
    said = bench.run("quickstart", "out-partition", SMALL, code=2)
    assert "refuses the tasks" in said and "invalid partition" in said, said
    bench.settings()
    # No node has so many processors: Slurm says so when it is asked, or lets it wait for ever.
    said = bench.run("quickstart", "out-never", [*SMALL, "--threads", "64"], code=2, seconds=120)
    assert "can never run" in said or "refuses the tasks" in said, said
    bench.cluster.wait(20, "an empty queue", lambda: not bench.cluster.queue())


def left(bench):
    """--no-wait leaves and comes back; cancel ends what was left."""
    no_wait = [*SMALL, "--no-wait"]
    bench.run("quickstart", "out-left", no_wait, code=4)
    end = time.time() + 300
    while (process := bench.start("quickstart", "out-left", no_wait)).wait(120) == 4:
        assert time.time() < end, bench.log("out-left")
        time.sleep(1)
    assert process.returncode == 0, bench.log("out-left")
    bench.same("out-left", "local")
    bench.run("slow", "out-cancel", [*SLOW, "--no-wait"], code=4)
    bench.wait_for_checkpoint("out-cancel")
    done = subprocess.run([bench.homebench, "cancel", "out-cancel"], cwd=bench.dir, env=bench.env, capture_output=True, text=True)
    assert done.returncode == 0, done
    bench.cluster.wait(20, "an empty queue", lambda: not bench.cluster.queue())


# From here on what takes minutes.

def late_node(bench):
    """A node whose slurmd alone is gone comes back late: two copies of a task are possible, and one writes."""
    process = bench.start("slow", "out-late", SLOW)
    bench.wait_for_checkpoint("out-late")
    node = bench.busy_node()
    bench.cluster.stop(node, signal.SIGKILL)
    time.sleep(40)
    bench.cluster.start_node(node)
    assert process.wait(600) == 0, bench.log("out-late")
    bench.same("out-late", "local-slow")
    bench.cluster.wait_for_nodes()


def time_limit(bench):
    """A task whose time is over keeps checkpoints, and its cells go on in another."""
    long = ["--set", "training.max_epochs=250", "--set", "training.patience=250"]
    bench.local("slow", "local-long", long)
    bench.settings(tasks=1, more='time = "3m"\n')
    bench.run("slow", "out-long", long, seconds=1800)
    bench.settings()
    bench.same("out-long", "local-long")


def small_limits(bench):
    """MaxArraySize of 3 makes bundles; MaxJobCount of 4 makes sbatch hang, which is waited for by name."""
    with tempfile.TemporaryDirectory() as folder, Cluster(folder, settings=["MaxArraySize=3"]) as cluster:
        other = Bench(bench.homebench, folder, cluster)
        other.local("quickstart", "local", SMALL)
        other.run("quickstart", "out", SMALL)
        other.same("out", "local")


def dead_controller(bench):
    """The controller is killed and comes back, having forgotten its last seconds."""
    process = bench.start("slow", "out-ctld", SLOW)
    bench.wait_for_checkpoint("out-ctld")
    bench.cluster.stop("slurmctld", signal.SIGKILL)
    time.sleep(15)
    bench.cluster.start_controller()
    assert process.wait(900) == 0, bench.log("out-ctld")
    bench.same("out-ctld", "local-slow")


def torture(bench, kills, seed):
    """Random kills of tasks, cells, nodes and parents."""
    draws = random.Random(seed)
    done = rounds = 0
    while done < kills:
        rounds += 1
        out = f"out-torture-{rounds}"
        for _ in range(draws.randint(1, 4)):
            process = bench.start("slow", out, SLOW)
            time.sleep(draws.uniform(0.5, 8))
            what = draws.choice(["parent", "parent-int", "task", "cell", "node", "scancel"])
            tasks = [pid for node in bench.cluster.nodes for pid in bench.cluster.tasks(node)]
            cells = [pid for pid in bench.cluster.processes() if is_cell(pid)]
            done += 1
            if what == "parent":
                process.kill()
            elif what == "parent-int":
                process.send_signal(signal.SIGINT)
            elif what == "task" and tasks:
                kill(draws.choice(tasks), draws.choice([signal.SIGKILL, signal.SIGTERM]))
            elif what == "cell" and cells:
                # Asked to end: killed, a cell is a failure, as on one machine.
                kill(draws.choice(cells), signal.SIGTERM)
            elif what == "node":
                node = draws.choice(bench.cluster.nodes)
                bench.cluster.kill_node(node)
                time.sleep(draws.uniform(0, 15))
                bench.cluster.start_node(node)
            elif what == "scancel":
                bench.cluster.call("scancel", "--user=root")
            if what.startswith("parent"):
                process.wait(120)
            else:
                code = process.wait(900)
                assert code == 0, f"{what}: exit code {code}\n{bench.log(out)}"
        bench.run("slow", out, SLOW)
        bench.same(out, "local-slow")
        print(f"    round {rounds}: {done} of {kills} disturbances", flush=True)
        bench.cluster.wait_for_nodes()
    print(f"    {rounds} rounds with {done} disturbances ended with the same bytes")


def kill(pid, how):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def is_cell(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1] == b"cell"
    except (OSError, IndexError):
        return False


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


FAST = [same_bytes, killed_node, cancelled_task, interrupted, killed_parent, refused, left]
LONG = [tuned, late_node, time_limit, small_limits, dead_controller]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homebench")
    parser.add_argument("--only", action="append", help="the tests of these names alone")
    parser.add_argument("--long", action="store_true", help="what takes minutes as well")
    parser.add_argument("--kills", type=int, default=0, help="random disturbances")
    parser.add_argument("--seed", type=int, default=2408)
    parser.add_argument("--epochs", type=int, default=40, help="of the cells that are disturbed; fewer for a slow build")
    arguments = parser.parse_args()
    SLOW.extend(["--set", f"training.max_epochs={arguments.epochs}", "--set", f"training.patience={arguments.epochs}"])
    # The background jobs of a shell ignore it, and so would all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if why := install():
        print(f"Slurm: left out: {why}")
        return
    tests = FAST + (LONG if arguments.long else [])
    if arguments.only:
        tests = [test for test in FAST + LONG if test.__name__ in arguments.only]
    with tempfile.TemporaryDirectory(prefix="homebench-slurm-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        start = time.time()
        with Cluster(Path(folder) / "slurm") as cluster:
            print(f"{time.time() - start:6.1f} s  two nodes are up", flush=True)
            bench = Bench(arguments.homebench, work, cluster)
            bench.local("slow", "local-slow", SLOW)
            if same_bytes not in tests:
                bench.local("quickstart", "local", SMALL)
            for test in tests:
                test(bench)
                print(f"{time.time() - start:6.1f} s  {test.__name__}: {test.__doc__}", flush=True)
            if arguments.kills:
                torture(bench, arguments.kills, arguments.seed)
    print(f"{len(tests)} tests through Slurm passed")


if __name__ == "__main__":
    main()
