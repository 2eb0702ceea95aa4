"""What an experiment costs beside its training: how long a plan of many cells takes, how many trivial cells go through in a second,
how the parent's memory grows with them, and how many more real cells are done in an hour by several jobs of one thread than by one.

    python3 benches/parent_overhead.py target/release/homebench [--plan 10000] [--cells 1000] [--jobs 2] [--pairs 5]
                                                                                              (or: just parent-speed)

A plan is of cells whose models all differ (a grid over widths), so that each has to be counted anew. A trivial cell is one that does
everything but train: a process, its data opened, a logistic model built, one step on 64 rows of a CSV file, everything scored and
written, with its part of every merged table. Nothing is left of a training in that but a fraction of a millisecond. The time is of the
whole run, from the start of the parent to its last table, less that of the charts and the report, which `homebench figures` and
`homebench report` are timed for (report_scale.py is about those). Memory is the parent's largest resident memory, its cells' left out.

A real cell trains MMoE on the quickstart's source. One job and several alternate; the ratio is the median of the pairs.
"""

import argparse
import os
import pathlib
import statistics
import tempfile

import measured

# The small dataset of the end-to-end tests of overhead.
DESCRIPTION = (pathlib.Path(__file__).parent.parent / "tests" / "end_to_end" / "visits.toml").read_text()
SPEC = """question = "How long does it take?"
seeds = [{seeds}]
[dataset]
name = "visits"
[training]
batch_size = 64
max_epochs = 1
[variants.v]
{variant}
"""

# A real cell: four epochs of 60,000 rows, a second or two.
SYNTHETIC = pathlib.Path(__file__).resolve().parent.parent / "experiments" / "datasets" / "synthetic.toml"
REAL_SPEC = """question = "How many cells an hour?"
seeds = [{seeds}]
[dataset]
name = "real"
[training]
batch_size = 1024
max_epochs = {epochs}
[variants.mmoe]
model = "mmoe"
num_experts = 8
expert_dims = [64, 32]
tower_dims = [16]
"""
REAL_CELLS = 8
REAL_EPOCHS = 4


def write(folder, seeds, variant):
    (folder / "spec.toml").write_text(SPEC.format(seeds=", ".join(map(str, seeds)), variant=variant))


def run(program, folder, *arguments):
    places = ["--descriptions", "descriptions", "--data-dir", "data", "--cache-dir", "cache"]
    takes_places = arguments[0] in ("plan", "run")
    return measured.run([program, *arguments, *(places if takes_places else [])], folder)


def prepare(folder):
    (folder / "descriptions").mkdir()
    (folder / "data" / "visits").mkdir(parents=True)
    (folder / "descriptions" / "visits.toml").write_text(DESCRIPTION)
    rows = ["place,size,part,stays"]
    for row in range(192):
        rows.append(f"p{row % 11},{row % 13},u{row},{1 if (row * 7) % 5 < 2 else 0}")
    (folder / "data" / "visits" / "visits.csv").write_text("\n".join(rows) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--plan", type=int, default=10_000)
    parser.add_argument("--cells", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder)
        write(folder, [1], 'model = "logistic"')
        run(program, folder, "plan", "spec.toml")  # prepares the data

        side = round(arguments.plan**0.5)
        widths = f'model = "mmoe"\nexpert_dims = [64, 32]\n[grid]\nexpert_dims = [{", ".join(f"[{8 + i}, 32]" for i in range(side))}]\n'
        towers = f'tower_dims = [{", ".join(f"[{4 + i}]" for i in range(side))}]'
        write(folder, [1], widths + towers)
        plan = run(program, folder, "plan", "spec.toml", "--out", "planned")
        print(f"plan of {plan.lines - 1} different cells: {plan.seconds:.2f} s, {plan.peak / 1e6:.0f} MB")

        for count in sorted({max(arguments.cells // 4, 1), arguments.cells}):
            write(folder, range(1, count + 1), 'model = "logistic"')
            out = f"out{count}"
            jobs = ["--jobs", str(arguments.jobs), "--threads", "1"]
            whole = run(program, folder, "run", "spec.toml", "--out", out, *jobs)
            after = sum(run(program, folder, command, out).seconds for command in ("figures", "report"))
            rate = count / (whole.seconds - after)
            print(
                f"{count} trivial cells, {arguments.jobs} at a time: {whole.seconds:.1f} s, {after:.1f} s of it charts and report: "
                f"{rate:.0f} cells/s; parent {whole.peak / 1e6:.0f} MB"
            )
            again = run(program, folder, "run", "spec.toml", "--out", out, *jobs)
            print(f"  run again, all of them reused: {again.seconds:.1f} s; parent {again.peak / 1e6:.0f} MB")

        jobs_of_one_thread(program, folder, arguments.jobs, arguments.pairs)


def jobs_of_one_thread(program, folder, jobs, pairs):
    (folder / "descriptions" / "real.toml").write_text(f'extends = "{SYNTHETIC}"\n')
    seeds = ", ".join(map(str, range(1, REAL_CELLS + 1)))
    (folder / "spec.toml").write_text(REAL_SPEC.format(seeds=seeds, epochs=REAL_EPOCHS))
    run(program, folder, "plan", "spec.toml")  # prepares the data

    def seconds(count):
        threads = ["--jobs", str(count), "--threads", "1", "--fresh"]
        return run(program, folder, "run", "spec.toml", "--out", "real", *threads).seconds

    ratios = []
    for _ in range(pairs):
        one, several = seconds(1), seconds(jobs)
        ratios.append(one / several)
        print(f"{REAL_CELLS} real cells of one thread: {one:.1f} s by one job, {several:.1f} s by {jobs}: {ratios[-1]:.2f} times")
    print(f"median: {statistics.median(ratios):.2f} times the cells per hour")


if __name__ == "__main__":
    main()
