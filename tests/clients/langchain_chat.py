"""Drives a gateway through LangChain's ChatOpenAI: whole, streamed, with a tool and with reasoning, by both of OpenAI's APIs.
Argument: base URL."""
import sys
from functools import reduce
from operator import add

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


def call_a_tool(model: ChatOpenAI) -> None:
    with_tool = model.bind_tools([weather])
    for ask in (with_tool.invoke, lambda messages: reduce(add, with_tool.stream(messages))):
        messages = [HumanMessage("weather?")]
        call = ask(messages)
        assert call.tool_calls[0]["args"] == {"city": "Oslo"}, call
        messages += [call, weather.invoke(call.tool_calls[0])]
        assert ask(messages).text == "The weather: rain in Oslo.", messages


def drive(upstream: str) -> None:
    chat = ChatOpenAI(base_url=sys.argv[1], api_key="unused", model=upstream, reasoning_effort="high", max_retries=0, stream_usage=True)
    whole = chat.invoke("hello")
    streamed = reduce(add, chat.stream("hello"))
    for answer in (whole, streamed):
        assert answer.content == "Hello." and answer.usage_metadata["output_tokens"] == 4, answer
        # It reads no thoughts from chat completions, by its own documentation; it counts their tokens, where an upstream does.
        counted = answer.usage_metadata.get("output_token_details", {}).get("reasoning", 0)
        assert counted > 0 or upstream == "claude/m", answer
    call_a_tool(chat)

    responses = ChatOpenAI(base_url=sys.argv[1], api_key="unused", model=upstream, max_retries=0, use_responses_api=True)
    whole = responses.invoke("hello")
    streamed = reduce(add, responses.stream("hello"))
    assert (whole.text, streamed.text) == ("Hello.", "Hello."), (whole, streamed)
    # Of a stream it keeps the item, and not the text that comes in pieces.
    assert whole.content[0]["content"][0]["text"] == "I think." and streamed.content[0]["type"] == "reasoning", (whole, streamed)
    call_a_tool(responses)


# The same through upstreams of each kind.
for upstream in ("mock/m", "openai/m", "claude/m"):
    drive(upstream)

print("all good")
