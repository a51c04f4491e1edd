"""Drives a gateway through OpenAI's own Python library, by its Responses API, as an application would. Argument: base URL."""
import json
import sys

import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
tools = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": False}]
# Tools that take a text, tools in a namespace, and tools that nobody here runs.
mixed = [
    {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
    {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}]},
    {"type": "web_search"},
]


class City(BaseModel):
    city: str


def thought(answer) -> str:
    item = answer.output[0]
    assert item.type == "reasoning", answer
    return item.content[0].text


def streamed(**question):
    """A streamed answer: its pieces by kind of event, and the answer that the last event holds."""
    pieces, numbers, last = {}, [], None
    for event in client.responses.create(stream=True, **question):
        # Every value has the type that the library's own models demand.
        type(event).model_validate(event.model_dump(), strict=False)
        numbers.append(event.sequence_number)
        pieces[event.type] = pieces.get(event.type, "") + (getattr(event, "delta", None) or "")
        last = event
    kinds = list(pieces)
    assert kinds[:2] == ["response.created", "response.in_progress"] and last.type == "response.completed", kinds
    assert numbers == list(range(len(numbers))), numbers
    assert pieces.get("response.output_text.delta", "") == last.response.output_text, last
    return pieces, last.response


def plain(model: str):
    whole = client.responses.create(model=model, input="hello", instructions="Be brief.", metadata={"topic": "demo"})
    assert (whole.output_text, whole.status, whole.object) == ("Hello.", "completed", "response"), whole
    assert thought(whole) == "I think.", whole
    assert (whole.usage.output_tokens, whole.usage.total_tokens) == (4, 9), whole
    assert (whole.instructions, whole.metadata, whole.store, whole.error) == ("Be brief.", {"topic": "demo"}, True, None), whole
    type(whole).model_validate(whole.model_dump(), strict=False)
    pieces, last = streamed(model=model, input="hello")
    assert pieces["response.output_text.delta"] == "Hello." and pieces["response.reasoning_text.delta"] == "I think.", pieces
    assert thought(last) == "I think.", last
    with client.responses.stream(model=model, input="hello") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == "Hello.", final
    return whole


def a_tool(model: str):
    """A tool's way there and back, whole and streamed: going on from what was kept, and with everything sent again, thought under our seal."""

    def at_once(**question):
        return client.responses.create(model=model, tools=tools, **question)

    def in_pieces(**question):
        pieces, last = streamed(model=model, tools=tools, **question)
        if last.output[-1].type == "function_call":
            assert pieces["response.function_call_arguments.delta"] == last.output[-1].arguments, last
        return last

    for answer in (at_once, in_pieces):
        call = answer(input="weather?")
        made = next(item for item in call.output if item.type == "function_call")
        assert (made.name, json.loads(made.arguments)) == ("weather", {"city": "Oslo"}), call
        assert thought(call) == "I need the weather.", call
        result = {"type": "function_call_output", "call_id": made.call_id, "output": "rain in Oslo"}
        kept = answer(previous_response_id=call.id, input=[result])
        assert kept.output_text == "The weather: rain in Oslo." and kept.previous_response_id == call.id, kept
        assert thought(kept) == "It is known now.", kept
        call = answer(input="weather?", store=False, include=["reasoning.encrypted_content"])
        assert call.output[0].encrypted_content and not call.store, call
        history = [{"role": "user", "content": "weather?"}, *call.output, {**result, "call_id": call.output[-1].call_id}]
        assert answer(input=history, store=False).output_text == "The weather: rain in Oslo."
    with client.responses.stream(model=model, input="weather?", tools=tools) as stream:
        pieces = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()
    assert pieces == final.output[-1].arguments, final
    return kept


def other_tools(model: str) -> None:
    custom = client.responses.create(model=model, input="a patch, please", tools=mixed).output[-1]
    assert (custom.type, custom.name, custom.input) == ("custom_tool_call", "patch", "*** Begin"), custom
    pieces, last = streamed(model=model, input="a patch, please", tools=mixed)
    assert pieces["response.custom_tool_call_input.delta"] == last.output[-1].input == "*** Begin", pieces
    assert "response.custom_tool_call_input.done" in pieces, pieces
    for found in (client.responses.create(model=model, input="a customer, please", tools=mixed), streamed(model=model, input="a customer, please", tools=mixed)[1]):
        made = found.output[-1]
        assert (made.type, made.name, made.namespace) == ("function_call", "find", "crm"), found
    # Who speaks this API is offered what only it can run.
    raw = client.responses.with_raw_response.create(model=model, input="hello", tools=mixed)
    left_out = None if model == "openai/m" else "tools:web_search"
    assert raw.headers.get("x-gatewright-not-carried") == left_out, raw.headers
    parsed = client.responses.parse(model=model, input="as JSON", text_format=City)
    assert parsed.output_parsed == City(city="Oslo"), parsed


def kept(model: str, whole, told) -> None:
    """What was kept: given again, listed, forgotten."""
    again = client.responses.retrieve(whole.id)
    assert again.model_dump() == whole.model_dump(), again
    items = list(client.responses.input_items.list(told.id, order="asc", limit=2))
    assert [item.type for item in items] == ["message", "reasoning", "function_call", "function_call_output"], items
    try:
        client.responses.cancel(whole.id)
        raise SystemExit("what cannot be done was done")
    except openai.BadRequestError as error:
        assert "background" in str(error), error
    made = client.responses.create(model=model, input="hello", background=True)
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
        client.responses.create(model="mock/m", input="hello", previous_response_id=whole.id)
        raise SystemExit("what was forgotten was found")
    except openai.BadRequestError as error:
        assert error.code == "previous_response_not_found", error


# The same through upstreams of each kind.
for model in ("mock/m", "openai/m", "claude/m"):
    whole = plain(model)
    told = a_tool(model)
    other_tools(model)
    kept(model, whole, told)

try:
    client.responses.create(model="no-such-model", input="hello")
    raise SystemExit("an unknown model was answered")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error

print("all good")
