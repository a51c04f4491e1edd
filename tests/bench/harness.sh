# What run.sh and dialects.sh share: the namespace, where things run and with what weight, the mock's switches, waiting for a quiet
# machine, and the end of all that was started. Sourced, with HERE set and the script's own arguments in "$@".
if [[ ${NETNS:-1} == 1 && -z ${BENCH_IN_NS:-} ]]; then
  u=(unshare -n); [[ $(id -u) == 0 ]] || u=(unshare -rn)
  exec env BENCH_IN_NS=1 "${u[@]}" -- bash -c 'ip link set lo up && exec "$@"' _ "$HERE/${0##*/}" "$@"
fi

GW_CPUS=${GW_CPUS-1} LOAD_CPUS=${LOAD_CPUS-0} FOREIGN_MAX=${FOREIGN_MAX:-0.25}
QUIET=${QUIET:-1} RETRY=${RETRY:-1} PRIO=${PRIO:-$([[ $(id -u) == 0 ]] && echo -10 || echo 0)}
PEERS=${PEERS:-$HERE/peers}
BASE_PORT=${BASE_PORT:-19100}
OUT=${OUT:-$HERE/results/$(date +%Y%m%d-%H%M%S)}
TOOL=${TOOL:-$HERE/tool/target/release/gwbench}
MOCK=127.0.0.1:$BASE_PORT
mkdir -p "$OUT"; OUT=$(cd "$OUT" && pwd); RAW=$OUT/raw.jsonl; : > "$RAW"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/gwbench.XXXXXX")
THREADS=$(awk -F, '{n=0; for(i=1;i<=NF;i++){split($i,a,"-"); n+=(a[2]?a[2]-a[1]+1:1)} print n}' <<<"${GW_CPUS:-0-$(($(nproc)-1))}")
[[ -x $TOOL ]] || { echo "build the tool first: (cd $HERE/tool && cargo build --release)" >&2; exit 1; }

say() { echo "$(date +%T) $*" >&2; }
# Runs a command on the cores $1, in a session of its own. Linux weighs sessions against each other (autogroup), and
# nice counts only inside one: so the session's weight is set too.
pin() {
  local c=$1; shift
  [[ -z $c ]] || set -- taskset -c "$c" "$@"
  exec setsid bash -c '{ echo "$0" > /proc/self/autogroup; } 2>/dev/null; n=$0; exec nice -n "$n" "$@"' "$PRIO" "$@"
}
load() { ( pin "$LOAD_CPUS" "$TOOL" "$@" ); }
mockctl() { "$TOOL" get --url "http://$MOCK/__mock/$1"; }
render() {
  local s n; s=$(<"$1")
  while [[ $s =~ @([A-Z_]+)@ ]]; do n=${BASH_REMATCH[1]}; s=${s//@$n@/${!n}}; done
  printf '%s\n' "$s"
}
# Ends one process tree that this script started: by pid, gently first.
end_tree() {
  local pids p
  pids=$("$TOOL" tree --pid "$1" | sed 's/.*"pids":"\([^"]*\)".*/\1/'); [[ -n $pids ]] || return 0
  kill -TERM "$1" 2>/dev/null || true
  for _ in $(seq 50); do kill -0 "$1" 2>/dev/null || break; sleep 0.1; done
  for p in $pids; do kill -KILL "$p" 2>/dev/null || true; done
  wait "$1" 2>/dev/null || true
}
declare -A PID=()
MOCK_PID=
cleanup() { local p; for p in "${!PID[@]}"; do end_tree "${PID[$p]}"; done; [[ -z $MOCK_PID ]] || kill "$MOCK_PID" 2>/dev/null || true; rm -rf "$WORK"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
# Other work on the machine: wait until less than a quarter of a core is busy; 10 s at most, QUIET_S in the whole run.
busy() { awk '/^cpu /{print $2+$3+$4+$7+$8}' /proc/stat; }
QUIET_LEFT=$(( ${QUIET_S:-180} * 2 ))
quiet() {
  [[ $QUIET == 1 ]] || return 0
  local a b i
  for i in $(seq 20); do
    (( QUIET_LEFT > 0 )) || return 0
    a=$(busy); sleep 0.5; b=$(busy); (( b - a <= 12 )) && return 0
    QUIET_LEFT=$((QUIET_LEFT - 1))
  done
}
# Writes one measurement to $RAW, and makes it again if other work on the machine disturbed it. The arguments are the command that measures.
undisturbed() {
  local try line f
  for try in $(seq 0 "$RETRY"); do
    quiet
    mockctl reset >/dev/null
    line=$("$@" --tag "try=$try")
    line="${line%\}},\"mock\":$(mockctl stats)}"
    printf '%s\n' "$line" >> "$RAW"
    f=$(sed 's/.*"foreign_cores":\([0-9.]*\).*/\1/' <<<"$line")
    if awk "BEGIN{exit !($f <= $FOREIGN_MAX)}"; then return 0; fi
  done
}
meta() { printf '{"peer":"%s","phase":"%s","round":0,%s}\n' "$1" "$2" "$3" >> "$RAW"; }
