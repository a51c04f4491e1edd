"""Lets `llm-comply`, a suite that others wrote, judge a gateway. Arguments: base URL, the upstream's URL, the folder of goldens.

Chat completions whole; of responses, where the gateway has them, all but what it does not offer (compaction) and streams: the suite knows
events of reasoning by Open Responses' names alone, and OpenAI's libraries by others. `documents.py` looks at those.
"""
import sys
from pathlib import Path

from llm_comply.cli import main

FORMATS = {"openai_chat": ("openai-chat", [])}
SOME = "basic-response,system-prompt,multi-turn,tool-calling,image-input,assistant-phase,response-output-phase-schema,reasoning-summary,error-handling"
if (Path(sys.argv[3]) / "openai_responses").exists():
    FORMATS["openai_responses"] = ("open-responses", ["--filter", SOME])
base = sys.argv[1]
for name, rest in FORMATS.values():
    sys.argv[1:] = ["--format", name, "--base-url", base, "--api-key", "unused", "--model", "mock/m", *rest]
    assert main() == 0, name
print("all good")
