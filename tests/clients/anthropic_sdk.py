"""Drives a gateway through Anthropic's own Python library, as an application would. Argument: base URL."""
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1].removesuffix("/v1"), api_key="unused", max_retries=0)
ask = [{"role": "user", "content": "hello"}]
weather = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
thinking = {"type": "enabled", "budget_tokens": 1024}


def drive(model: str) -> None:
    whole = client.messages.create(model=model, max_tokens=2000, messages=ask, thinking=thinking)
    assert [block.type for block in whole.content] == ["thinking", "text"], whole
    assert (whole.content[0].thinking, whole.content[1].text) == ("I think.", "Hello."), whole
    assert whole.content[0].signature and whole.stop_reason == "end_turn", whole
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (5, 4), whole

    with client.messages.stream(model=model, max_tokens=2000, messages=ask, thinking=thinking) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Hello." and final.content[0].thinking == "I think.", final
    assert final.content[0].signature and final.usage.output_tokens == 4 and final.usage.input_tokens == 5, final

    question = [{"role": "user", "content": "weather?"}]
    for streamed in (False, True):
        if streamed:
            with client.messages.stream(model=model, max_tokens=2000, messages=question, tools=[weather], thinking=thinking) as stream:
                called = stream.get_final_message()
        else:
            called = client.messages.create(model=model, max_tokens=2000, messages=question, tools=[weather], thinking=thinking)
        call = called.content[-1]
        assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Oslo"}), called
        assert called.stop_reason == "tool_use" and called.content[0].type == "thinking", called
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
        again = [*question, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        if streamed:
            with client.messages.stream(model=model, max_tokens=2000, messages=again, tools=[weather], thinking=thinking) as stream:
                told = stream.get_final_message()
        else:
            told = client.messages.create(model=model, max_tokens=2000, messages=again, tools=[weather], thinking=thinking)
        assert (told.content[0].thinking, told.content[-1].text) == ("It is known now.", "The weather: rain."), told


# The same through upstreams of each kind.
for model in ("mock/m", "openai/m", "claude/m"):
    drive(model)

count = client.messages.count_tokens(model="mock/m", messages=ask)
assert count.input_tokens > 0, count
models = client.models.list()
assert models.data is not None and not models.has_more, models
bearer = anthropic.Anthropic(base_url=sys.argv[1].removesuffix("/v1"), auth_token="unused", max_retries=0)
assert bearer.messages.create(model="mock/m", max_tokens=9, messages=ask).content[-1].text == "Hello."

try:
    client.messages.create(model="no-such-model", max_tokens=9, messages=ask)
    raise SystemExit("an unknown model was answered")
except anthropic.NotFoundError as error:
    assert error.body["error"]["type"] == "not_found_error" and error.request_id, error
try:
    client.messages.create(model="mock/m", max_tokens=9, messages=[{"role": "user", "content": 5}])
    raise SystemExit("a wrong type was accepted")
except anthropic.BadRequestError as error:
    assert "messages[0].content" in str(error), error

print("all good")
