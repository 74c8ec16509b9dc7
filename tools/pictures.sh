#!/usr/bin/env bash
# Draws the screens of README and docs/tour.md again, from the embedded model.
set -euo pipefail
cd "$(dirname "$0")/.."
draw() { cargo run --release --locked --quiet --example screen_picture -- "assets/pictures/$1.png" "$2" "$3" 150x40; }
# A name repeated as often as a number says.
times() { printf "$2 %.0s" $(seq "$1"); }

draw attention 'drum apple seven blue owl key | drum apple seven' '2 a a a A'
draw routing 'Once upon a time there was a little girl named Lily. Il était une fois une petite fille qui aimait les pommes. Había una vez una niña pequeña que vivía en el bosque.' 'v v'
draw contributions 'The capital of France is' 'D'
draw fidelity 'Once upon a time there was a little girl named Lily. drum apple seven blue owl key | drum apple seven. The capital of France is Paris, and the capital of Germany is' "5 P $(times 7 down)enter v home $(times 26 right)down down"

# Effects and the comparison of two prompts, as files of a saved run.
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
mixscope() { cargo run --release --locked --quiet -- "$@"; }
mixscope run --prompt 'The capital of France is' --out "$run/france" --format trace --quiet
picture() { mixscope export "$run/france" --force "$@"; }
picture --view effects.map --over heads -o assets/pictures/effect-map.png
picture --view effects.patching --corrupt 'The capital of Italy is' -o assets/pictures/patching.png
draw compare 'The capital of France is' 'C ctrl-u T h e space c a p i t a l space o f space I t a l y space i s enter'
