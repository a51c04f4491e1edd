//! Adapters as PEFT writes them: which modules are meant, what is refused, by which names.

use super::*;
use crate::fixtures::adapter;
use crate::layers::decoder::Decoder;
use crate::models::blueprint;

/// A copy of an adapter to spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(adapter(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// Says in adapter_config.json something else of these fields.
fn say(folder: &Path, fields: serde_json::Value) {
    let file = folder.join("adapter_config.json");
    let mut all: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    std::fs::write(file, all.to_string()).unwrap();
}

fn opened(fields: serde_json::Value) -> Result<Adapter, String> {
    let folder = copy("untied");
    say(folder.path(), fields);
    Adapter::open(folder.path()).map_err(|e| e.to_string())
}

#[test]
fn modules_are_named_as_peft_names_them() {
    let targets = |fields, module: &str| opened(fields).unwrap().config.targets(module);
    let attention = |layer: usize, part: &str| format!("model.layers.{layer}.self_attn.{part}");
    let list = serde_json::json!({"target_modules": ["q_proj", "model.layers.1.mlp.up_proj"]});
    assert!(targets(list.clone(), &attention(0, "q_proj")) && !targets(list.clone(), &attention(0, "k_proj")));
    assert!(!targets(list.clone(), "model.layers.0.mlp.up_proj") && targets(list.clone(), "model.layers.1.mlp.up_proj"));
    assert!(!targets(serde_json::json!({"target_modules": ["proj"]}), &attention(0, "q_proj")), "a part of a name");
    let pattern = serde_json::json!({"target_modules": r"model\.layers\.[12]\..*\.(q|v)_proj"});
    assert!(targets(pattern.clone(), &attention(1, "v_proj")) && !targets(pattern.clone(), &attention(0, "v_proj")));
    assert!(!targets(serde_json::json!({"target_modules": "q_proj"}), &attention(1, "q_proj")), "an expression fits whole names");
    let all = serde_json::json!({"target_modules": "all-linear"});
    assert!(targets(all.clone(), &attention(0, "o_proj")) && !targets(all, "lm_head"));
    let layers = serde_json::json!({"target_modules": ["q_proj", "model.layers.0.mlp.up_proj"], "layers_to_transform": [1, 12]});
    assert!(targets(layers.clone(), &attention(12, "q_proj")) && !targets(layers.clone(), &attention(2, "q_proj")));
    assert!(targets(layers, "model.layers.0.mlp.up_proj"), "named whole, it is of any layer");
    let one = serde_json::json!({"target_modules": ["gate_proj"], "layers_to_transform": 1, "layers_pattern": "layers"});
    assert!(targets(one.clone(), "model.layers.1.mlp.experts.0.gate_proj"));
    assert!(!targets(one, "model.layers.0.mlp.experts.1.gate_proj"), "an expert's number is no layer's");
    let but = serde_json::json!({"target_modules": "all-linear", "exclude_modules": ["k_proj"]});
    assert!(targets(but.clone(), &attention(0, "q_proj")) && !targets(but, &attention(0, "k_proj")));
}

#[test]
fn ranks_and_scales_are_the_modules_own() {
    let adapter =
        opened(serde_json::json!({"r": 4, "lora_alpha": 6, "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 3, "up_proj": 2},
                                            "alpha_pattern": {"v_proj": 9}}));
    let of = |module| adapter.as_ref().unwrap().config.rank_and_scale(module);
    assert_eq!(of("model.layers.0.self_attn.q_proj"), (4, 1.5));
    assert_eq!(of("model.layers.1.self_attn.q_proj"), (3, 2.0));
    assert_eq!(of("model.layers.0.mlp.up_proj"), (2, 3.0));
    assert_eq!(of("model.layers.0.self_attn.v_proj"), (4, 2.25));
    let root = opened(serde_json::json!({"r": 16, "lora_alpha": 8, "use_rslora": true, "rank_pattern": {}, "alpha_pattern": {}}));
    assert_eq!(root.unwrap().config.rank_and_scale("lm_head"), (16, 2.0));
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (fields, name) in [
        (serde_json::json!({"use_dora": true}), "use_dora is not supported"),
        (serde_json::json!({"modules_to_save": ["lm_head"]}), "modules_to_save is not supported"),
        (serde_json::json!({"bias": "all"}), "bias `all`"),
        (serde_json::json!({"lora_bias": true}), "lora_bias is not supported"),
        (serde_json::json!({"fan_in_fan_out": true}), "fan_in_fan_out"),
        (serde_json::json!({"peft_type": "IA3"}), "peft_type `IA3`"),
        (serde_json::json!({"target_parameters": ["mlp.experts.gate_up_proj"]}), "target_parameters is not supported"),
        (serde_json::json!({"trainable_token_indices": [1]}), "trainable_token_indices is not supported"),
        (serde_json::json!({"layer_replication": [[0, 1]]}), "layer_replication is not supported"),
        (serde_json::json!({"init_lora_weights": "pissa_niter_4"}), "pissa_niter_4"),
        (serde_json::json!({"what_comes_next": 1}), "what_comes_next is not supported"),
        (serde_json::json!({"target_modules": "(?!q)_proj"}), "target_modules: "),
        (serde_json::json!({"target_modules": "q_proj", "layers_to_transform": [1]}), "layers_to_transform"),
        (serde_json::json!({"r": 0}), "r is 0"),
    ] {
        let said = opened(fields).err().unwrap();
        assert!(said.contains("adapter_config.json: ") && said.contains(name), "{said}");
    }
    for idle in [serde_json::json!({"init_lora_weights": "gaussian"}), serde_json::json!({"lora_dropout": 0.1, "revision": "main"})]
    {
        opened(idle).unwrap();
    }
}

