"""Drives a gateway through LiteLLM's Python library: whole, streamed, a tool call, an error. Argument: base URL."""
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would look for a price list on the internet
import litellm

litellm.suppress_debug_info = True
target = {"model": "openai/mock/m", "api_base": sys.argv[1], "api_key": "unused", "num_retries": 0}
ask = [{"role": "user", "content": "hello"}]

whole = litellm.completion(messages=ask, **target)
message = whole.choices[0].message
assert (message.content, message.reasoning_content) == ("Hello.", "I think."), whole
assert whole.usage.completion_tokens == 4, whole

text = thought = ""
usage = None
for chunk in litellm.completion(messages=ask, stream=True, stream_options={"include_usage": True}, **target):
    for choice in chunk.choices:
        text += choice.delta.content or ""
        thought += getattr(choice.delta, "reasoning_content", None) or ""
    usage = getattr(chunk, "usage", None) or usage
assert (text, thought) == ("Hello.", "I think."), (text, thought)
assert usage and usage.completion_tokens == 4, usage

parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
call = litellm.completion(messages=[{"role": "user", "content": "weather?"}], tools=tools, **target)
assert call.choices[0].message.tool_calls[0].function.arguments == '{"city": "Oslo"}', call
assert call.choices[0].message.reasoning_content == "I need the weather.", call
pieces = list(litellm.completion(messages=[{"role": "user", "content": "weather?"}], tools=tools, stream=True, **target))
built = litellm.stream_chunk_builder(pieces).choices[0].message
assert built.tool_calls[0].function.arguments == '{"city": "Oslo"}' and built.reasoning_content == "I need the weather.", built
result = {"role": "tool", "tool_call_id": call.choices[0].message.tool_calls[0].id, "content": "rain"}
told = litellm.completion(messages=[{"role": "user", "content": "weather?"}, call.choices[0].message, result], tools=tools, **target)
assert told.choices[0].message.content == "The weather: rain.", told

try:
    litellm.completion(messages=ask, **{**target, "model": "openai/no-such-model"})
    raise SystemExit("an unknown model was answered")
except litellm.NotFoundError:
    pass

print("all good")
