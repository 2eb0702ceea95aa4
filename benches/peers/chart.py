"""The chart of ratios: a dot per pair, a line per median."""

import csv
import statistics

# Of peers, in the order of their names; as many as `run.py` can ask for.
COLOURS = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000",
    "#994f00", "#004488", "#8c6bb1", "#117733", "#cc6633", "#777777",
]  # fmt: skip


def draw_steps(source, target):
    """Reads steps.csv and nothing else."""
    import matplotlib

    matplotlib.use("svg")
    # The same bytes from the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "homebench"
    # Words stay words: fewer bytes, and a reader can search them.
    matplotlib.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt

    with open(source, newline="") as file:
        rows = list(csv.DictReader(file))
    series = {}
    for row in rows:
        workload = row["workload"] if row["precision"] == "f32" else f"{row['workload']} in {row['precision']}"
        processor = row["machine"].split(";")[0].replace("(R)", "").replace(" Processor", "")
        series.setdefault((processor, workload, int(row["threads"]), row["peer"]), []).append(float(row["ratio"]))
    keys = sorted(series, key=lambda key: (*key[:2], -key[2], key[3]))
    colours = dict(zip(sorted({key[3] for key in keys}), COLOURS))

    figure, axes = plt.subplots(figsize=(8.5, 0.8 + 0.32 * len(keys)), layout="constrained")
    for y, key in enumerate(keys):
        ratios = series[key]
        median = statistics.median(ratios)
        axes.plot(ratios, [y] * len(ratios), "o", color=colours[key[3]], alpha=0.35, markersize=4, markeredgewidth=0)
        axes.plot([median, median], [y - 0.32, y + 0.32], color=colours[key[3]], linewidth=2.5)
        offset = {"xytext": (6, 0), "textcoords": "offset points"}
        axes.annotate(f"{median:.2f}", (max(ratios), y), **offset, va="center", fontsize=8)
    labels = [f"{processor}: {workload}, {threads} thread{'s' * (threads > 1)}, {peer}" for processor, workload, threads, peer in keys]
    axes.set_yticks(range(len(keys)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="#888888", linewidth=1)
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel("rows per second, homebench / peer (dots: pairs, lines: medians)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
