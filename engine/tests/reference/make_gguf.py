"""Makes the GGUF files of `gguf/` and what Hugging Face transformers computes with their weights, in f32 on the CPU.

    python3 -m venv v && v/bin/pip install torch transformers safetensors tokenizers numpy gguf accelerate
    v/bin/python make_gguf.py [folder]

Apart from the tests because it needs Python and torch, and from make.py because it needs `gguf` (GGML's own package) too; what it
writes is committed. It must not know how the engine computes. Each model is random, with the tokenizer of `untied`:

    qwen2    Q4_K, Q5_K, Q6_K and Q5_0 as a Q4_K_M file mixes them, output = embedding, biases
    llama    Q4_0, output matrix Q8_0, queries and keys in GGUF's order, biases, Llama 3.1's factors of frequencies
    qwen3    BF16, F16, F32, Q8_0, Q4_1 and Q5_1, norms of heads, YaRN with an attn_factor

Blocks of 256 are random bytes with sane scales: the package cannot quantise to them. NAME.safetensors holds `prompt` [P] and `logits`
[P, vocab] of the prefill with the weights as the package dequantises them; NAME.json holds texts and their ids by the
`tokenizers` library, with text cut as transformers has it for that kind (its own reading of such a file loses DeepSeek's tokens). `blocks.safetensors` holds random blocks of each format with the package's values, and numbers with the
blocks that the package makes of them.
"""

import json
import math
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
import transformers

HERE = pathlib.Path(__file__).parent
BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"
PROMPT = "What is 47 + 85? Größe 🙂"
TEXTS = ["What is 47 + 85?", "I'LL say it's 12345 and 3.14", "Größe, 数学 und 🙂\n\n  the quick  brown fox.\r\n", "e\u0301 \u1112\u1161\u11ab",
         "a\t b\n \n c", "<think>\nhm</think>\n\nHello<｜User｜>x", "  ", "don't1a2b 100000"]
ROPE = {
    "qwen2": dict(rope_type="default", rope_theta=1000000.0),
    "llama": dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=32),
    "qwen3": dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=16),
}
ATTN_FACTOR = 0.8782488562869419
SHAPES = {
    "qwen2": dict(hidden_size=256, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                  tie_word_embeddings=True, rms_norm_eps=1e-6),
    "llama": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                  tie_word_embeddings=False, rms_norm_eps=1e-5, attention_bias=True),
    "qwen3": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                  tie_word_embeddings=False, rms_norm_eps=1e-6),
}
# By part of GGUF's name, the first that fits.
FORMATS = {
    "qwen2": [("token_embd", Q.Q4_K), ("attn_v", Q.Q6_K), ("attn_output", Q.Q5_0), ("ffn_down", Q.Q5_0), ("ffn_up", Q.Q5_K), ("", Q.Q4_K)],
    "llama": [("output.weight", Q.Q8_0), ("", Q.Q4_0)],
    "qwen3": [("token_embd", Q.BF16), ("output.weight", Q.F16), ("attn_q", Q.Q8_0), ("attn_k", Q.Q4_1), ("attn_v", Q.Q5_1), ("ffn_gate", Q.F32),
              ("ffn_up", Q.F16), ("ffn_down", Q.BF16), ("", Q.Q8_0)],
}
PRE = {"qwen2": "deepseek-r1-qwen", "llama": "llama-bpe", "qwen3": "qwen2"}
NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def theirs(name):
    for ours, short in (("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")):
        if name.startswith(ours + "."):
            return short + name[len(ours):]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{kind}"


