# Gatewright with a key, its limits, and records.
source "$HERE/peers.d/gatewright.sh"
GATEWRIGHT_BENCH_KEY=sk-bench-of-gatewright
KEY_DIGEST=$(printf %s "$GATEWRIGHT_BENCH_KEY" | sha256sum | cut -d' ' -f1)
HEADERS=("authorization: Bearer $GATEWRIGHT_BENCH_KEY")
PREPARE() { mkdir -p "$DIR/data"; render "$HERE/conf/gatewright-full.yaml" > "$DIR/gatewright.yaml"; }
