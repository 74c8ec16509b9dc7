#!/usr/bin/env python3
"""Runs a notebook from its first cell to its last and fails if a cell fails: run_notebook.py NOTEBOOK. Needs nbclient, ipykernel."""
import sys

import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        print(text.rstrip())
