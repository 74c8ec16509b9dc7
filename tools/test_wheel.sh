#!/usr/bin/env bash
# Tests the wheel as somebody meets it who has Python and no Rust: tools/test_wheel.sh [WHEEL]. Without WHEEL, builds it with
# maturin. Installs it into an empty environment, where no other program can be found, and makes a first picture.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "test_wheel: $1" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wheel=${1:-}
if [ -z "$wheel" ]; then
    maturin=$(command -v maturin || true)
    if [ -z "$maturin" ]; then
        python3 -m venv "$work/maturin"
        "$work/maturin/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.7,<2'
        maturin=$work/maturin/bin/maturin
    fi
    "$maturin" build --release --locked --out "$work/dist"
    wheel=$(echo "$work"/dist/mixscope-*.whl)
fi
[ -f "$wheel" ] || fail "$wheel is not there: maturin build --release makes it"

echo "== $wheel: $(wc -c <"$wheel" | tr -d ' ') bytes"
python3 - "$wheel" <<'PYTHON'
import sys, zipfile
files = zipfile.ZipFile(sys.argv[1]).infolist()
for file in sorted(files, key=lambda file: -file.file_size)[:3]:
    print(f"{file.file_size:>12} {file.filename}")
names = [file.filename for file in files]
odd = [name for name in names if not name.startswith(("mixscope/", "mixscope-")) or name.endswith((".pyc", ".rs"))]
assert not odd, f"what does not belong into a wheel: {odd}"
for needed in ("mixscope/__init__.py", "mixscope/py.typed", ".data/scripts/mixscope", ".dist-info/METADATA"):
    assert any(name.endswith(needed) for name in names), f"the wheel lacks {needed}"
PYTHON
version=$(basename "$wheel" | cut -d- -f2)

echo "== install"
python3 -m venv "$work/venv"
bin=$work/venv/bin
cp "$wheel" "$work/" # so that nothing of this folder is found
cd "$work"
# Nothing but the environment is on the PATH: no cargo, no compiler, no mixscope of another place.
alone() { env -i PATH="$bin" HOME="$work" LANG=C.UTF-8 "$@"; }
for tool in cargo rustc cc mixscope; do
    if alone "$bin/python" -c "import shutil, sys; sys.exit(shutil.which('$tool') is None)"; then
        fail "$tool is on the PATH of the empty environment"
    fi
done
# pip reads its own settings, such as an index of packages.
PATH=$bin pip install --quiet --disable-pip-version-check --only-binary :all: "$(basename "$wheel")"

echo "== run"
found=$(alone mixscope --version)
[ "$found" = "mixscope $version" ] || fail "--version: expected mixscope $version, found $found"
alone mixscope --help >/dev/null
alone mixscope man >/dev/null
alone mixscope completions bash >/dev/null
# The second of two commands, after pip install: a first picture.
alone mixscope run demo --prompt 'Once upon a time' --steps 8 --out run1 --quiet >/dev/null
pictures=$(find run1 -name '*.png' | wc -l | tr -d ' ')
[ "$pictures" -gt 0 ] || fail "mixscope run wrote no picture: $(ls run1)"
alone mixscope export run1 --view routing.map -o first.png >/dev/null
[ "$(head -c 4 first.png | tail -c 3)" = PNG ] || fail "first.png is no picture"

echo "== Python"
alone python -c '
import mixscope
run = mixscope.run("demo", "The capital of France is", steps=1)
pattern, chosen = run.pattern(0), run["blocks.5.mlp.hook_expert_indices"]
assert pattern.shape[1:] == (len(run.ids), len(run.ids)) and chosen.shape == (len(run.ids), 2)
print(run, mixscope.binary())
saved = mixscope.load("run1")
assert saved.model and len(saved.ids) > 8
'
echo "the wheel works without Rust: $pictures pictures, first.png of $(wc -c <first.png | tr -d ' ') bytes"
