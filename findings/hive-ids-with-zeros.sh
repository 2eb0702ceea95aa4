#!/usr/bin/env bash
# Guess:  a folder shop=007 gives its rows the text "007" in the column `shop`, another shop than 7.
# Truth:  polars and pyarrow guess a type from all folder names together: "007" and "7" become the integer 7, one shop. One
#         folder more, 12a, and the same two are texts again. DuckDB keeps texts wherever a value has leading zeros.
# Seen with: polars 2.1.0, pyarrow 26.0.1, duckdb 2.0.1.
# Matters: ids with leading zeros (postal codes, shop numbers) are partition keys of many logs. Vocabularies, joins and groups
#          of GAUC then differ between programs on the same folder, and change when a part is added. Read partition values
#          as texts, and give them a type by hand.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1
"$work/venv/bin/python" - "$work" <<'PYTHON'
import os, sys
import duckdb, polars, pyarrow, pyarrow.dataset as dataset, pyarrow.parquet as parquet

print("polars", polars.__version__, "pyarrow", pyarrow.__version__, "duckdb", duckdb.__version__)

def shops(names):
    """The distinct shops of a log with these folders, as each library reads them."""
    log = os.path.join(sys.argv[1], "log" + str(len(names)))
    for name in names:
        os.makedirs(f"{log}/shop={name}")
        parquet.write_table(pyarrow.table({"click": [1, 0]}), f"{log}/shop={name}/part-0.parquet")
    of_polars = polars.read_parquet(log, hive_partitioning=True)["shop"].unique().to_list()
    of_pyarrow = dataset.dataset(log, partitioning="hive").to_table()["shop"].unique().to_pylist()
    read = f"read_parquet('{log}/**/*.parquet', hive_partitioning = true)"
    of_duckdb = [row[0] for row in duckdb.sql(f"select distinct shop from {read}").fetchall()]
    found = [sorted(found, key=str) for found in (of_polars, of_pyarrow, of_duckdb)]
    print(names, "polars:", found[0], "pyarrow:", found[1], "duckdb:", found[2])
    return found

assert shops(["007", "7"]) == [[7], [7], ["007", "7"]]
assert shops(["007", "12a", "7"]) == [["007", "12a", "7"]] * 3
PYTHON
