"""Drives a gateway through OpenAI's own Python library, as an application would. Argument: base URL."""
import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
ask = [{"role": "user", "content": "hello"}]
weather = [{"role": "user", "content": "weather?"}]
tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]


def told(**question):
    """A streamed answer's text and thought."""
    text = thought = ""
    for chunk in client.chat.completions.create(stream=True, **question):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", None) or ""
    return text, thought


def drive(model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=ask)
    assert whole.choices[0].message.content == "Hello.", whole
    assert whole.choices[0].message.reasoning_content == "I think.", whole
    assert whole.usage.completion_tokens == 4, whole
    assert told(model=model, messages=ask) == ("Hello.", "I think.")

    call = client.chat.completions.create(model=model, messages=weather, tools=tools)
    assert call.choices[0].finish_reason == "tool_calls", call
    with client.chat.completions.stream(model=model, messages=weather, tools=tools) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "weather", final
    for called in (call, final):
        message = called.choices[0].message
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}, called
        assert message.reasoning_content == "I need the weather.", called
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        said = [*weather, message.model_dump(exclude_none=True), result]
        again = client.chat.completions.create(model=model, messages=said, tools=tools)
        assert again.choices[0].message.content == "The weather: rain.", again
        assert told(model=model, messages=said, tools=tools) == ("The weather: rain.", "It is known now.")


# The same through upstreams of each kind.
for model in ("mock/m", "openai/m", "claude/m"):
    drive(model)

try:
    client.chat.completions.create(model="no-such-model", messages=ask)
    raise SystemExit("an unknown model was answered")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error
try:
    client.chat.completions.create(model="mock/m", messages=[{"role": "user", "content": 5}])
    raise SystemExit("a wrong type was accepted")
except openai.BadRequestError as error:
    assert "messages[0].content" in str(error), error

print("all good")
