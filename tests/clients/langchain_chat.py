"""Drives a gateway through LangChain's ChatOpenAI: whole, streamed, and with a tool. Argument: base URL."""
import sys
from functools import reduce
from operator import add

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url=sys.argv[1], api_key="unused", model="mock/m", max_retries=0)
whole = model.invoke("hello")
assert whole.content == "Hello." and whole.usage_metadata["output_tokens"] == 4, whole
streamed = "".join(chunk.content for chunk in model.stream("hello"))
assert streamed == "Hello.", streamed


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


with_tool = model.bind_tools([weather])
for ask in (with_tool.invoke, lambda messages: reduce(add, with_tool.stream(messages))):
    messages = [HumanMessage("weather?")]
    call = ask(messages)
    assert call.tool_calls[0]["args"] == {"city": "Oslo"}, call
    messages += [call, weather.invoke(call.tool_calls[0])]
    assert ask(messages).content == "The weather: rain in Oslo.", messages

print("all good")
