"""Lets `llm-comply`, a suite that others wrote, judge a gateway's chat completions. Argument: base URL."""
import sys

from llm_comply.cli import main

sys.argv[1:] = ["--format", "openai-chat", "--base-url", sys.argv[1], "--api-key", "unused", "--model", "mock/m"]
assert main() == 0
print("all good")
