"""Lets `llm-comply`, a suite that others wrote, judge a gateway. Argument: base URL.

Chat completions whole; of responses all but what is not offered (compaction) and streams: the suite knows events of reasoning by Open
Responses' names alone, and OpenAI's libraries by others. `documents.py` looks at those.
"""
import sys

from llm_comply.cli import main

SOME = "basic-response,system-prompt,multi-turn,tool-calling,image-input,assistant-phase,response-output-phase-schema,reasoning-summary,error-handling"
base = sys.argv[1]
for model in ("mock/m", "openai/m", "claude/m"):
    for name, rest in {"openai-chat": [], "open-responses": ["--filter", SOME]}.items():
        sys.argv[1:] = ["--format", name, "--base-url", base, "--api-key", "unused", "--model", model, *rest]
        assert main() == 0, (name, model)
print("all good")
