#!/usr/bin/env bash
# Tests the Python module and its notebook with a built program: tools/test_python.sh [PROGRAM]. Makes a virtual environment in target/python.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/debug/mixscope}")
[ -x "$program" ] || { echo "$program is not there: cargo build makes it" >&2; exit 1; }
venv=target/python
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check numpy pandas polars pytest nbclient nbformat ipykernel
export MIXSCOPE="$program" PYTHONPATH="$PWD/python"
"$venv/bin/python" -m pytest -q -p no:cacheprovider python/tests
"$venv/bin/python" tools/run_notebook.py examples/mixscope.ipynb
