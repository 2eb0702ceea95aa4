"""Results of homebench as data frames, and the path of its program.

    import homebench

    results = homebench.load("runs/quickstart")
    results.metrics          # a pandas or polars frame, whichever is installed
    results.tables           # names of the tables that are there

docs/python.md of the repository has more.
"""

from ._program import find_program
from ._results import Results, load

__all__ = ["Results", "find_program", "load"]
