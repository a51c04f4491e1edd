"""Drives a gateway through a Pydantic AI agent: whole, streamed, with a tool and with reasoning, by both of
OpenAI's APIs. Argument: base URL."""
import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=sys.argv[1], api_key="unused")


def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


def thoughts(result) -> list:
    """A thought of responses that nobody summed up is raw content to this library."""
    parts = [part for message in result.all_messages() for part in message.parts if part.part_kind == "thinking"]
    return [part.content or "".join(part.provider_details["raw_content"]) for part in parts]


async def drive(model) -> None:
    agent = Agent(model, tools=[weather])
    whole = await agent.run("weather?")
    assert whole.output == "The weather: rain in Oslo.", whole
    assert thoughts(whole) == ["I need the weather.", "It is known now."], whole.all_messages()
    async with agent.run_stream("hello") as answer:
        text = "".join([piece async for piece in answer.stream_text(delta=True, debounce_by=None)])
    assert text == "Hello.", text
    async with agent.run_stream("weather?") as answer:
        text = await answer.get_output()
    assert text == "The weather: rain in Oslo.", text
    assert thoughts(answer) == thoughts(whole), answer.all_messages()


async def main() -> None:
    # The same through upstreams of each kind.
    for upstream in ("mock/m", "openai/m", "claude/m"):
        await drive(OpenAIChatModel(upstream, provider=provider))
        await drive(OpenAIResponsesModel(upstream, provider=provider))


asyncio.run(main())
print("all good")
