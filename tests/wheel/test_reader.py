"""The reader of results against Python's own csv and float, on tables made here: python -m unittest, with python/ or the wheel on the path.

Uses each of pandas and polars that is installed, and one of them has to be.
"""

import csv
import importlib.util
import math
import pathlib
import random
import struct
import tempfile
import unittest

import homebench

INSTALLED = [name for name in ("pandas", "polars") if importlib.util.find_spec(name)]

# Ids that look like numbers, names that look like nothing, seeds that no float and no signed integer holds, a reason of two lines.
METRICS = [
    ("12345678901234e5", "a, \"b\"", "18446744073709551615", "test", "NA", "auc", "0.1", "10", "4"),
    ("0012345678901234", "null", "9007199254740993", "test", "nan", "auc", "", "10", ""),
    ("ffffffffffffffff", "None", "0", "validation", "true", "log_loss", "-0", "0", "0"),
]
METRICS_HEADER = "cell,variant,seed,split,task,metric,value,rows,positives".split(",")
CELLS = [("aa", "v", "m", "d", "3", "failed", "too\nslow, and \"wrong\"", "", "2", "0.0000001", "", "", "final", "", "", "1", "")]
CELLS_HEADER = (
    "cell,variant,model,dataset,seed,status,error,selected_epoch,epochs_run,validation_score,parameters,flops_per_row,phase,trial,"
    "split_seed,tries,log"
).split(",")
TEXTS = {"cell", "variant", "split", "task", "metric", "model", "dataset", "status", "error", "phase", "log", "unheard_of"}
FLOATS = {"value", "validation_score"}


