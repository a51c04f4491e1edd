"""Makes the reference checkpoints of this folder and what Hugging Face transformers computes on them, in f32 on the CPU.

    python3 -m venv v && v/bin/pip install torch transformers safetensors tokenizers numpy
    v/bin/python make.py [folder] [name]...

Apart from the tests because it needs Python and torch; what it writes is committed, so that the tests need neither. It must not
know how the engine computes. Each checkpoint is random (weights, biases and norms), with a byte-level BPE tokenizer of 320 tokens:

    untied    f32, 3 query heads a key head, output matrix of its own, bias and norm random, greedy generation_config
    tied      bf16, 4 query heads on 1 key head, output = embedding, two shards with an index, sampling generation_config
    wide      f16, as many key heads as query heads, head_dim that is not hidden / heads, rope_theta 10000
    yarn      qwen2, YaRN with mscale, betas and no truncation: its factor is a quotient
    llama     bf16, llama3 scaling as in R1-Distill-Llama, no biases, output matrix of its own
    linear    llama, linear scaling, tied, biases in attention and in the feed-forward part
    qwen3     YaRN with `attn_factor` as in R1-0528-Qwen3-8B, head_dim that is not hidden / heads
    normed    qwen3, no scaling, tied, biases in attention, as many key heads as query heads
    latent    bf16, deepseek_v3 as in R1: queries squeezed, neighbours rotated, YaRN with mscale in the scores, experts in groups, router
              biases that make scores negative; with biases in attention, an rms_norm_eps that the norms in attention do not have, and
              tensors of a layer behind the last, which are no numbers
    blocks    deepseek_v3 with matrices in FP8 blocks of 128 x 128, smaller at the edges; queries whole, halves rotated, no scaling, one
              group of experts, whose scores are weights, tied

Where positions are scaled, the model is trained (as it were) on 32 of them, so that the prompt reaches beyond.

`expected.safetensors` holds `prompt` [P], `logits` [P, vocab] of the whole prefill, `greedy` [64], the argmax continuation, and `gaps`
[64], by how much each was ahead of the next. transformers does not know `attn_factor`: for `qwen3` these are of the model whose
`attention_factor` is what `attn_factor` asks for, and `theirs` [P, vocab] are the logits of config.json as transformers reads it. For
`blocks` they are of a model in f32 that has the values which the FP8 matrices stand for.

`bf16.json` holds, for a checkpoint in bf16 of each family, how far transformers' own logits are from `logits` when it computes in bf16:
the mean square of the difference, by that of the logits. `make.py [folder] bf16` writes it anew for the checkpoints that are there.
"""

import json
import math
import pathlib
import shutil
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
import transformers

BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"
VOCAB = 320
# What the tokenizer is trained on: it must not change, or the ids in the tests do.
CORPUS = """Makes the reference checkpoints of this folder and what Hugging Face transformers computes on them, in f32 on the CPU.

    python3 -m venv v && v/bin/pip install torch transformers safetensors tokenizers numpy
    v/bin/python make.py [folder]

Apart from the tests because it needs Python and torch; what it writes is committed, so that the tests need neither. It must not
know how the engine computes. Each checkpoint is random (weights, biases and norms), with a byte-level BPE tokenizer of 320 tokens:

    untied    f32, 3 query heads a key head, output matrix of its own, bias and norm random, greedy generation_config
    tied      bf16, 4 query heads on 1 key head, output = embedding, two shards with an index, sampling generation_config
    wide      f16, as many key heads as query heads, head_dim that is not hidden / heads, rope_theta 10000

`expected.safetensors` holds `prompt` [P], `logits` [P, vocab] of the whole prefill and `greedy` [64], the argmax continuation.
"""
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ '<｜Assistant｜>' + message['content'].split('</think>')[-1].strip() + eos_token }}"
    "{% else %}{{ raise_exception('no such role: ' + message['role']) }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)
