"""Where things are, what machine this is, and the CSV files."""

import csv
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def gpu(device):
    """The name and driver of a GPU, as nvidia-smi tells them."""
    index = device.partition(":")[2] or "0"
    query = ["nvidia-smi", f"--id={index}", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    name, driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    return f"{name}, driver {driver}"


def machine(device="cpu"):
    """The processor, how many of its threads this process may use, and the memory; the GPU, where one is used."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line.split(":", 1)[1].strip() for line in information if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    avx512 = "AVX-512" if any("avx512f" in line for line in information) else "no AVX-512"
    units = avx512 + (" and AMX" if any("amx_bf16" in line for line in information) else "")
    processor = f"{name}; {len(os.sched_getaffinity(0))} threads; {units}; {memory:.0f} GiB"
    return processor if device == "cpu" else f"{gpu(device)}; {processor}"


def merge_csv(path, columns, key, rows):
    """Writes `rows`, and those already in the file whose key is not among theirs."""
    kept = []
    if path.exists():
        new = {tuple(str(row[k]) for k in key) for row in rows}
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if tuple(row[k] for k in key) not in new]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)
    part.replace(path)
