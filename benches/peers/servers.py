"""Two programs that run training steps on request, and the measurements that alternate between them."""

import json
import math
import os
import statistics
import subprocess
import time
from pathlib import Path

# A thread pool may spin for a while after its last step; the other side should not pay for that.
REST_SECONDS = 0.5


class StepServer:
    """A program that answers `step K` on stdin with one line of JSON on stdout."""

    def __init__(self, command, threads):
        environment = os.environ | {name: str(threads) for name in THREAD_VARIABLES}
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def step(self, steps):
        """Runs steps; returns rows per second."""
        self.process.stdin.write(f"step {steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.command)}: ended with status {self.process.wait()}")
        return json.loads(line)["rows_per_second"]

    def peak_memory_bytes(self):
        """The largest resident set so far, the same measure for both sides."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("no VmHWM in /proc: peak memory can only be measured on Linux")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(timeout=30)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CANDLE_NUM_THREADS")


def warm_up(server, rows, seconds):
    """Steps until the first costs (compilation, fresh pages) are paid; then how many steps take about `seconds`."""
    for _ in range(2):
        server.step(1)
    return max(1, math.ceil(seconds * server.step(3) / rows))


def alternate(ours, peer, rows, pairs, seconds):
    """Pairs of (ours, peer) rows per second, one after the other, who begins changing from pair to pair."""
    steps = {server: warm_up(server, rows, seconds) for server in (ours, peer)}
    found = []
    for pair in range(pairs):
        order = (ours, peer) if pair % 2 == 0 else (peer, ours)
        rates = {}
        for server in order:
            time.sleep(REST_SECONDS)
            rates[server] = server.step(steps[server])
        found.append((rates[ours], rates[peer]))
    return found


def median_ratio(pairs):
    return statistics.median(ours / peer for ours, peer in pairs)
