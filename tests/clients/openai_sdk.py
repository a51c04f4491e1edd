"""Drives a gateway through OpenAI's own Python library, as an application would. Argument: base URL."""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
ask = [{"role": "user", "content": "hello"}]

whole = client.chat.completions.create(model="mock/m", messages=ask)
assert whole.choices[0].message.content == "Hello.", whole
assert whole.choices[0].message.reasoning_content == "I think.", whole
assert whole.usage.completion_tokens == 4, whole

text = thought = ""
for chunk in client.chat.completions.create(model="mock/m", messages=ask, stream=True):
    text += chunk.choices[0].delta.content or ""
    thought += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
assert (text, thought) == ("Hello.", "I think."), (text, thought)

tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
call = client.chat.completions.create(model="mock/m", messages=[{"role": "user", "content": "weather?"}], tools=tools)
assert call.choices[0].finish_reason == "tool_calls", call
assert call.choices[0].message.tool_calls[0].function.arguments == '{"city": "Oslo"}', call
with client.chat.completions.stream(model="mock/m", messages=[{"role": "user", "content": "weather?"}], tools=tools) as stream:
    final = stream.get_final_completion()
assert final.choices[0].message.tool_calls[0].function.name == "weather", final
for called in (call, final):
    message = called.choices[0].message
    assert message.reasoning_content == "I need the weather.", called
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    said = [{"role": "user", "content": "weather?"}, message.model_dump(exclude_none=True), result]
    told = client.chat.completions.create(model="mock/m", messages=said, tools=tools)
    assert told.choices[0].message.content == "The weather: rain.", told

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
