#!/usr/bin/env bash
# Guess:  a timestamp that Spark writes as 9999-12-31 ("no end") is read back as 9999-12-31.
# Truth:  Parquet's INT96, Spark's default for timestamps, is read as 64-bit nanoseconds, which end in 2262. pyarrow gives
#         1816-03-29 without a word, and so does polars; DuckDB gives the year 9999, and pyarrow when it is asked for milliseconds.
# Seen with: pyarrow 21.0.0, polars 1.33.1, duckdb 1.4.0.
# Matters: a split by time puts the row of such a sentinel into training, which is before every limit, and a feature made
#          of it says something else in each program. Ask for a coarser unit, or refuse the row.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==21.0.0 polars==1.33.1 duckdb==1.4.0
"$work/venv/bin/python" - "$work/log.parquet" <<'PYTHON'
import datetime, sys
import duckdb, polars, pyarrow, pyarrow.parquet as parquet

path = sys.argv[1]
sentinel = datetime.datetime(9999, 12, 31)
times = pyarrow.array([datetime.datetime(2022, 4, 8), sentinel], pyarrow.timestamp("us"))
# As Spark writes it: INT96, and no Arrow schema beside it that would tell the unit.
parquet.write_table(pyarrow.table({"seen": times}), path, use_deprecated_int96_timestamps=True, store_schema=False)

print("pyarrow", pyarrow.__version__, "polars", polars.__version__, "duckdb", duckdb.__version__)
plain = parquet.read_table(path)["seen"][1].cast(pyarrow.timestamp("us"), safe=False).as_py()
asked = parquet.read_table(path, coerce_int96_timestamp_unit="ms")["seen"][1].as_py()
other = polars.read_parquet(path)["seen"][1]
print("pyarrow as it is:", plain)
print("pyarrow, asked for milliseconds:", asked)
third = duckdb.sql(f"select max(seen)::varchar from '{path}'").fetchone()[0]
print("polars:", other)
print("duckdb:", third)
assert plain.year == 1816, plain
assert asked == sentinel, asked
assert other.year == 1816, other
assert third.startswith("9999-12-31"), third
PYTHON
