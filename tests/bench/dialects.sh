#!/usr/bin/env bash
# Measures what translation costs: each dialect in, each dialect out, through one Gatewright before one mock. See README.md.
#
#   ./dialects.sh
#
# The exit status is 1 where an answer was wrong, a limit is exceeded or a figure is missing.
#
# Environment: GATEWRIGHT=/path ROUNDS=3 SECS=3 CONC=64, and GW_CPUS LOAD_CPUS PRIO NETNS QUIET RETRY OUT as run.sh has them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROUNDS=${ROUNDS:-3} SECS=${SECS:-3} CONC=${CONC:-64}
source "$HERE/harness.sh"
OUT_OF=(chat responses messages)
INTO=(chat responses messages)
declare -A PATHS=([chat]=/v1/chat/completions [responses]=/v1/responses [messages]=/v1/messages)

# measure IN OUT PHASE ROUND ARGS...
measure() {
  local in=$1 out=$2 phase=$3 round=$4; shift 4
  undisturbed load load --url "http://127.0.0.1:$PORT${PATHS[$in]}" --dialect "$in" --model "to-$out" --watch "mock=$MOCK_PID" \
    --watch "gw=${PID[gatewright]}" --tag "in=$in" --tag "out=$out" --tag "phase=$phase" --tag "round=$round" --secs "$SECS" "$@"
}
# all PHASE ROUND ARGS...: each pair, or each of those that ONLY names the client's dialect of, in an order that turns with the rounds.
all() {
  local phase=$1 round=$2 n=${#pairs[@]} i pair; shift 2
  for i in $(seq 0 $((n - 1))); do
    pair=${pairs[$(((i + round + n - 1) % n))]}
    [[ -z ${ONLY:-} || ${pair%-*} == "$ONLY" ]] || continue
    measure "${pair%-*}" "${pair#*-}" "$phase" "$round" "$@"
  done
}
( pin "$LOAD_CPUS" "$TOOL" mock --listen "$MOCK" ) 2>"$OUT/mock.log" & MOCK_PID=$!
PORT=$((BASE_PORT + 1)) DIR=$WORK/gatewright PORT_ADMIN=; mkdir -p "$DIR/data"; chmod 700 "$DIR/data"
source "$HERE/peers.d/gatewright.sh"
HAVE || { echo "no $GATEWRIGHT" >&2; exit 1; }
render "$HERE/conf/gatewright-dialects.yaml" > "$DIR/gatewright.yaml"
( cd "$DIR"; pin "$GW_CPUS" env "${ENVS[@]}" "${START[@]}" ) >"$OUT/gatewright.log" 2>&1 </dev/null & PID[gatewright]=$!
"$TOOL" wait --url "$URL" --model to-chat --pid "${PID[gatewright]}" --timeout-ms 60000 >/dev/null
pairs=()
for in in "${INTO[@]}"; do
  for out in "${OUT_OF[@]}"; do
    "$TOOL" wait --url "http://127.0.0.1:$PORT${PATHS[$in]}" --dialect "$in" --model "to-$out" --timeout-ms 5000 >/dev/null \
      || { echo "$in before an upstream of $out is not served" >&2; exit 1; }
    pairs+=("$in-$out")
  done
done
meta gatewright version "\"version\":\"$(VERSION)\""

for r in $(seq 0 "$ROUNDS"); do
  (( r )) && say "round $r of $ROUNDS" || say "warm-up"
  mockctl "config?gap_us=0&chunks=200" >/dev/null
  # Three requests of the long ones are warm-up enough.
  few=(); (( r )) || few=(--max 3)
  all small "$r" --mode unary --conc 1
  ONLY=responses all small-kept "$r" --mode unary --conc 1 --store 1
  all many "$r" --mode unary --conc "$CONC"
  all flood "$r" --mode stream --conc "$CONC" --chunks 200
  all agent "$r" --mode unary --conc 1 --prompt-bytes 900000 --messages 200 --tools 30 "${few[@]}"
  all history-1000 "$r" --mode unary --conc 1 --prompt-bytes 64000 --messages 1000 "${few[@]}"
  all history-10000 "$r" --mode unary --conc 1 --prompt-bytes 640000 --messages 10000 "${few[@]}"
  for n in 10000 100000; do
    mockctl "config?chunks=$n" >/dev/null
    all "long-$n" "$r" --mode stream --conc 1 --chunks "$n" "${few[@]}"
  done
done
meta run settings "\"rounds\":$ROUNDS,\"secs\":$SECS,\"conc\":$CONC,\"prio\":$PRIO,\"gw_cpus\":\"$GW_CPUS\",\"load_cpus\":\"$LOAD_CPUS\",\"date\":\"$(date -u +%FT%TZ)\",\"kernel\":\"$(uname -r)\",\"cores\":$(nproc)"
status=0; python3 "$HERE/dialects.py" "$RAW" > "$OUT/table.md" || status=$?
cat "$OUT/table.md"
say "raw figures: $RAW"
exit "$status"
