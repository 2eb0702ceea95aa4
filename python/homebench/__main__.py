"""`python -m homebench` is the program, for environments whose scripts are not on PATH."""

import os
import sys

from . import find_program

if __name__ == "__main__":
    program = find_program()
    os.execv(program, [program, *sys.argv[1:]])
