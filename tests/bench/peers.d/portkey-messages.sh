# Portkey before an upstream that speaks Messages: chat completions are translated.
source "$HERE/peers.d/portkey.sh"
HEADERS=("x-portkey-provider: anthropic" "x-portkey-custom-host: http://$MOCK/v1" "authorization: Bearer sk-mock")
