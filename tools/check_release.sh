#!/usr/bin/env bash
# Checks that the tree can be released, without compiling: tools/check_release.sh [TAG]. Names everything that is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

wrong=0
bad() {
    echo "wrong: $1" >&2
    wrong=1
}
# The value of a key of the first section of a TOML file.
value() { sed -n "/^$2 = \"/{s/^$2 = \"\\(.*\\)\"$/\\1/p;q;}" "$1"; }

version=$(value Cargo.toml version)
tag=${1:-v$version}
echo "mixscope $version"
[ "$tag" = "v$version" ] || bad "the tag is $tag, the version in Cargo.toml is $version; expected the tag v$version"
grep -A1 '^name = "mixscope"$' Cargo.lock | grep -qx "version = \"$version\"" ||
    bad "Cargo.lock has another version of mixscope; run cargo update --workspace"
grep -q "^## \[$version\]" CHANGELOG.md || bad "CHANGELOG.md has no heading ## [$version]"
[ -n "$(value Cargo.toml repository)" ] || bad "Cargo.toml has no repository: cargo binstall and links of the README need it"
[ -z "$(git status --porcelain)" ] || bad "there are files that are not committed"

# What cargo package packs, compressed as it does. Its own Cargo.toml differs by some bytes.
files=$(cargo package --list --allow-dirty 2>/dev/null | grep -vx -e Cargo.toml.orig -e .cargo_vcs_info.json)
bytes=$(tar -c -f - -T <(echo "$files") | gzip -9 | wc -c | tr -d ' ')
limit=$((10 * 1024 * 1024))
echo "the crate has about $bytes bytes, crates.io takes $limit"
[ "$bytes" -lt "$limit" ] || bad "the crate is too large by about $((bytes - limit)) bytes; see exclude in Cargo.toml"
absent=$(comm -13 <(echo "$files" | sort) <(git ls-files src | grep -v '/tests\.rs$' | sort))
[ -z "$absent" ] || bad "exclude in Cargo.toml leaves out sources: $(echo "$absent" | head -n 3 | tr '\n' ' ')"
exit "$wrong"
