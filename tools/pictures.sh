#!/usr/bin/env bash
# Draws the screens of README and docs/tour.md again, from the embedded model.
set -euo pipefail
cd "$(dirname "$0")/.."
draw() { cargo run --release --locked --quiet --example screen_picture -- "assets/pictures/$1.png" "$2" "$3" 150x40; }

draw attention 'drum apple seven blue owl key | drum apple seven' '2 a a a A'
draw routing 'Once upon a time there was a little girl named Lily. Il était une fois une petite fille qui aimait les pommes. Había una vez una niña pequeña que vivía en el bosque.' 'v v'
draw contributions 'The capital of France is' 'D'
draw fidelity 'Once upon a time, there was a little girl named Lily. She had a red ball. One day she went to the park.' "5 p v home $(printf 'right %.0s' $(seq 14))down"

# Effects and the comparison of two prompts, as files of a saved run.
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
mixscope() { cargo run --release --locked --quiet -- "$@"; }
mixscope run --prompt 'When Mary and John went to the market, John gave a drink to' --out "$run/names" --format trace --quiet
picture() { mixscope export "$run/names" --force "$@"; }
# Ids of ` Mary` and ` John`.
picture --view effects.map --over heads --measure difference --target 2568 --foil 2359 -o assets/pictures/effect-map.png
picture --view effects.patching --corrupt 'When Mary and John went to the market, Mary gave a drink to' -o assets/pictures/patching.png
draw compare 'The capital of France is' 'C ctrl-u T h e space c a p i t a l space o f space I t a l y space i s enter'
