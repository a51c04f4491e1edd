# Gatewright, bare, before an upstream that speaks Messages: chat completions are translated.
source "$HERE/peers.d/gatewright.sh"
MODEL=to-messages
PREPARE() { mkdir -p "$DIR/data"; render "$HERE/conf/gatewright-dialects.yaml" > "$DIR/gatewright.yaml"; }
