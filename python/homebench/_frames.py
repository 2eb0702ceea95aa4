"""Frames of pandas or polars from a table's file. Neither is needed before a table is asked for."""

import csv
import importlib
import io

LIBRARIES = ("pandas", "polars")
# Whole numbers of tables are counts and seeds of 64 bits, which no signed type holds.
DTYPES = {
    "pandas": {"text": "string", "whole": "UInt64", "number": "Float64", "truth": "boolean"},
    "polars": {"text": "String", "whole": "UInt64", "number": "Float64", "truth": "Boolean"},
}


def library(wanted):
    """The module to make frames with."""
    if wanted is not None and wanted not in LIBRARIES:
        raise ValueError(f"frames: expected 'pandas' or 'polars', found {wanted!r}")
    for name in LIBRARIES if wanted is None else (wanted,):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # One that is there and lacks something of its own says so itself.
            if error.name != name:
                raise
    names = wanted or "pandas or polars"
    raise ImportError(f"tables are read as frames of {names}, which is not installed\nhint: pip install {wanted or 'pandas'}")


def read(module, file, kinds):
    """The table in a file, with columns of these kinds; others are text."""
    unpack = unpacker(file) if file.suffix == ".zst" else bytes
    dtypes = DTYPES[module.__name__]
    try:
        text = unpack(file.read_bytes())
        first = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
        columns = next(csv.reader(first), [])
        types = {name: dtypes[kinds.get(name, "text")] for name in columns}
        return {"pandas": with_pandas, "polars": with_polars}[module.__name__](module, text, types)
    # Each library has errors of its own for a value or a line that is wrong.
    except Exception as error:
        raise ValueError(
            f"{file}: can't be read as a table: {error}\nhint: `homebench status {file.parent}` says whether it was altered"
        ) from error


def with_pandas(pandas, text, types):
    # Python's own `float` gives back the very number; pandas reads numbers by ways that differ between its versions.
    numbers = [name for name, kind in types.items() if kind == DTYPES["pandas"]["number"]]
    types = types | dict.fromkeys(numbers, "string")
    # `NA` and `null` are names that a task may have; only an empty cell is one without a value.
    frame = pandas.read_csv(io.BytesIO(text), dtype=types, na_values=[""], keep_default_na=False)
    for name in numbers:
        frame[name] = frame[name].astype(object).map(float, na_action="ignore").astype(DTYPES["pandas"]["number"])
    return frame


def with_polars(polars, text, types):
    schema = {name: getattr(polars, kind) for name, kind in types.items()}
    return polars.read_csv(text, schema_overrides=schema)


def unpacker(file):
    """What gives the text of a table that `homebench pack` compressed, by the package that is there."""
    try:
        from compression import zstd  # of Python since 3.14

        return zstd.decompress
    except ImportError:
        pass
    try:
        import zstandard

        # As a stream: the size of what was packed is not in its header.
        return lambda packed: zstandard.ZstdDecompressor().stream_reader(packed).read()
    except ImportError:
        pass
    try:
        import pyarrow

        return lambda packed: pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd").read()
    except ImportError:
        raise ImportError(f"{file}: needs a package that reads zstd\nhint: pip install zstandard") from None
