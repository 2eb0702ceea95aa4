#!/usr/bin/env python3
"""Installs a CUDA toolkit from wheels into a folder: install.py FOLDER.

The wheels are made for programs that run, so two things are added that a build needs: links without a version to the libraries,
and a stub of the driver's library, made from its header, to link against where there is no driver. As NVIDIA's own stub does,
every function of it gives CUDA_ERROR_STUB_LIBRARY.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# The code of CUDA_ERROR_STUB_LIBRARY.
STUB_ERROR = 34


def install(folder: pathlib.Path) -> pathlib.Path:
    """Unpacks the wheels; gives the toolkit's root."""
    requirements = HERE / "requirements.txt"
    stamp = folder / "requirements.txt"
    root = folder / "nvidia" / "cu13"
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return root
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    environment = os.environ | {"PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*pip, "--target", folder, "--requirement", requirements], check=True, env=environment)
    for tool in [*(root / "bin").glob("*"), *(root / "nvvm" / "bin").glob("*")]:
        if tool.is_file():
            tool.chmod(0o755)
    link_libraries(root / "lib")
    make_stub(root)
    lib64 = root / "lib64"
    if not lib64.exists():
        lib64.symlink_to("lib")
    shutil.copy(requirements, stamp)
    return root


def link_libraries(folder: pathlib.Path) -> None:
    """`libcublas.so` beside `libcublas.so.13`."""
    for library in sorted(folder.glob("*.so.*")):
        link = folder / (library.name.split(".so")[0] + ".so")
        if not link.exists():
            link.symlink_to(library.name)


def make_stub(root: pathlib.Path) -> None:
    """A `libcuda.so` that has every function of the driver and no driver behind it."""
    header = '#include <cuda.h>\n#include <cudaProfiler.h>\n'
    declared = subprocess.run(
        ["cc", "-E", "-P", "-I", root / "include", "-x", "c", "-"],
        input=header,
        text=True,
        capture_output=True,
    )
    if declared.returncode != 0:
        header = "#include <cuda.h>\n"
        declared = subprocess.run(
            ["cc", "-E", "-P", "-I", root / "include", "-x", "c", "-"],
            input=header,
            text=True,
            capture_output=True,
            check=True,
        )
    names = set(re.findall(r"CUresult\s+(cu\w+)\s*\(", declared.stdout))
    # What older names became is there under both.
    names |= {re.sub(r"_v\d+$", "", name) for name in names}
    source = "\n".join(f"int {name}(void) {{ return {STUB_ERROR}; }}" for name in sorted(names))
    stubs = root / "lib" / "stubs"
    stubs.mkdir(exist_ok=True)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", stubs / "libcuda.so", "-x", "c", "-"],
        input=source,
        text=True,
        check=True,
    )
    versioned = stubs / "libcuda.so.1"
    versioned.unlink(missing_ok=True)
    versioned.symlink_to("libcuda.so")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    print(install(pathlib.Path(sys.argv[1]).resolve()))


if __name__ == "__main__":
    main()
