"""Writes the tables of docs/performance.md from results/peers/*.csv, between its markers.

    python3 benches/peers/table.py [--check]

--check writes nothing, and ends with 1 where the page says other numbers than the files.
"""

import argparse
import csv
import re
import statistics
import sys

from record import ROOT

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "results" / "peers"


def groups(file, key):
    """Rows of a CSV by some of their columns, in the order of the names."""
    found = {}
    with (RESULTS / file).open(newline="") as source:
        for row in csv.DictReader(source):
            found.setdefault(tuple(row[column] for column in key), []).append(row)
    return dict(sorted(found.items()))


def median(rows, column):
    return statistics.median(float(row[column]) for row in rows)


def range_of(rows):
    ratios = sorted(float(row["ratio"]) for row in rows)
    return f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


def steps():
    lines = []
    machine_before = None
    for key, rows in groups("steps.csv", ("machine", "workload", "precision", "threads", "peer")).items():
        machine, workload, precision, threads, peer = key
        if machine != machine_before:
            lines += [
                "", f"**{machine}**", "",
                "| workload | precision | threads | peer | homebench, rows/s | peer, rows/s | ratio | pairs | memory |",
                "| --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: |",
            ]  # fmt: skip
            machine_before = machine
        ours, theirs = median(rows, "ours_rows_per_second"), median(rows, "peer_rows_per_second")
        memory = median(rows, "ours_peak_memory_bytes") / median(rows, "peer_peak_memory_bytes")
        ratio = median(rows, "ratio")
        lines.append(
            f"| {workload} | {precision} | {threads} | {peer} | {ours:,.0f} | {theirs:,.0f} "
            f"| {ratio:.2f} | {len(rows)}: {range_of(rows)} | {memory:.2f} |"
        )
    return lines


def census():
    lines = [
        "",
        "| machine | peer | threads | homebench, s | peer, s | ratio | pairs | memory |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for (machine, peer, threads), rows in groups("census.csv", ("machine", "peer", "threads")).items():
        memory = median(rows, "ours_peak_memory_bytes") / median(rows, "peer_peak_memory_bytes")
        lines.append(
            f"| {machine} | {peer} | {threads} | {median(rows, 'ours_seconds'):.1f} | {median(rows, 'peer_seconds'):.1f} "
            f"| {median(rows, 'ratio'):.1f} | {len(rows)}: {range_of(rows)} | {memory:.2f} |"
        )
    return lines


def spliced(text, name, lines):
    """The page with other lines between the markers of one table."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"{PAGE.relative_to(ROOT)}: expected one pair of markers <!-- {name} --> and <!-- /{name} -->")
    return pattern.sub(lambda match: match[1] + "\n".join(lines) + "\n\n" + match[2], text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare alone")
    args = parser.parse_args()
    before = PAGE.read_text()
    after = spliced(spliced(before, "steps", steps()), "census", census())
    if before == after:
        return
    if args.check:
        sys.exit("docs/performance.md: other numbers than in results/peers\nhint: python3 benches/peers/table.py")
    PAGE.write_text(after)


if __name__ == "__main__":
    main()
