"""Drives a gateway through OpenAI's agents library: whole, streamed, with a tool and with reasoning. Argument: base URL."""
import asyncio
import sys

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


client = AsyncOpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
model = OpenAIChatCompletionsModel(model="mock/m", openai_client=client)
agent = Agent(name="assistant", instructions="Help.", model=model, tools=[weather])


def thoughts(result) -> list:
    return [item.raw_item.summary[0].text for item in result.new_items if item.type == "reasoning_item"]


async def main() -> None:
    whole = await Runner.run(agent, "weather?")
    assert whole.final_output == "The weather: rain in Oslo.", whole
    assert thoughts(whole) == ["I need the weather.", "It is known now."], whole.new_items
    streamed = Runner.run_streamed(agent, "weather?")
    events = [event async for event in streamed.stream_events()]
    assert streamed.final_output == "The weather: rain in Oslo." and len(events) > 5, streamed
    assert thoughts(streamed) == thoughts(whole), streamed.new_items
    plain = await Runner.run(agent, "hello")
    assert plain.final_output == "Hello.", plain


asyncio.run(main())
print("all good")