CHECKPOINTS = {
    "untied": dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                   rope_theta=1000000.0, tie_word_embeddings=False, rms_norm_eps=1e-6),
    "tied": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                 rope_theta=10000.0, tie_word_embeddings=True, rms_norm_eps=1e-6),
    "wide": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=3,
                 head_dim=16, rope_theta=10000.0, tie_word_embeddings=False, rms_norm_eps=1e-5),
    "yarn": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                 tie_word_embeddings=False, rms_norm_eps=1e-6,
                 rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=32,
                                      beta_fast=4.0, beta_slow=0.5, mscale=1.2, mscale_all_dim=0.7, truncate=False)),
    "llama": dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
                  tie_word_embeddings=False, rms_norm_eps=1e-5,
                  rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=32)),
    "linear": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                   tie_word_embeddings=True, rms_norm_eps=1e-6, attention_bias=True, mlp_bias=True,
                   rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
    "qwen3": dict(hidden_size=40, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                  tie_word_embeddings=False, rms_norm_eps=1e-6,
                  rope_parameters=dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=32,
                                       attn_factor=0.8782488562869419)),
    "normed": dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, head_dim=16,
                   tie_word_embeddings=True, rms_norm_eps=1e-6, attention_bias=True,
                   rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
    "latent": dict(hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
                   q_lora_rank=24, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12, first_k_dense_replace=1,
                   moe_intermediate_size=24, n_shared_experts=1, n_routed_experts=16, num_experts_per_tok=4, n_group=4, topk_group=2,
                   norm_topk_prob=True, routed_scaling_factor=2.5, attention_bias=True, tie_word_embeddings=False, rms_norm_eps=1e-3,
                   rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=32,
                                        beta_fast=4.0, beta_slow=0.5, mscale=1.2, mscale_all_dim=0.7)),
    "blocks": dict(hidden_size=144, intermediate_size=200, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                   q_lora_rank=None, kv_lora_rank=40, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=24, first_k_dense_replace=1,
                   moe_intermediate_size=40, n_shared_experts=2, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
                   norm_topk_prob=False, routed_scaling_factor=1.5, rope_interleave=False, attention_bias=True,
                   tie_word_embeddings=True, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
}
FAMILIES = {"llama": "llama", "linear": "llama", "qwen3": "qwen3", "normed": "qwen3", "latent": "deepseek_v3", "blocks": "deepseek_v3"}
DTYPES = {"tied": torch.bfloat16, "wide": torch.float16, "llama": torch.bfloat16, "linear": torch.float16, "qwen3": torch.bfloat16,
          "latent": torch.bfloat16, "blocks": torch.bfloat16}
BLOCK = 128
PROMPT = "What is 47 + 85? Größe, 数学 und 🙂: the quick brown fox."


