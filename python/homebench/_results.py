"""Tables of a results folder, each read when it is first asked for."""

import difflib
import functools
import json
import pathlib

from . import _frames

SUFFIXES = (".csv", ".csv.zst")


def load(path, frames=None):
    """The results in a folder that `homebench run` or `homebench pack` wrote.

    `frames` is "pandas" or "polars"; without it, whichever is installed (pandas where both are).

    Raises FileNotFoundError where there is no folder, ValueError where it is none of results or `frames` is neither,
    ImportError where no such library is installed.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder\nhint: `homebench run <spec>` makes one, by default runs/<name of the spec>")
    # Written before the first cell, so that also a run that was killed has it.
    if not (folder / "spec.resolved.toml").is_file():
        raise ValueError(
            f"{folder}: expected a folder of results, found no spec.resolved.toml in it\n"
            "hint: `homebench run <spec>` makes one, by default runs/<name of the spec>"
        )
    return Results(folder, _frames.library(frames))


class NoTable(KeyError, AttributeError):
    """A table that is not in the folder, asked for by either way."""

    # A KeyError shows its text as a key, in quotes.
    __str__ = Exception.__str__


class Results:
    """A results folder. Each of its tables is an attribute and a key: `results.metrics`, `results["metrics"]`.

    Texts, ids among them, are texts; whole numbers and floats are exact; what is missing is null. A column that this version does
    not know is text. Long tables of packed folders (`.csv.zst`) read like the others. A frame is kept once it was read: `load`
    again after a run went on.
    """

    def __init__(self, path, library):
        self.path = path
        self._library = library
        self._frames = {}

    @property
    def tables(self):
        """Names of the tables that are there, in order."""
        names = {name_of(file) for file in self.path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()}
        return sorted(name for name in names if name and not name.startswith("."))

    def __getitem__(self, name):
        if name not in self._frames:
            file = self._file(name)
            if file is None:
                raise NoTable(self._missing(name))
            self._frames[name] = _frames.read(self._library, file, _types(name))
        return self._frames[name]

    def __getattr__(self, name):
        # Python looks for many names of its own, in copies and notebooks.
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __dir__(self):
        return [*super().__dir__(), *self.tables]

    def __repr__(self):
        return f"<homebench results {str(self.path)!r}: {', '.join(self.tables) or 'no tables yet'}>"

    def _file(self, name):
        # Of both forms the plain one counts, as everywhere in homebench.
        files = (self.path / f"{name}{suffix}" for suffix in SUFFIXES)
        return next((file for file in files if file.is_file()), None)

    def _missing(self, name):
        there = self.tables
        near = difflib.get_close_matches(name, there, n=1)
        if near:
            hint = f"did you mean `{near[0]}`?"
        elif not there:
            hint = f"nothing is done yet; `homebench status {self.path}` says more"
        else:
            hint = "a table is written where there is something to say, such as `tuning` of an experiment that tunes"
        return f"{self.path} has no table `{name}`; it has {', '.join(there) or 'none'}\nhint: {hint}"


def name_of(file):
    return file.name.split(".csv")[0]


def _types(name):
    """Kinds of a table's columns by their names: `text`, `whole`, `number` or `truth`."""
    return _known_columns().get(name, {})


@functools.cache
def _known_columns():
    return json.loads(pathlib.Path(__file__).with_name("columns.json").read_text(encoding="utf-8"))
