"""The program that is tried, and a finished experiment for it to read."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import time
import tomllib

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
DESCRIPTIONS = REPOSITORY / "experiments/datasets"

MOST_SECONDS = 10
MOST_BYTES = 6 << 30

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


def limits():
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Ran:
    """A command that was run: its exit code, its words and its time."""

    # Multiplies the time limit.
    slowness = 1

    def __init__(self, command, folder, environment, keep_stdin=False):
        process = subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=limits, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.PIPE if keep_stdin else subprocess.DEVNULL)
        start = time.monotonic()
        self.is_slow = False
        stdin = process.stdin
        # `communicate` would close it, and a cell without a parent ends.
        process.stdin = None
        try:
            out, err = process.communicate(timeout=MOST_SECONDS * Ran.slowness)
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
        outcome = next(path for path in sorted(self.base.glob("done/cells/*/outcome.toml")))
        content = tomllib.loads(outcome.read_text())["parts"]["cell.toml"]
        (self.base / "cell").mkdir()
        (self.base / "cell" / "cell.toml").write_text(content)
        crash = {**self.environment, "HOMEBENCH_FAULTS": "*=kill@5"}
        command = [self.binary, "cell", "cell", "--checkpoint-every", "0", *places]
        with subprocess.Popen(command, cwd=self.base, env=crash, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            process.wait()
        self.external(content)

    def external(self, cell_content):
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
        content = re.search(r'content_hash = "(\w+)"', cell_content)[1]
        (folder / "trees.toml").write_text(
            f'about = "Trees"\nprogram = "trees 1"\ncommand = "trees"\ndataset_content = "{content}"\ntrials = 0\n')
        # What is seen for the first time is sealed.
        subprocess.run([self.binary, "report", "done"], cwd=self.base, env=self.environment, check=True, capture_output=True)
