"""Drives a gateway through OpenAI's agents library, by both of OpenAI's APIs: whole, streamed, with a tool and with reasoning. Argument: base URL."""
import asyncio
import sys

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


client = AsyncOpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)


def thoughts(result) -> list:
    raw = [item.raw_item for item in result.new_items if item.type == "reasoning_item"]
    # A summary in chat completions, the thought itself in Responses.
    return [(item.summary or item.content)[0].text for item in raw]


async def drive(model: OpenAIChatCompletionsModel | OpenAIResponsesModel) -> None:
    agent = Agent(name="assistant", instructions="Help.", model=model, tools=[weather])
    whole = await Runner.run(agent, "weather?")
    assert whole.final_output == "The weather: rain in Oslo.", whole
    assert thoughts(whole) == ["I need the weather.", "It is known now."], whole.new_items
    streamed = Runner.run_streamed(agent, "weather?")
    events = [event async for event in streamed.stream_events()]
    assert streamed.final_output == "The weather: rain in Oslo." and len(events) > 5, streamed
    assert thoughts(streamed) == thoughts(whole), streamed.new_items
    plain = await Runner.run(agent, "hello")
    assert plain.final_output == "Hello.", plain
    if isinstance(model, OpenAIResponsesModel):
        # Going on from what was kept.
        again = await Runner.run(agent, "weather?", previous_response_id=plain.last_response_id)
        assert again.final_output == "The weather: rain in Oslo.", again


async def main() -> None:
    # The same through upstreams of each kind.
    for upstream in ("mock/m", "openai/m", "claude/m"):
        await drive(OpenAIChatCompletionsModel(model=upstream, openai_client=client))
        # The library's default.
        await drive(OpenAIResponsesModel(model=upstream, openai_client=client))


asyncio.run(main())
print("all good")
