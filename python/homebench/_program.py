"""Where the program is that came with this package."""

import os
import sysconfig


def find_program():
    """The path of the `homebench` program of this installation.

    Raises FileNotFoundError where it is gone, or where the package was put on the path without being installed.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    folders = [
        sysconfig.get_path("scripts"),
        # Of `pip install --user`.
        sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")),
        # Of `pip install --target`.
        os.path.join(os.path.dirname(package), "bin"),
    ]
    for folder in folders:
        path = os.path.join(folder, "homebench")
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        "the program homebench is not in " + " or ".join(folders) + "\n"
        "hint: install the wheel again with pip, or build it with `just wheel`"
    )
