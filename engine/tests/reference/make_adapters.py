"""Makes the adapters of this folder and what PEFT computes with them on the reference checkpoints, in f32 on the CPU.

    python3 -m venv v && v/bin/pip install torch transformers peft safetensors tokenizers numpy gguf
    v/bin/python make_adapters.py [name]...

Apart from make.py because it needs PEFT; what it writes is committed. It must not know how the engine computes. Each adapter is random, its
matrices B too, and as PEFT saves it:

    untied    of `untied` (f32): a list of modules, rank and alpha of some by pattern
    tied      of `tied` (bf16), two of them: `tied` changes attention of one layer alone (layers_to_transform), in bf16; `tied-head` all
              that is linear by an expression, and the output matrix, which the model shares with its embedding; rank-stabilised
    llama     of `llama` (bf16): `all-linear`
    normed    of `normed` (qwen3, f32): a list that an exclusion takes from
    latent    of `latent` (deepseek_v3, bf16): all of latent attention, what is absorbed among it, and every feed-forward part; experts,
              which are no modules in transformers any more, have tensors as older ones wrote them, and are changed in the model itself
    llama-gguf  of `gguf/llama.gguf` (blocks of 4 bits and others; its rows of queries and keys lie otherwise in the file)

`expected.safetensors` beside each holds `logits` [P, vocab] of the whole prompt of its checkpoint and `greedy` [64].
"""

import json
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import transformers_weight_conversion
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

import make_gguf

ROOT = pathlib.Path(__file__).parent
QKVO = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "untied": ("untied", dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "up_proj", "model.layers.1.mlp.down_proj"],
                              rank_pattern={r"layers\.1\.self_attn\.q_proj": 3, "up_proj": 2}, alpha_pattern={"v_proj": 9})),
    "tied": ("tied", dict(r=2, lora_alpha=5, target_modules=QKVO, layers_to_transform=[1])),
    "tied-head": ("tied", dict(r=4, lora_alpha=4, use_rslora=True, target_modules=r"lm_head|model\.layers\.\d+\..*_proj")),
    "llama": ("llama", dict(r=3, lora_alpha=4, target_modules="all-linear")),
    "normed": ("normed", dict(r=5, lora_alpha=5, target_modules=QKVO + MLP, exclude_modules=["k_proj", "model.layers.0.mlp.up_proj"])),
    "latent": ("latent", dict(r=4, lora_alpha=6, target_modules=r"model\.layers\..*_proj(_with_mqa)?")),
    "llama-gguf": ("gguf/llama.gguf", dict(r=3, lora_alpha=4, target_modules=QKVO + MLP)),
}
STRENGTH = 0.5


def open_base(base):
    """The model in f32, and what make.py or make_gguf.py wrote of it."""
    path = ROOT / base
    where = {}
    if path.suffix:
        # transformers reads weights of such a file, but not how its positions are scaled.
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        config = AutoConfig.for_model(path.stem, vocab_size=config.vocab_size, max_position_embeddings=512,
                                      rope_parameters=dict(make_gguf.ROPE[path.stem]), **make_gguf.SHAPES[path.stem])
        where = dict(gguf_file=path.name, config=config)
    model = AutoModelForCausalLM.from_pretrained(path.parent if where else path, dtype=torch.float32, attn_implementation="eager", **where)
    return model.eval(), load_file(path.with_suffix(".safetensors") if where else path / "expected.safetensors")


def randomise(model):
    for name, weight in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            weight.data = STRENGTH * torch.randn_like(weight) / weight.shape[-1] ** 0.5


def change_experts(model, r, alpha):
    """Adds to every expert's matrices what an adapter would, and gives the adapter's tensors."""
    tensors = {}
    for layer, block in enumerate(model.model.layers):
        experts = getattr(block.mlp, "experts", None)
        if experts is None:
            continue
        inner = experts.down_proj.shape[-1]
        for i in range(experts.down_proj.shape[0]):
            for part, of in (("gate_proj", experts.gate_up_proj[i, :inner]), ("up_proj", experts.gate_up_proj[i, inner:]),
                             ("down_proj", experts.down_proj[i])):
                down, up = torch.randn(r, of.shape[1]) / of.shape[1] ** 0.5, STRENGTH * torch.randn(of.shape[0], r) / r ** 0.5
                of.data += up @ down * (alpha / r)
                name = f"base_model.model.model.layers.{layer}.mlp.experts.{i}.{part}"
                tensors |= {f"{name}.lora_A.weight": down.contiguous(), f"{name}.lora_B.weight": up.contiguous()}
    return tensors


# It would have experts' parameters changed (`target_parameters`) wherever a feed-forward part is named.
transformers_weight_conversion._convert_peft_config_moe = lambda config, model: None


def make(name, seed):
    base, config = ADAPTERS[name]
    folder = ROOT / "adapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    model, plain = open_base(base)
    prompt = plain["prompt"].tolist()
    with torch.no_grad():
        assert (model(torch.tensor([prompt])).logits[0] - plain["logits"]).abs().max() < 5e-5, "another model"
    experts = change_experts(model, config["r"], config["lora_alpha"]) if base == "latent" else {}
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **config)).eval()
    randomise(model)
    if name == "tied":
        for parameter, weight in model.named_parameters():
            weight.data = weight.data.bfloat16().float() if "lora" in parameter else weight.data
    model.save_pretrained(folder, save_embedding_layers=False)
    file = folder / "adapter_model.safetensors"
    tensors = {key: tensor.bfloat16() if name == "tied" else tensor for key, tensor in load_file(file).items()} | experts
    save_file(tensors, file, {"format": "pt"})
    (folder / "README.md").unlink()
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = base
    # PEFT writes sets, in any order; and `all-linear` as what it came to.
    for key, value in settings.items():
        settings[key] = sorted(value) if isinstance(value, list) else value
    if config["target_modules"] == "all-linear":
        settings["target_modules"] = "all-linear"
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
        ids, gaps = list(prompt), []
        for _ in range(64):
            top = model(torch.tensor([ids])).logits[0, -1].topk(2)
            gaps.append(float(top.values[0] - top.values[1]))
            ids.append(int(top.indices[0]))
    expected = {"logits": logits.contiguous(), "greedy": torch.tensor(ids[len(prompt):]), "gaps": torch.tensor(gaps)}
    save_file(expected, folder / "expected.safetensors")
    for made in folder.iterdir():
        made.chmod(0o644)
    print(name, "tensors", len(tensors), "changes logits by", f"{(logits - plain['logits']).abs().mean():.2f}", "least gap", f"{min(gaps):.4f}")


if __name__ == "__main__":
    for seed, name in enumerate(ADAPTERS):
        if name in (sys.argv[1:] or ADAPTERS):
            make(name, 70 + seed)
