"""Lets coding agents edit a file through a gateway before a scripted upstream. Arguments: gatewright, the agents' node_modules, names.

The file holds a token that no model may see, and the model writes one that no file may get; the policy `secrets` is enforced. What is
looked at in the end: the file, what the agent says, and all that the upstream was asked. Standard library only.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

GATEWRIGHT, MODULES = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
# Both are made up, and put together so that no scanner of sources takes them for leaked ones.
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
KEY = "sk-" + "a1B2c3D4e5F6g7H8i9J0k1L2"
BEFORE = f'token = "{TOKEN}"\nprint("hello")\n'
AFTER = f'token = "{TOKEN}"\nprint("goodbye")  # [redacted:api-key]\n'
TASK = "Change hello to goodbye in greeting.py."


@contextmanager
def started(words: list, folder: Path, name: str):
    """A process of the gateway's binary, when it has said where it listens."""
    log = folder / f"{name}.log"
    with log.open("w") as out:
        process = subprocess.Popen([GATEWRIGHT, *words], cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while "http://" not in log.read_text():
                assert process.poll() is None and time.monotonic() < until, f"it does not start: {log.read_text()}"
                time.sleep(0.02)
            time.sleep(0.2)
            yield next(word for word in log.read_text().split() if word.startswith("http://")).rstrip("/").removesuffix("/v1")
        finally:
            process.terminate()
            process.wait(30)


def script(read: dict, edit: dict) -> str:
    """The model's part: reads the file, edits it, and is done."""
    rules = [
        {"when": {"has_tool_result": True, "nth": 1}, "then": {"reasoning": ["Now I ", "edit it."], "text": "I edit it.", "tool_calls": [edit]}},
        {"when": {"has_tool_result": True}, "then": {"reasoning": "That was it.", "text": ["It says ", "goodbye now."]}},
        {"when": {"offers": read["name"]}, "then": {"reasoning": ["I look ", "at it first."], "tool_calls": [read]}},
        {"then": {"text": "Nothing to do."}},
    ]
    return json.dumps({"rules": rules})


def config(upstream: str) -> str:
    return f"""
providers:
  chat: {{base_url: "{upstream}/v1", attempts: 1}}
  responses: {{base_url: "{upstream}/v1", dialect: openai_responses, attempts: 1}}
  messages: {{base_url: "{upstream}", dialect: anthropic, attempts: 1}}
plugins:
  secrets: {{}}
"""


def quiet(home: Path) -> dict:
    """An environment with nothing of ours in it, and everything off that an agent says to its vendor."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_COLOR": "1", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def agent(command: list, work: Path, environment: dict) -> str:
    done = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"it ended with {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done.stdout


class ClaudeCode:
    """Anthropic's: Messages, streamed, with its own tools for files and thinking turned on."""

    package = "@anthropic-ai/claude-code"
    # What an upstream of Responses seals has no place in a signature of Messages: it does not go back there.
    recalls = ("chat", "messages")

    def calls(self, file: Path):
        edit = {"file_path": str(file), "old_string": 'print("hello")', "new_string": f'print("goodbye")  # {KEY}'}
        return {"name": "Read", "arguments": {"file_path": str(file)}}, {"name": "Edit", "arguments": edit}

    def run(self, url: str, model: str, home: Path, work: Path) -> str:
        environment = quiet(home) | {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "unused", "ANTHROPIC_MODEL": model,
                                     "ANTHROPIC_SMALL_FAST_MODEL": model, "MAX_THINKING_TOKENS": "2000"}
        command = [MODULES / ".bin/claude", "-p", TASK, "--output-format", "json", "--allowedTools", "Read,Edit"]
        return json.loads(agent(command, work, environment))["result"]


class Codex:
    """OpenAI's: Responses, streamed, with a tool that runs commands and reasoning that the gateway seals."""

    package = "@openai/codex"
    # Its thoughts go back under the gateway's seal, which an upstream of Messages is not shown as a signature.
    recalls = ("chat", "responses")

    def calls(self, file: Path):
        changed = f's/print("hello")/print("goodbye")  # {KEY}/'
        return ({"name": "exec_command", "arguments": {"cmd": "cat greeting.py"}},
                {"name": "exec_command", "arguments": {"cmd": f"sed -i '{changed}' greeting.py"}})

    def run(self, url: str, model: str, home: Path, work: Path) -> str:
        (home / ".codex").mkdir()
        (home / ".codex/config.toml").write_text(f"""
model = "{model}"
model_provider = "gatewright"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
analytics.enabled = false
[model_providers.gatewright]
name = "Gatewright"
base_url = "{url}/v1"
env_key = "GATEWRIGHT_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
""")
        environment = quiet(home) | {"GATEWRIGHT_KEY": "unused"}
        said = agent([MODULES / ".bin/codex", "exec", "--skip-git-repo-check", "--json", TASK], work, environment)
        items = [event["item"] for event in map(json.loads, said.splitlines()) if event["type"] == "item.completed"]
        return [item["text"] for item in items if item["type"] == "agent_message"][-1]


def recalled(kind: str, request: str) -> bool:
    """Whether both thoughts went back to the upstream: one of Responses gets its own sealed word for each, the others the text."""
    if kind == "responses":
        return request.count('"encrypted_content": "bW9jayByZWFzb25pbmc="') == 2
    return "I look at it first." in request and "Now I edit it." in request


AGENTS = {"claude-code": ClaudeCode(), "codex": Codex()}


def drive(agent, model: str) -> str:
    """What came of it, in words; an assertion where it is not right."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        home, work = folder / "home", folder / "work"
        for each in (home, work, folder / "data"):
            each.mkdir(mode=0o700)
        file = work / "greeting.py"
        file.write_text(BEFORE)
        (folder / "script.json").write_text(script(*agent.calls(file)))
        with started(["mock", "--listen", "127.0.0.1:0", "script.json"], folder, "mock") as upstream:
            (folder / "gatewright.yaml").write_text(config(upstream))
            serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", "data", "--config", "gatewright.yaml"]
            with started(serve, folder, "gateway") as url:
                said = agent.run(url, model, home, work)
            with urllib.request.urlopen(upstream + "/__mock/requests") as seen:
                requests = [json.dumps(request["body"]) for request in json.load(seen)["requests"]]
        assert said == "It says goodbye now.", said
        assert file.read_text() == AFTER, file.read_text()
        assert len(requests) >= 3, requests
        assert not any(TOKEN in request or KEY in request for request in requests), "a secret reached the upstream"
        assert "[redacted:github-token]" in requests[-1] and "goodbye" in requests[-1], requests[-1]
        kind = model.split("/")[0]
        assert kind not in agent.recalls or recalled(kind, requests[-1]), "the thought did not come back"
        return f"passes ({len(requests)} requests; the file is edited, no secret got to the model or into the file)"


def main() -> int:
    failed = 0
    for name in sys.argv[3:] or AGENTS:
        agent = AGENTS[name]
        version = json.loads((MODULES / agent.package / "package.json").read_text())["version"]
        for model in ("chat/m", "responses/m", "messages/m"):
            try:
                result = drive(agent, model)
            except Exception as error:  # whatever it is, the others are driven too
                failed, result = 1, f"FAILS: {type(error).__name__}: {error}"
            print(f"{name} {version} before {model.split('/')[0]}: {result}", flush=True)
    return failed


sys.exit(main())
