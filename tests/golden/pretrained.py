"""Pretrained vectors as pyarrow and safetensors write them, and the table that they make, aligned by numpy.

    .venv-golden/bin/python pretrained.py            # writes pretrained/
    .venv-golden/bin/python pretrained.py --check    # compares expected.csv, and what the files hold

`log.csv` has a log whose rows before day 6 are for training: an item, and a list of items that
share its table. `expected.csv` has the vocabulary of that table in the order of its ids: value, occurrences in training rows, and the
bits of its vector's numbers in hexadecimal digits, nothing where the files have none.
"""

import collections
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import safetensors.numpy

FOLDER = pathlib.Path(__file__).parent / "pretrained"
WIDTH = 3
ROWS = 60


def log():
    draw = np.random.default_rng(20)
    rows = []
    for row in range(ROWS):
        item = int(draw.zipf(1.6)) % 12 + 98
        seen = [int(value) for value in draw.integers(95, 112, draw.integers(0, 4))]
        rows.append((item, seen, row * 10 // ROWS, int(draw.integers(0, 2))))
    return rows


def vectors():
    """Some items of the log, and three that it never has; with numbers at the ends of what 32 bits hold."""
    draw = np.random.default_rng(21)
    keys = np.array([104, 98, 7, 101, 99, 100, -5, 110, 103, 2**40], dtype=np.int64)
    numbers = draw.standard_normal((len(keys), WIDTH)).astype(np.float32)
    numbers[1] = [-0.0, np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal]
    return keys, numbers


def vocabulary(rows):
    counts = collections.Counter()
    for item, seen, day, _ in rows:
        if day < 6:
            counts.update([str(item)] + [str(value) for value in seen])
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].encode()))


def expected(rows):
    keys, numbers = vectors()
    of_key = {str(key): vector for key, vector in zip(keys, numbers)}
    lines = ["id,value,occurrences,bits"]
    for id, (value, count) in enumerate(vocabulary(rows), start=1):
        vector = of_key.get(value)
        bits = "" if vector is None else " ".join(f"{word:08x}" for word in vector.view(np.uint32))
        lines.append(f"{id},{value},{count},{bits}")
    return "\n".join(lines) + "\n"


def write():
    FOLDER.mkdir(exist_ok=True)
    rows = log()
    lines = [f"{item},{'|'.join(map(str, seen))},{day},{buys}" for item, seen, day, buys in rows]
    (FOLDER / "log.csv").write_text("item,seen,day,buys\n" + "\n".join(lines) + "\n")
    keys, numbers = vectors()
    fixed = pa.FixedSizeListArray.from_arrays(numbers.reshape(-1), WIDTH)
    table = pa.table({"item_id": keys, "embedding": fixed})
    pyarrow.parquet.write_table(table, FOLDER / "integers.parquet", row_group_size=4)
    texts = pa.array([str(key) for key in keys], type=pa.large_utf8())
    doubles = pa.array([[float(x) for x in row] for row in numbers], type=pa.large_list(pa.float64()))
    table = pa.table({"embedding": doubles, "item_id": texts})
    pyarrow.feather.write_feather(table, FOLDER / "texts.feather", chunksize=4)
    safetensors.numpy.save_file({"item_id": keys, "embedding": numbers}, FOLDER / "integers.safetensors")
    padded = np.array([str(key) for key in keys], dtype="S")
    padded = padded.view(np.uint8).reshape(len(keys), -1)
    tensors = {"item_id": padded, "embedding": numbers.astype(np.float64)}
    safetensors.numpy.save_file(tensors, FOLDER / "texts.safetensors")
    (FOLDER / "expected.csv").write_text(expected(rows))


def check():
    keys, numbers = vectors()
    for name in ["integers.parquet", "texts.feather"]:
        read = pyarrow.parquet.read_table if name.endswith("parquet") else pyarrow.feather.read_table
        table = read(FOLDER / name)
        assert [str(key) for key in table["item_id"].to_pylist()] == [str(key) for key in keys], name
        found = np.array(table["embedding"].to_pylist(), dtype=np.float32)
        assert found.tobytes() == numbers.tobytes(), name
    for name in ["integers.safetensors", "texts.safetensors"]:
        found = safetensors.numpy.load_file(FOLDER / name)["embedding"].astype(np.float32)
        assert found.tobytes() == numbers.tobytes(), name
    assert (FOLDER / "expected.csv").read_text() == expected(log())


if __name__ == "__main__":
    check() if "--check" in sys.argv else write()