def permuted(rows, heads):
    """As llama.cpp's converter orders the rows of Llama's queries and keys."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def straight(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def half(values):
    return np.asarray(values, dtype=np.float16).view(np.uint8).reshape(-1, 2)


def random_blocks(kind, n, rng, size):
    """Blocks of 256 whose values are about `size`, with a mean of about 0: sums of others lose digits, in any order."""
    if kind == Q.Q6_K:
        scales = (rng.integers(32, 96, (n, 16)) * rng.choice([-1, 1], (n, 16))).astype(np.int8).view(np.uint8)
        body = rng.integers(0, 256, (n, 192), dtype=np.uint8)
        return np.concatenate([body, scales, half(rng.uniform(0.5, 1.5, n) * size / (64 * 18))], axis=1)
    scale = rng.uniform(0.5, 1.5, n) * size / (32 * 4.6 if kind == Q.Q4_K else 32 * 9.2)
    least = scale * (7.5 if kind == Q.Q4_K else 15.5)
    # Six bits of eight scales and eight least values, which are about the same: 4 low ones whole, 4 high ones in two pieces.
    scales = rng.integers(16, 48, (n, 8), dtype=np.uint8)
    leasts = np.clip(scales.astype(int) + rng.integers(-2, 3, (n, 8)), 0, 63).astype(np.uint8)
    low = [six[:, :4] | (six[:, 4:] >> 4 << 6) for six in (scales, leasts)]
    high = (scales[:, 4:] & 15) | (leasts[:, 4:] & 15) << 4
    body = rng.integers(0, 256, (n, 128 if kind == Q.Q4_K else 160), dtype=np.uint8)
    return np.concatenate([half(scale), half(least), *low, high, body], axis=1)


def packed(values, kind, rng):
    if kind in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
        rows, width = values.shape
        return random_blocks(kind, rows * width // 256, rng, float(values.std())).reshape(rows, -1)
    if kind == Q.F16:
        return values.astype(np.float16)
    return gguf.quantize(values, kind) if kind != Q.F32 else values


def tokenizer(writer, pre):
    raw = json.loads((HERE / "untied/tokenizer.json").read_text())
    tokens = dict(raw["model"]["vocab"])
    tokens.update({added["content"]: added["id"] for added in raw["added_tokens"]})
    kinds = {added["id"]: gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED for added in raw["added_tokens"]}
    texts = sorted(tokens, key=tokens.get)
    assert [tokens[text] for text in texts] == list(range(len(texts)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(texts)
    writer.add_token_types([kinds.get(id, gguf.TokenType.NORMAL) for id in range(len(texts))])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in raw["model"]["merges"]])
    writer.add_bos_token_id(tokens[BOS])
    writer.add_eos_token_id(tokens[EOS])
    writer.add_add_bos_token(True)
    writer.add_chat_template(json.loads((HERE / "untied/tokenizer_config.json").read_text())["chat_template"])
    return len(texts)


def reference_tokenizer(pre):
    raw = json.loads((HERE / "untied/tokenizer.json").read_text())
    # As the tokenizer.json of Llama 3 says; Qwen's normalises in its place.
    raw["model"]["ignore_merges"] = pre == "llama-bpe"
    read = Tokenizer.from_str(json.dumps(raw))
    if pre != "llama-bpe":
        read.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(GGUF_PRE_TOKENIZER_SPLITS[pre]), behavior="isolated")
    read.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return read


def keys(writer, name, shape):
    writer.add_context_length(512)
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_head_count_kv(shape["num_key_value_heads"])
    writer.add_key_length(shape["head_dim"])
    writer.add_value_length(shape["head_dim"])
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    rope = ROPE[name]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(shape["head_dim"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_attn_factors(ATTN_FACTOR)


def factors(rope, head_dim):
    """As llama.cpp's converter writes Llama 3.1's scaling."""
    low, high, old, factor = (rope[k] for k in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "factor"))
    out = []
    for i in range(0, head_dim, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        if wave < old / high:
            out.append(1.0)
        elif wave > old / low:
            out.append(factor)
        else:
            smooth = (old / wave - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, dtype=np.float32)


def model(name, vocab, rope):
    config = AutoConfig.for_model(name, vocab_size=vocab, max_position_embeddings=512, rope_parameters=dict(rope), **SHAPES[name])
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()


def weights(name, empty, writer, rng):
    """Writes random weights in their formats; gives them back as numbers under transformers' names."""
    state = {}
    for key, like in empty.state_dict().items():
        if key == "lm_head.weight" and SHAPES[name]["tie_word_embeddings"]:
            continue
        values = rng.standard_normal(tuple(like.shape)).astype(np.float32)
        if "norm" in key:
            values = 1.0 + 0.3 * values
        elif key.endswith("bias"):
            values = 0.5 * values
        else:
            values = values * (2.2 if "embed" in key or "lm_head" in key else 1.5) / like.shape[1] ** 0.5
        values = values.astype(np.float32)
        own = theirs(key)
        turns = name == "llama" and (".attn_q." in own or ".attn_k." in own)
        heads = SHAPES[name]["num_attention_heads" if ".attn_q." in own else "num_key_value_heads"]
        stored = permuted(values, heads) if turns else values
        if stored.ndim == 1:
            writer.add_tensor(own, stored)
            back = stored
        else:
            kind = next(kind for part, kind in FORMATS[name] if part in own)
            data = packed(stored, kind, rng)
            writer.add_tensor(own, data, raw_dtype=kind if kind not in (Q.F32, Q.F16) else None)
            back = gguf.dequantize(data, kind) if kind not in (Q.F32, Q.F16) else data.astype(np.float32)
        state[key] = torch.tensor(straight(back, heads) if turns else back)
    return state


