#!/usr/bin/env bash
# Runs a command with a CUDA toolkit: with.sh COMMAND ARGUMENT...
#
# The toolkit is the machine's own where CUDA_HOME or the path has an nvcc, and otherwise the one that install.py unpacks from
# wheels.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

if [ ! -x "${CUDA_HOME:-}/bin/nvcc" ] && ! command -v nvcc >/dev/null; then
    CUDA_HOME="$(python3 "$here/install.py" "${HOMEBENCH_CUDA_TOOLKIT:-$here/../../../.cuda-toolkit}")"
    export CUDA_HOME CUDA_PATH="$CUDA_HOME" CUDA_ROOT="$CUDA_HOME" CUDARC_CUDA_VERSION=13010
    export PATH="$CUDA_HOME/bin:$PATH" LD_LIBRARY_PATH="$CUDA_HOME/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
exec "$@"
