#!/usr/bin/env bash
# Tests slurm_sweep.sh on a Slurm of its own: tools/cluster/test_slurm.sh [PROGRAM]. Starts munged, slurmctld and slurmd in a
# temporary folder, with one node that runs several tasks at once, and compares the merged files with those of a single run.
# A task is requeued while it runs, one reaches its time limit, one is killed. Needs Debian's packages slurmctld, slurmd,
# slurm-client and munge; their services need not run.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "${1:-target/debug/mixscope}")
[ -x "$program" ] || { echo "$program is not there: cargo build makes it" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
lacking=()
for tool in munged slurmctld slurmd sbatch scontrol squeue; do
    command -v "$tool" >/dev/null || lacking+=("$tool")
done
[ ${#lacking[@]} -eq 0 ] || { echo "missing: ${lacking[*]}; Debian: slurmctld slurmd slurm-client munge" >&2; exit 1; }

shards=4
folder=$(mktemp -d /tmp/mixscope-slurm-XXXXXX) # short, as paths of sockets must be
daemons=()
clean() {
    status=$?
    if [ "$status" -ne 0 ]; then
        # What helps to understand a failure, if the daemons still answer.
        timeout 10 squeue >&2 || true
        tail -n 15 "$folder"/*.log "$folder"/sweep/shards/*.log >&2 2>/dev/null || true
    fi
    timeout 10 scancel --user="$(id -un)" 2>/dev/null || true
    # The last started first: slurmd ends its tasks before munged goes.
    for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
        kill "${daemons[i]}" 2>/dev/null || continue
        wait "${daemons[i]}" 2>/dev/null || true
    done
    rm -rf "$folder"
    exit "$status"
}
trap clean EXIT
fail() { echo "test_slurm: $1" >&2; exit 1; }
# Waits until a command succeeds, at most $1 seconds.
wait_for() {
    local deadline=$((SECONDS + $1)) && shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited too long for: $*"
        sleep 0.2
    done
}

echo "== a Slurm with one node in $folder"
mkdir "$folder"/{state,spool,munge}
chmod 700 "$folder"/munge
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 400 "$folder/munge/key"
munged --foreground --force --num-threads=2 --key-file="$folder/munge/key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" >"$folder/munged.log" 2>&1 &
daemons+=($!)
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
node=$(hostname -s)
user=$(id -un)
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$(port)
SlurmdPort=$(port)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmctldDebug=info
SlurmdDebug=info
KillWait=10
NodeName=$node NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=60 State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
wait_for 10 test -S "$folder/munge.socket"
slurmctld -D -f "$SLURM_CONF" >"$folder/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D -N "$node" -f "$SLURM_CONF" >"$folder/slurmd.log" 2>&1 &
daemons+=($!)
is_idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }
wait_for 60 is_idle

echo "== a single run"
# The pages of this repository, as often as it takes for tasks to run for some seconds.
mkdir "$folder/corpus"
cp README.md docs/*.md "$folder/corpus"
copies=1
while :; do
    rm -rf "$folder/single"
    began=$SECONDS
    "$program" sweep "$folder/corpus" --group-by file --null 20 --min-count 5 --threads 2 --out "$folder/single" --quiet >/dev/null
    [ $((SECONDS - began)) -lt 20 ] || break
    copies=$((copies + 1))
    for page in README.md docs/*.md; do cp "$page" "$folder/corpus/$copies-$(basename "$page")"; done
done
echo "$(du -sh "$folder/corpus" | cut -f1) of text, $((SECONDS - began)) s"

echo "== $shards shards, two at once; one is requeued, one reaches its time limit, one is killed"
export OUT=$folder/sweep SHARDS=$shards CPUS=1 MIXSCOPE=$program TABLES="--min-count 5"
submit() { tools/cluster/slurm_sweep.sh "$folder/corpus" --group-by file --null 20; }
submit | tee "$folder/submitted"
array=$(sed -n 's/^array \([0-9]*\):.*/\1/p' "$folder/submitted")
log() { cat "$OUT/shards/$1.log"; }
# Whether the sweep of a shard runs; sets `sweep` to its process.
runs() { sweep=$(pgrep --full -- "--shard $1/$shards --out $OUT/") && [ -n "$sweep" ]; }
# Interrupts shard $1 by the command after it, once it has run for some seconds.
interrupt() {
    local shard=$1 && shift
    wait_for 300 runs "$shard"
    sleep 3
    runs "$shard" || fail "shard $shard ended before it could be interrupted; the corpus is too small"
    "$@"
}
kill_sweep() { runs 3 && kill -KILL "$sweep"; }
interrupt 1 scontrol requeue "${array}_1"
interrupt 2 scancel --batch --signal=USR1 "${array}_2" # what --signal does before the time limit
interrupt 3 kill_sweep

# Slurm lets a task that was requeued wait for two minutes.
for shard in 1 2; do
    wait_for 60 scontrol update JobId="${array}_$shard" StartTime=now
done

has_left() { [ -z "$(squeue --noheader)" ]; }
wait_for 600 has_left
for shard in 1 2; do
    log $shard | grep -q "shard $shard of $shards: --resume" || fail "shard $shard did not continue: $(log $shard)"
done
log 2 | grep -q 'the time limit is near; the task goes back to the queue' || fail "shard 2 was not requeued: $(log 2)"
log 3 | grep -q 'ended with status 137' || fail "shard 3 was not killed: $(log 3)"
[ ! -e "$OUT/sweep.json" ] || fail "the merge ran although a task had failed"
[ ! -e "$OUT/shards/3-of-$shards/sweep.json" ] || fail "shard 3 is done although it was killed"

echo "== the same command again"
submit | tee "$folder/submitted"
grep -q "shards 3 of $shards" "$folder/submitted" || fail "another shard than the missing one was submitted"
wait_for 600 has_left
[ -e "$OUT/sweep.json" ] || fail "the merge did not run"

echo "== compare"
diff --recursive --brief --exclude=shards "$folder/single" "$OUT" || fail "the merged files differ from those of the single run"
if OUT=$folder/sweep submit 2>"$folder/refusal"; then fail "a finished sweep was submitted again"; fi
grep -q 'holds a finished sweep' "$folder/refusal" || fail "expected another refusal: $(cat "$folder/refusal")"
echo "$(find "$folder/single" -type f | wc -l) files have the bytes of the single run"