def make(root, name, seed):
    rng = np.random.default_rng(seed)
    path = root / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, name)
    vocab = tokenizer(writer, PRE[name])
    keys(writer, name, SHAPES[name])
    rope = dict(ROPE[name])
    if rope["rope_type"] == "yarn":
        rope["attention_factor"] = ATTN_FACTOR * (0.1 * math.log(rope["factor"]) + 1.0)
    reference = model(name, vocab, rope)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", factors(rope, SHAPES[name]["head_dim"]))
    state = weights(name, reference, writer, rng)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    reference.load_state_dict(state, strict=not SHAPES[name]["tie_word_embeddings"])
    reference.tie_weights()
    read = reference_tokenizer(PRE[name])
    encode = lambda text: read.encode(text, add_special_tokens=False).ids
    prompt = encode(BOS + USER + PROMPT + ASSISTANT + "<think>\n")
    with torch.no_grad():
        logits = reference(torch.tensor([prompt])).logits[0]
        exact = reference.double()(torch.tensor([prompt])).logits[0]
    save_file({"prompt": torch.tensor(prompt), "logits": logits.contiguous()}, root / f"{name}.safetensors")
    (root / f"{name}.json").write_text(json.dumps([[text, encode(text)] for text in TEXTS], ensure_ascii=False) + "\n")
    print(name, path.stat().st_size, "bytes, prompt", len(prompt), "logits", f"{logits.abs().max():.2f}",
          "off the exact ones", f"{(exact - logits).abs().max():.1e}")
    check(root, path, reference.float().config, prompt, logits)


def check(root, path, config, prompt, logits):
    """transformers reads the weights itself: names, formats and the order of rows are as it takes them."""
    theirs = AutoModelForCausalLM.from_pretrained(root, gguf_file=path.name, config=config, dtype=torch.float32,
                                                  attn_implementation="eager").eval()
    with torch.no_grad():
        off = (theirs(torch.tensor([prompt])).logits[0] - logits).abs().max()
    assert off < 1e-4, off


def blocks(root, rng):
    out = {}
    for kind in (Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q4_K, Q.Q5_K, Q.Q6_K):
        size, bytes = gguf.GGML_QUANT_SIZES[kind]
        n = 4 * 32 if kind == Q.BF16 else 4
        data = rng.integers(0, 256, (n, bytes), dtype=np.uint8)
        # Scales are any finite numbers, subnormal ones too.
        halves = {Q.BF16: [], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.Q4_1: [0, 2], Q.Q5_1: [0, 2]}.get(kind, [0])
        for at in halves:
            data[:, at + 1] = (data[:, at + 1] & 0x80) | rng.integers(0, 0x7C, n, dtype=np.uint8)
            data[0, at + 1] &= 0x83
        if kind == Q.BF16:
            data[:, 1] = (data[:, 1] & 0x80) | rng.integers(0, 0x7F, n, dtype=np.uint8)
        name = kind.name.lower()
        out[f"{name}.blocks"] = torch.tensor(data.reshape(-1))
        out[f"{name}.values"] = torch.tensor(gguf.dequantize(data.reshape(1, -1), kind).reshape(-1))
    values = rng.standard_normal((8, 32)).astype(np.float32) * 10.0 ** rng.integers(-6, 3, (8, 1)).astype(np.float32)
    values[0] = 0
    values[1] = np.tile([0.5, -0.5, 1.0, -1.0], 8)
    values = values.astype(np.float32)
    out["numbers"] = torch.tensor(values.reshape(-1))
    for kind in (Q.Q8_0, Q.Q4_0):
        out[f"{kind.name.lower()}.made"] = torch.tensor(gguf.quantize(values, kind).reshape(-1))
    save_file(out, root / "blocks.safetensors")


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE) / "gguf"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    print("transformers", transformers.__version__, "torch", torch.__version__)
    transformers.logging.disable_progress_bar()
    for seed, name in enumerate(SHAPES):
        make(root, name, 70 + seed)
    blocks(root, np.random.default_rng(80))
    for file in root.iterdir():
        file.chmod(0o644)
