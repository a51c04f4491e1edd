"""Drives a gateway through a Pydantic AI agent: whole, streamed, with a tool and with reasoning. Argument: base URL."""
import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

agent = Agent(OpenAIChatModel("mock/m", provider=OpenAIProvider(base_url=sys.argv[1], api_key="unused")))


@agent.tool_plain
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


def thoughts(result) -> list:
    return [part.content for message in result.all_messages() for part in message.parts if part.part_kind == "thinking"]


whole = agent.run_sync("weather?")
assert whole.output == "The weather: rain in Oslo.", whole
assert thoughts(whole) == ["I need the weather.", "It is known now."], whole.all_messages()


async def streamed() -> None:
    async with agent.run_stream("hello") as answer:
        text = "".join([piece async for piece in answer.stream_text(delta=True, debounce_by=None)])
    assert text == "Hello.", text
    async with agent.run_stream("weather?") as answer:
        text = await answer.get_output()
    assert text == "The weather: rain in Oslo.", text
    assert thoughts(answer) == thoughts(whole), answer.all_messages()


asyncio.run(streamed())
print("all good")