def folder_with(tables):
    folder = tempfile.TemporaryDirectory()
    path = pathlib.Path(folder.name)
    (path / "spec.resolved.toml").write_text("")
    for name, (header, rows) in tables.items():
        with (path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    return folder


def values(frame):
    """Rows of Python's own values, None where nothing is."""
    if type(frame).__module__.startswith("polars"):
        return frame.rows()
    import pandas

    columns = [[None if value is pandas.NA else value for value in frame[name]] for name in frame]
    return list(zip(*columns, strict=True))


def expected(header, rows):
    def one(column, text):
        if text == "":
            return None
        return text if column in TEXTS else float(text) if column in FLOATS else int(text)

    return [tuple(one(*cell) for cell in zip(header, row, strict=True)) for row in rows]


class Reader(unittest.TestCase):
    def test_at_least_one_library_is_there(self):
        self.assertTrue(INSTALLED)

    def test_values_are_exact_and_what_is_missing_is_null(self):
        tables = {"metrics": (METRICS_HEADER, METRICS), "cells": (CELLS_HEADER, CELLS)}
        with folder_with(tables) as path:
            for library in INSTALLED:
                results = homebench.load(path, frames=library)
                for name, (header, rows) in tables.items():
                    frame = results[name]
                    self.assertEqual(list(frame.columns), header)
                    self.assertEqual(values(frame), expected(header, rows), f"{name} by {library}")
                minus_zero = values(results.metrics)[2][6]
                self.assertEqual(math.copysign(1, minus_zero), -1)
                self.assertIs(results.metrics, results["metrics"])
                self.assertEqual(results.tables, ["cells", "metrics"])
                self.assertIn("metrics", dir(results))

    def test_floats_are_those_that_were_written(self):
        dice = random.Random(7)
        numbers = [struct.unpack("d", dice.randbytes(8))[0] for _ in range(20_000)]
        numbers = [number for number in numbers if math.isfinite(number)] + [5e-324, 1.7976931348623157e308, 0.1]
        # As the program writes them: shortest, and never with an exponent.
        rows = [("aa", "v", "1", "test", "t", "auc", plain(number), "1", "") for number in numbers]
        with folder_with({"metrics": (METRICS_HEADER, rows)}) as path:
            for library in INSTALLED:
                found = [row[6] for row in values(homebench.load(path, frames=library).metrics)]
                wrong = [pair for pair in zip(found, numbers, strict=True) if pair[0] != pair[1]]
                self.assertEqual(wrong, [], library)

    def test_a_table_without_rows_has_its_types(self):
        with folder_with({"metrics": (METRICS_HEADER, []), "settings": (["cell", "variant", "setting", "value"], [])}) as path:
            for library in INSTALLED:
                results = homebench.load(path, frames=library)
                self.assertEqual(len(results.metrics), 0)
                self.assertIn("uint64", str(results.metrics["seed"].dtype).lower())
                self.assertIn("float64", str(results.metrics["value"].dtype).lower())
                self.assertIn("str", str(results.settings["value"].dtype).lower(), "a setting's value is text")

    def test_a_column_that_nobody_knows_is_text(self):
        header = [*METRICS_HEADER, "unheard_of"]
        rows = [(*row, "007") for row in METRICS]
        with folder_with({"metrics": (header, rows), "later": (["a"], [["1"]])}) as path:
            for library in INSTALLED:
                results = homebench.load(path, frames=library)
                self.assertEqual(values(results.metrics), expected(header, rows))
                self.assertEqual(values(results.later), [("1",)])

    def test_packed_tables_read_like_others(self):
        packer = next((name for name in ("zstandard", "pyarrow") if importlib.util.find_spec(name)), None)
        with folder_with({"metrics": (METRICS_HEADER, METRICS)}) as path:
            plain_file = pathlib.Path(path) / "metrics.csv"
            if packer is None:
                plain_file.rename(f"{plain_file}.zst")
                with self.assertRaisesRegex(ImportError, "metrics.csv.zst: needs a package that reads zstd\nhint: pip install zstandard"):
                    homebench.load(path).metrics  # noqa: B018
                return
            pathlib.Path(f"{plain_file}.zst").write_bytes(packed(packer, plain_file.read_bytes()))
            plain_file.unlink()
            for library in INSTALLED:
                results = homebench.load(path, frames=library)
                self.assertEqual(results.tables, ["metrics"])
                self.assertEqual(values(results.metrics), expected(METRICS_HEADER, METRICS))
            pathlib.Path(f"{plain_file}.zst").write_bytes(b"no zstd")
            with self.assertRaisesRegex(ValueError, "metrics.csv.zst: can't be read as a table: .*\nhint: `homebench status"):
                homebench.load(path).metrics  # noqa: B018

    def test_what_is_wrong_is_said_with_its_mend(self):
        with self.assertRaisesRegex(FileNotFoundError, "results/x: no such folder\nhint: `homebench run <spec>`"):
            homebench.load("results/x")
        with folder_with({"metrics": (METRICS_HEADER, METRICS)}) as path:
            results = homebench.load(path)
            with self.assertRaisesRegex(AttributeError, "has no table `metric`; it has metrics\nhint: did you mean `metrics`?"):
                results.metric  # noqa: B018
            with self.assertRaisesRegex(KeyError, "has no table `tuning`; it has metrics\nhint: a table is written where"):
                results["tuning"]
            self.assertFalse(hasattr(results, "__array__"))
            with self.assertRaisesRegex(ValueError, "frames: expected 'pandas' or 'polars', found 'dask'"):
                homebench.load(path, frames="dask")
            (pathlib.Path(path) / "spec.resolved.toml").unlink()
            with self.assertRaisesRegex(ValueError, "expected a folder of results, found no spec.resolved.toml in it\nhint: "):
                homebench.load(path)

    def test_a_value_or_a_line_that_is_wrong_names_its_file(self):
        for rows in ([(*METRICS[0][:6], "a tenth", "10", "4")], [(*METRICS[0], "one more")]):
            with folder_with({"metrics": (METRICS_HEADER, METRICS + rows)}) as path:
                for library in INSTALLED:
                    results = homebench.load(path, frames=library)
                    with self.assertRaisesRegex(ValueError, "metrics.csv: can't be read as a table: ", msg=library):
                        results.metrics  # noqa: B018


def plain(number):
    from decimal import Decimal

    return format(Decimal(repr(number)), "f")


def packed(packer, text):
    if packer == "zstandard":
        import zstandard

        # As a stream, whose header has no size: so packs the program.
        packing = zstandard.ZstdCompressor().compressobj()
        return packing.compress(text) + packing.flush()
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as out:
        out.write(text)
    return sink.getvalue().to_pybytes()


if __name__ == "__main__":
    unittest.main()
