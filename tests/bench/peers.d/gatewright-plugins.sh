# Gatewright with one Luau and one WASM policy on the route.
source "$HERE/peers.d/gatewright.sh"
PREPARE() { mkdir -p "$DIR/data"; render "$HERE/conf/gatewright-plugins.yaml" > "$DIR/gatewright.yaml"; }
