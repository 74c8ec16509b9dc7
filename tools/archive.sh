#!/usr/bin/env bash
# Makes the archive of a release from a wheel: tools/archive.sh WHEEL TARGET [DIR]. It has the program, completions, manual
# pages, README and licences. The program is run to write these, so WHEEL has to be of this machine.
#
#   tools/archive.sh dist/mixscope-0.1.0-py3-none-manylinux_2_28_x86_64.whl x86_64-unknown-linux-gnu dist
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 WHEEL TARGET [DIR]" >&2; exit 2; }
wheel=$1 target=$2 dir=${3:-dist}
[ -f "$wheel" ] || { echo "$wheel is not there: maturin build --release makes it" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m zipfile -e "$wheel" "$work/wheel"
program=$(echo "$work"/wheel/mixscope-*.data/scripts/mixscope)
[ -f "$program" ] || { echo "$wheel has no program mixscope" >&2; exit 1; }
chmod 755 "$program"
version=$("$program" --version | cut -d' ' -f2)

name=mixscope-v$version-$target
mkdir -p "$work/$name/completions" "$dir"
cp "$program" "$root/README.md" "$root/CHANGELOG.md" "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$work/$name"
cp "$root/assets/demo/README.md" "$work/$name/MODEL.md"
for shell in bash:mixscope.bash zsh:_mixscope fish:mixscope.fish; do
    "$program" completions "${shell%%:*}" >"$work/$name/completions/${shell#*:}"
done
"$program" man --out "$work/$name/man"
tar -czf "$dir/$name.tar.gz" -C "$work" "$name"
echo "$dir/$name.tar.gz: $(wc -c <"$dir/$name.tar.gz" | tr -d ' ') bytes"
