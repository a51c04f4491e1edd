# LiteLLM before an upstream that speaks Messages: chat completions are translated.
source "$HERE/peers.d/litellm.sh"
LITELLM_MODEL=anthropic/gpt-4o-mini LITELLM_BASE=http://$MOCK
