#!/usr/bin/env bash
# Sweeps a corpus on a Slurm cluster: an array with one task for each shard, and a job that merges the shards after it.
#
#   OUT=sweep1 SHARDS=16 CPUS=8 tools/cluster/slurm_sweep.sh path/to/Mixtral corpus/ --group-by folder
#
# The arguments are those of `mixscope sweep`: a model, texts and options. Relative paths start at the current folder.
# Every node must see the program, the model, the texts and OUT under the same paths (shared storage).
#
#   OUT       folder of the files            [sweep]      shards are in OUT/shards, with their logs
#   SHARDS    number of shards and tasks     [8]
#   CPUS      cores of a task                [4]
#   MEMORY    memory of a task, such as 100G [what the cluster gives]
#   TABLES    options of the tables, such as --min-count 5 --format csv   []
#   MIXSCOPE  the program                    [mixscope]
#   MAX_REQUEUES  how often a task whose time is over continues in another job   [100]
#
# sbatch reads SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, SBATCH_QOS and others by itself.
# The same command again submits only shards that are not done. Those that were stopped continue (`--resume`).
set -euo pipefail

fail() {
    echo "slurm_sweep: $1" >&2
    exit 2
}

export OUT=${OUT:-sweep} SHARDS=${SHARDS:-8} TABLES=${TABLES:-} MIXSCOPE=${MIXSCOPE:-mixscope}
export MAX_REQUEUES=${MAX_REQUEUES:-100}
cpus=${CPUS:-4} memory=${MEMORY:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ $# -gt 0 ] || fail "no texts; usage: OUT=sweep1 SHARDS=16 $0 [MODEL] TEXT... [OPTION...]"
command -v sbatch >/dev/null || fail "sbatch is not on the PATH; run this on a machine that submits to Slurm"
command -v "$MIXSCOPE" >/dev/null || fail "there is no program $MIXSCOPE; install mixscope, or set MIXSCOPE to its path"
[[ $SHARDS =~ ^[1-9][0-9]*$ ]] || fail "SHARDS: expected a number from 1, found \`$SHARDS\`"
[[ $cpus =~ ^[1-9][0-9]*$ ]] || fail "CPUS: expected a number from 1, found \`$cpus\`"
for argument in "$@"; do
    case $argument in
    --out | --out=*) fail "--out: set OUT instead" ;;
    --threads | --threads=*) fail "--threads: set CPUS instead" ;;
    --shard | --shard=* | --resume | --force | --merge | --merge=*) fail "$argument: this script gives it where it is needed" ;;
    --min-count | --min-count=* | --format | --format=* | --spreadsheet-safe)
        fail "$argument chooses what the merge writes: set TABLES='$argument …' instead" ;;
    -) fail "-: a job has no stdin; give files or folders" ;;
    esac
done
[ ! -e "$OUT/sweep.json" ] || fail "$OUT holds a finished sweep; set OUT to another folder"

# Shards of different commands must not meet in one folder.
mkdir -p "$OUT/shards"
command=$(printf '%q ' "$SHARDS" "$@")
if [ -e "$OUT/shards/command" ]; then
    [ "$command" = "$(cat "$OUT/shards/command")" ] ||
        fail "$OUT/shards is of another command: $(cat "$OUT/shards/command")(number of shards, then arguments); set OUT to another folder"
else
    printf '%s\n' "$command" >"$OUT/shards/command"
fi

missing=()
for ((shard = 1; shard <= SHARDS; shard++)); do
    [ -e "$OUT/shards/$shard-of-$SHARDS/sweep.json" ] || missing+=("$shard")
done

after=()
if [ ${#missing[@]} -gt 0 ]; then
    options=(--cpus-per-task="$cpus" --output="$OUT/shards/%a.log" --export=ALL)
    [ -z "$memory" ] || options+=(--mem="$memory")
    if [ ${#missing[@]} -eq "$SHARDS" ]; then tasks=1-$SHARDS; else tasks=$(IFS=,; echo "${missing[*]}"); fi
    array=$(sbatch --parsable --array="$tasks" "${options[@]}" "$here/sweep.sbatch" "$@")
    array=${array%%;*} # --parsable adds the cluster's name where there are several
    echo "array $array: shards $tasks of $SHARDS"
    # The merge starts when every task has ended well. It is removed when one has failed.
    after=(--dependency="afterok:$array" --kill-on-invalid-dep=yes)
fi
merge=$(sbatch --parsable "${after[@]}" --output="$OUT/shards/merge.log" --export=ALL "$here/merge.sbatch")
echo "merge ${merge%%;*}: writes $OUT"
