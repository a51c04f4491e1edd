"""Drives a gateway through OpenAI's own Python library, by its Responses API, as an application would. Argument: base URL."""
import sys

import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
ask = {"model": "mock/m", "input": "hello"}

whole = client.responses.create(**ask, instructions="Be brief.", metadata={"topic": "demo"})
assert (whole.output_text, whole.status, whole.object) == ("Hello.", "completed", "response"), whole
assert whole.output[0].type == "reasoning" and whole.output[0].content[0].text == "I think.", whole
assert (whole.usage.output_tokens, whole.usage.total_tokens) == (4, 9), whole
assert (whole.instructions, whole.metadata, whole.store, whole.error) == ("Be brief.", {"topic": "demo"}, True, None), whole
# Every value has the type that the library's own models demand.
type(whole).model_validate(whole.model_dump(), strict=False)

kinds, text, thought, numbers = [], "", "", []
for event in client.responses.create(**ask, stream=True):
    kinds.append(event.type)
    numbers.append(event.sequence_number)
    type(event).model_validate(event.model_dump(), strict=False)
    if event.type == "response.output_text.delta":
        text += event.delta
    if event.type == "response.reasoning_text.delta":
        thought += event.delta
assert (text, thought) == ("Hello.", "I think."), (text, thought)
assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed", kinds
assert numbers == list(range(len(numbers))), numbers

with client.responses.stream(**ask) as stream:
    for _ in stream:
        pass
    final = stream.get_final_response()
assert final.output_text == "Hello.", final

# A tool's way there and back, going on from what was kept.
tools = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": False}]
call = client.responses.create(model="mock/m", input="weather?", tools=tools)
made = next(item for item in call.output if item.type == "function_call")
assert (made.name, made.arguments) == ("weather", '{"city": "Oslo"}'), call
result = {"type": "function_call_output", "call_id": made.call_id, "output": "rain in Oslo"}
told = client.responses.create(model="mock/m", previous_response_id=call.id, input=[result], tools=tools)
assert told.output_text == "The weather: rain in Oslo." and told.previous_response_id == call.id, told
# The same without anything kept: the items go back as they came, thought under our seal.
include = ["reasoning.encrypted_content"]
call = client.responses.create(model="mock/m", input="weather?", tools=tools, store=False, include=include)
assert call.output[0].encrypted_content and not call.store, call
made = call.output[-1]
history = [{"role": "user", "content": "weather?"}, *call.output, {**result, "call_id": made.call_id}]
assert client.responses.create(model="mock/m", input=history, tools=tools, store=False).output_text == "The weather: rain in Oslo."

with client.responses.stream(model="mock/m", input="weather?", tools=tools) as stream:
    pieces = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
    final = stream.get_final_response()
assert pieces == final.output[-1].arguments == '{"city": "Oslo"}', final

# Tools that take a text, tools in a namespace, and tools that nobody here runs.
mixed = [
    {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
    {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}]},
    {"type": "web_search"},
]
custom = client.responses.create(model="mock/m", input="a patch, please", tools=mixed).output[-1]
assert (custom.type, custom.name, custom.input) == ("custom_tool_call", "patch", "*** Begin"), custom
kinds = [event.type for event in client.responses.create(model="mock/m", input="a patch, please", tools=mixed, stream=True)]
assert "response.custom_tool_call_input.delta" in kinds and "response.custom_tool_call_input.done" in kinds, kinds
found = client.responses.create(model="mock/m", input="a customer, please", tools=mixed).output[-1]
assert (found.type, found.name, found.namespace) == ("function_call", "find", "crm"), found
raw = client.responses.with_raw_response.create(model="mock/m", input="hello", tools=mixed)
assert raw.headers["x-gatewright-not-carried"] == "tools:web_search", raw.headers


class City(BaseModel):
    city: str


parsed = client.responses.parse(model="mock/m", input="as JSON", text_format=City)
assert parsed.output_parsed == City(city="Oslo"), parsed

# What was kept: given again, listed, forgotten.
again = client.responses.retrieve(whole.id)
assert again.model_dump() == whole.model_dump(), again
items = list(client.responses.input_items.list(told.id, order="asc", limit=2))
assert [item.type for item in items] == ["message", "reasoning", "function_call", "function_call_output"], items
try:
    client.responses.cancel(whole.id)
    raise SystemExit("what cannot be done was done")
except openai.BadRequestError as error:
    assert "background" in str(error), error
made = client.responses.create(**ask, background=True)
assert made.status == "queued", made
while made.status in ("queued", "in_progress"):
    made = client.responses.retrieve(made.id)
assert made.status == "completed" and made.background and made.output_text == whole.output_text, made
client.responses.delete(whole.id)
try:
    client.responses.retrieve(whole.id)
    raise SystemExit("what was forgotten was found")
except openai.NotFoundError:
    pass
try:
    client.responses.create(**ask, previous_response_id=whole.id)
    raise SystemExit("what was forgotten was found")
except openai.BadRequestError as error:
    assert error.code == "previous_response_not_found", error

try:
    client.responses.create(model="no-such-model", input="hello")
    raise SystemExit("an unknown model was answered")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error

# Before Anthropic the same.
assert client.responses.create(model="claude/m", input="hello").output_text == "Hello."

print("all good")
