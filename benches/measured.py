"""A command's seconds, largest resident memory and lines of output, for the scripts beside this one."""

import dataclasses
import pathlib
import resource
import subprocess
import sys
import time


@dataclasses.dataclass
class Measured:
    seconds: float
    peak: int  # bytes, of the process alone
    lines: int  # of stdout
    processor: float  # seconds, of the process and those that it waited for


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command, folder, code=0):
    """Runs a command in a folder, with its output in files `stdout` and `stderr` there; ends this program where its exit code is another."""
    start, used = time.perf_counter(), processor_seconds()
    with open(folder / "stdout", "w+b") as stdout, open(folder / "stderr", "wb") as stderr:
        process = subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr)
        peak = 0
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
                peak = max([peak] + [int(line.split()[1]) * 1024 for line in lines])
            except (FileNotFoundError, ProcessLookupError):
                pass
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        stdout.seek(0)
        num_lines = stdout.read().count(b"\n")
    if process.returncode != code:
        sys.exit(f"exit code {process.returncode} instead of {code}: {(folder / 'stderr').read_text()[-2000:]}")
    return Measured(seconds, peak, num_lines, processor_seconds() - used)
