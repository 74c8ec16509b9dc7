#!/usr/bin/env bash
# Builds for aarch64 Linux on another Linux, and runs the tests of kernels and pass under qemu: as a CPU without
# `dotprod` and as one with it. Then checks that it compiles for macOS. It installs nothing: it says what is missing.
#
#   tools/test_aarch64.sh
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
mac=aarch64-apple-darwin
compiler=aarch64-linux-gnu-gcc
libraries=/usr/aarch64-linux-gnu

missing=()
command -v "$compiler" >/dev/null || missing+=("$compiler: Debian package gcc-aarch64-linux-gnu")
[ -e "$libraries/lib/libc.so.6" ] || missing+=("$libraries/lib/libc.so.6: Debian package libc6-dev-arm64-cross")
command -v qemu-aarch64 >/dev/null || missing+=("qemu-aarch64: Debian package qemu-user")
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }
has_target "$target" || missing+=("$target: rustup target add $target")
if [ ${#missing[@]} -gt 0 ]; then
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 1
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$compiler
export CC_aarch64_unknown_linux_gnu=$compiler AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar

for cpu in cortex-a72 max; do
    echo "== $cpu"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L $libraries -cpu $cpu"
    cargo test --locked --target "$target" --lib kernels
    cargo test --locked --target "$target" --test parity
done

if has_target "$mac"; then
    echo "== macOS"
    cargo check --lib --no-default-features --locked --target "$mac"
else
    echo "not checked for macOS: rustup target add $mac"
fi