/// What the model `untied` says of an adapter in that folder.
fn beside_its_model(folder: &Path) -> Result<(), String> {
    let files = crate::fixtures::reference("untied");
    let weights = Weights::open(&files).unwrap().adapted(vec![Adapter::open(folder).map_err(|e| e.to_string())?]);
    let blueprint = blueprint(&files, Default::default()).unwrap();
    Decoder::<burn::backend::Flex>::load(&blueprint, &weights, &Default::default()).map(drop).map_err(|e| e.to_string())
}

#[test]
fn what_does_not_fit_the_model_is_refused_with_its_file_and_tensor() {
    let folder = copy("untied");
    beside_its_model(folder.path()).unwrap();
    let file = folder.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    for (fields, said) in [
        (
            serde_json::json!({"rank_pattern": {}}),
            "up_proj.lora_A.weight` has shape [2, 48]; the model and adapter_config.json ask for [4, 48]",
        ),
        (
            serde_json::json!({"target_modules": ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]}),
            "k_proj.lora_A.weight` is missing in",
        ),
        (serde_json::json!({"target_modules": ["q_proj", "up_proj"]}), "lora_A.weight` belongs to no matrix"),
    ] {
        let folder = copy("untied");
        say(folder.path(), fields);
        let told = beside_its_model(folder.path()).unwrap_err();
        assert!(told.contains(FILE) && told.contains("tensor `base_model.model.model.layers.") && told.contains(said), "{told}");
    }
    std::fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    assert!(beside_its_model(folder.path()).unwrap_err().contains("cut short"));
    let at = whole.windows(5).position(|w| w == b"\"F32\"").unwrap();
    let mut typed = whole.clone();
    typed[at..at + 5].copy_from_slice(b"\"I32\"");
    std::fs::write(&file, typed).unwrap();
    assert!(beside_its_model(folder.path()).unwrap_err().contains("is I32; adapters are"));
    let mut renamed = whole.clone();
    let at = whole.windows(6).position(|w| w == b"lora_B").unwrap();
    renamed[at..at + 6].copy_from_slice(b"lora_C");
    std::fs::write(&file, renamed).unwrap();
    assert!(beside_its_model(folder.path()).unwrap_err().contains("lora_B.weight` is missing in"));
    std::fs::rename(&file, folder.path().join("adapter_model.bin")).unwrap();
    assert!(beside_its_model(folder.path()).unwrap_err().contains("adapter_model.bin is pickled Python"));
}

#[test]
fn memory_is_counted_as_adapters_are_held() {
    let [untied, tied] = ["untied", "tied"].map(|name| Adapter::open(&adapter(name)).unwrap());
    let numbers = |name: &str| {
        let adapter = Adapter::open(&crate::fixtures::adapter(name)).unwrap();
        adapter.weights.tensors.values().map(|(_, info)| info.shape.iter().product::<usize>() as u64).sum::<u64>()
    };
    assert_eq!((untied.needed(Keep::AsStored), untied.needed(Keep::Values)), (4 * numbers("untied"), 4 * numbers("untied")));
    assert_eq!((tied.needed(Keep::AsStored), tied.needed(Keep::Values)), (2 * numbers("tied"), 4 * numbers("tied")));
    // Three layers of 4 heads of 16 and 12 on 32, which are kept with it and without.
    let latent = Adapter::open(&adapter("latent")).unwrap();
    assert_eq!(latent.needed(Keep::Values), 4 * numbers("latent") + 3 * 4 * 4 * 28 * 32);
}
