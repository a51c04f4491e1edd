# Gatewright, bare: no keys, no plugins. The binary is the repository's, or GATEWRIGHT.
GATEWRIGHT=${GATEWRIGHT:-$HERE/../../target/dist/gatewright}
PORT_ADMIN=$((PORT + 300))
URL=http://127.0.0.1:$PORT/v1/chat/completions
ENVS=(GATEWRIGHT_LOG=warn)
START=("$GATEWRIGHT" serve --config "$DIR/gatewright.yaml" --threads "$THREADS")
HAVE() { [[ -x $GATEWRIGHT ]]; }
VERSION() { "$GATEWRIGHT" --version | sed 's/.* //'; }
PREPARE() { mkdir -p "$DIR/data"; render "$HERE/conf/gatewright.yaml" > "$DIR/gatewright.yaml"; }
