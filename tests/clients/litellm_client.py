"""Drives a gateway through LiteLLM's Python library: whole, streamed, a tool call, an error. Argument: base URL."""
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would look for a price list on the internet
import litellm

litellm.suppress_debug_info = True
ask = [{"role": "user", "content": "hello"}]
weather = [{"role": "user", "content": "weather?"}]
parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]


def target(model: str) -> dict:
    return {"model": f"openai/{model}", "api_base": sys.argv[1], "api_key": "unused", "num_retries": 0}


def drive(model: str) -> None:
    to = target(model)
    whole = litellm.completion(messages=ask, **to)
    message = whole.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello.", "I think."), whole
    assert whole.usage.completion_tokens == 4, whole

    text = thought = ""
    usage = None
    for chunk in litellm.completion(messages=ask, stream=True, stream_options={"include_usage": True}, **to):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
        usage = getattr(chunk, "usage", None) or usage
    assert (text, thought) == ("Hello.", "I think."), (text, thought)
    assert usage and usage.completion_tokens == 4, usage

    def streamed(messages):
        return litellm.stream_chunk_builder(list(litellm.completion(messages=messages, tools=tools, stream=True, **to)))

    def at_once(messages):
        return litellm.completion(messages=messages, tools=tools, **to)

    for answer in (at_once, streamed):
        called = answer(weather).choices[0].message
        assert json.loads(called.tool_calls[0].function.arguments) == {"city": "Oslo"}, called
        assert called.reasoning_content == "I need the weather.", called
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "rain"}
        told = answer([*weather, called, result]).choices[0].message
        assert (told.content, told.reasoning_content) == ("The weather: rain.", "It is known now."), told


# The same through upstreams of each kind.
for model in ("mock/m", "openai/m", "claude/m"):
    drive(model)

try:
    litellm.completion(messages=ask, **target("no-such-model"))
    raise SystemExit("an unknown model was answered")
except litellm.NotFoundError:
    pass

print("all good")