def tokenizer(folder):
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 6, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    raw.train_from_iterator([CORPUS] * 3, trainer)
    raw.add_special_tokens([BOS, EOS])
    from tokenizers import AddedToken
    raw.add_tokens([AddedToken(t, normalized=False) for t in (USER, ASSISTANT, "<think>", "</think>")])
    assert raw.get_vocab_size() == VOCAB, raw.get_vocab_size()
    raw.save(str(folder / "tokenizer.json"))
    config = {"bos_token": {"content": BOS}, "eos_token": {"content": EOS}, "add_bos_token": True, "model_max_length": 512,
              "tokenizer_class": "LlamaTokenizerFast", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n")
    return raw


def randomise(model):
    for name, weight in model.named_parameters():
        if "norm" in name:
            weight.data = 1.0 + 0.3 * torch.randn_like(weight)
        elif name.endswith("bias"):
            weight.data = 0.5 * torch.randn_like(weight)
        elif "embed" in name or "lm_head" in name:
            weight.data = 0.4 * torch.randn_like(weight)
        else:
            weight.data = torch.randn_like(weight) * 1.5 / weight.shape[-1] ** 0.5


def randomise_routers(model):
    """Their biases are f32 whatever the rest is; most scores become negative by them."""
    for module in model.modules():
        if hasattr(module, "e_score_correction_bias"):
            bias = 0.3 * torch.randn(module.e_score_correction_bias.shape) - 1.0
            module.e_score_correction_bias = torch.nn.Buffer(bias)


def add_layer_behind(folder, layer):
    """Tensors for predicting several tokens at once, as R1 has them: who reads one computes no numbers."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    names = ("embed_tokens", "enorm", "hnorm", "eh_proj", "shared_head.norm", "shared_head.head", "self_attn.q_a_proj", "mlp.gate")
    for name in names:
        tensors[f"model.layers.{layer}.{name}.weight"] = torch.full((4, 4), math.nan, dtype=torch.bfloat16)
    save_file(tensors, file, {"format": "pt"})


def in_blocks(folder, into):
    """Makes the layers' matrices FP8, each block with the scale that makes the most of it, and writes the values to another folder."""
    tensors = load_file(folder / "model.safetensors")
    values = {name: tensor.float() for name, tensor in tensors.items()}
    for name, matrix in list(values.items()):
        if matrix.ndim != 2 or ".layers." not in name or ".gate." in name:
            continue
        (rows, columns), bands = matrix.shape, matrix.split(BLOCK, 0)
        scales = torch.stack([torch.stack([block.abs().max() / 448.0 for block in band.split(BLOCK, 1)]) for band in bands])
        spread = scales.repeat_interleave(BLOCK, 0)[:rows].repeat_interleave(BLOCK, 1)[:, :columns]
        tensors[name] = (matrix / spread).to(torch.float8_e4m3fn)
        tensors[name + "_scale_inv"] = scales
        values[name] = tensors[name].float() * spread
    shutil.copy(folder / "config.json", into)
    save_file(values, into / "model.safetensors", {"format": "pt"})
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                     "weight_block_size": [BLOCK, BLOCK]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def make(root, name, seed):
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    raw = tokenizer(folder)
    bos, eos = raw.token_to_id(BOS), raw.token_to_id(EOS)
    torch.manual_seed(seed)
    family = FAMILIES.get(name, "qwen2")
    window = dict(use_sliding_window=False) if family.startswith("qwen") else {}
    config = AutoConfig.for_model(family, vocab_size=VOCAB, max_position_embeddings=512, bos_token_id=bos, eos_token_id=eos, **window,
                                  **CHECKPOINTS[name])
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomise(model)
    model.tie_weights()
    model = model.to(DTYPES.get(name, torch.float32))
    randomise_routers(model)
    greedy = dict(do_sample=False) if name == "untied" else dict(do_sample=True, temperature=0.6, top_p=0.95)
    model.generation_config = GenerationConfig(bos_token_id=bos, eos_token_id=eos, **greedy)
    transformers.logging.disable_progress_bar()
    model.save_pretrained(folder, max_shard_size="40KB" if name == "tied" else "5GB")
    if name == "latent":
        add_layer_behind(folder, config.num_hidden_layers)
    with tempfile.TemporaryDirectory() as values:
        if name == "blocks":
            in_blocks(folder, pathlib.Path(values))
        expect(folder, values if name == "blocks" else folder, raw)


def honour_attn_factor(rope):
    if "attn_factor" in rope:
        rope["attention_factor"] = rope["attn_factor"] * (0.1 * math.log(rope["factor"]) + 1.0)


def expect(folder, values, raw):
    """Writes what transformers computes with the weights in `values`."""
    theirs = AutoModelForCausalLM.from_pretrained(values, dtype=torch.float32, attn_implementation="eager").eval()
    config = AutoConfig.from_pretrained(values)
    rope = config.rope_parameters
    honour_attn_factor(rope)
    model = AutoModelForCausalLM.from_pretrained(values, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    prompt = raw.encode(BOS + USER + PROMPT + ASSISTANT + "<think>\n", add_special_tokens=False).ids
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
        ids, gaps = list(prompt), []
        for _ in range(64):
            top = model(torch.tensor([ids])).logits[0, -1].topk(2)
            gaps.append(float(top.values[0] - top.values[1]))
            ids.append(int(top.indices[0]))
    greedy = ids[len(prompt):]
    expected = {"prompt": torch.tensor(prompt), "logits": logits.contiguous(), "greedy": torch.tensor(greedy),
                "gaps": torch.tensor(gaps)}
    if "attn_factor" in rope:
        with torch.no_grad():
            expected["theirs"] = theirs(torch.tensor([prompt])).logits[0].contiguous()
    save_file(expected, folder / "expected.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    print(folder.name, "prompt", len(prompt), "logits", f"{logits.abs().max():.2f}", "least gap", f"{min(gaps):.4f}",
          "distinct", len(set(greedy)), "eos" if raw.token_to_id(EOS) in greedy else "")


def bf16(root):
    """How much transformers loses in bf16."""
    lost = {}
    for name in ("tied", "llama", "qwen3", "latent"):
        expected = load_file(root / name / "expected.safetensors")
        config = AutoConfig.from_pretrained(root / name)
        honour_attn_factor(config.rope_parameters)
        model = AutoModelForCausalLM.from_pretrained(root / name, config=config, dtype=torch.bfloat16, attn_implementation="eager").eval()
        with torch.no_grad():
            logits = model(expected["prompt"][None]).logits[0].double()
        lost[name] = float(f"{((logits - expected['logits']) ** 2).sum() / (expected['logits'].double() ** 2).sum():.3e}")
    (root / "bf16.json").write_text(json.dumps(lost, indent=1) + "\n")
    print("bf16", lost)


def check_template(folder):
    hub = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), bos_token=BOS, eos_token=EOS, chat_template=TEMPLATE)
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "<think>hm</think>\n\nHello"}, {"role": "user", "content": "Bye"}]
    text = hub.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    (folder / "rendered.txt").write_text(text)


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    print("transformers", transformers.__version__, "torch", torch.__version__)
    for seed, name in enumerate(CHECKPOINTS):
        if name in (sys.argv[2:] or CHECKPOINTS):
            make(root, name, 50 + seed)
    if sys.argv[2:] in ([], ["bf16"]):
        bf16(root)
    if (root / "untied").exists():
        check_template(root / "untied")
