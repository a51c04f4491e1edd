//! DeepSeek-V3, the architecture of DeepSeek-R1 (<https://arxiv.org/abs/2412.19437>): latent attention, and from some layer on experts that
//! a router chooses by group. What comes behind the last layer, for predicting several tokens at once, is not read.
//!
//! Apart because it is one family. It must not know weights or requests.

use serde::Deserialize;

use super::{Defaults, Family, plain};
use crate::config::{MOST, ModelConfig};
use crate::layers::Bias;
use crate::layers::decoder::{Biases, Blueprint, Shape};
use crate::layers::experts::{Choice, Mixture, Weighing};
use crate::layers::mla::{Latent, Pairs};
use crate::options::YarnReading;

/// As `DeepseekV3ForCausalLM` of Hugging Face transformers.
pub(super) const FAMILY: Family = Family { model_type: "deepseek_v3", blueprint };

/// The fields of config.json that only this family has.
#[derive(Deserialize)]
#[serde(default)]
struct Own {
    q_lora_rank: Option<usize>,
    kv_lora_rank: usize,
    qk_nope_head_dim: usize,
    qk_rope_head_dim: usize,
    v_head_dim: usize,
    rope_interleave: bool,
    first_k_dense_replace: usize,
    moe_layer_freq: usize,
    moe_intermediate_size: usize,
    n_shared_experts: usize,
    n_routed_experts: usize,
    num_experts_per_tok: usize,
    n_group: usize,
    topk_group: usize,
    scoring_func: String,
    topk_method: String,
    norm_topk_prob: bool,
    routed_scaling_factor: f64,
}

/// What transformers takes where config.json says nothing.
impl Default for Own {
    fn default() -> Self {
        Self {
            q_lora_rank: Some(1536),
            kv_lora_rank: 512,
            qk_nope_head_dim: 128,
            qk_rope_head_dim: 64,
            v_head_dim: 128,
            rope_interleave: true,
            first_k_dense_replace: 3,
            moe_layer_freq: 1,
            moe_intermediate_size: 2048,
            n_shared_experts: 1,
            n_routed_experts: 256,
            num_experts_per_tok: 8,
            n_group: 8,
            topk_group: 4,
            scoring_func: "sigmoid".to_owned(),
            topk_method: "noaux_tc".to_owned(),
            norm_topk_prob: true,
            routed_scaling_factor: 2.5,
        }
    }
}

fn blueprint(config: &ModelConfig, yarn: YarnReading) -> Result<Blueprint, String> {
    let own: Own = config.own()?;
    own.check()?;
    let defaults = Defaults { positions: 4096, head_dim: own.qk_rope_head_dim };
    let attention = Shape::Latent(own.latent(config, defaults.positions)?);
    let mixture = Some(own.mixture()?);
    let biases = Biases { qkv: config.attention_bias, out: config.attention_bias, mlp: Bias::No };
    Ok(Blueprint { attention, mixture, biases, ..plain(config, &defaults, yarn)? })
}

impl Own {
    /// No size is more than any model has, so that products of them are numbers.
    fn check(&self) -> Result<(), String> {
        let sizes = [
            self.q_lora_rank.unwrap_or_default(),
            self.kv_lora_rank,
            self.qk_nope_head_dim,
            self.qk_rope_head_dim,
            self.v_head_dim,
            self.first_k_dense_replace,
            self.moe_intermediate_size,
            self.n_shared_experts,
            self.n_routed_experts,
            self.num_experts_per_tok,
            self.n_group,
            self.topk_group,
        ];
        match sizes.iter().find(|size| **size > MOST) {
            Some(size) => Err(format!("a size of {size} is more than any model has")),
            None => Ok(()),
        }
    }

    fn latent(&self, config: &ModelConfig, positions: usize) -> Result<Latent, String> {
        let heads = config.num_attention_heads;
        let sizes = [self.kv_lora_rank, self.qk_nope_head_dim, self.qk_rope_head_dim, self.v_head_dim];
        if sizes.contains(&0) || self.q_lora_rank == Some(0) {
            return Err("a size of attention is 0".to_owned());
        }
        if !self.qk_rope_head_dim.is_multiple_of(2) {
            return Err(format!("qk_rope_head_dim {} is odd", self.qk_rope_head_dim));
        }
        if let Some(keys) = config.num_key_value_heads.filter(|keys| *keys != heads) {
            return Err(format!("{heads} heads on {keys} key heads: latent attention has as many of both"));
        }
        let width = (self.qk_nope_head_dim + self.qk_rope_head_dim) as f64;
        let positions = config.max_position_embeddings.unwrap_or(positions);
        Ok(Latent {
            heads,
            query_rank: self.q_lora_rank,
            rank: self.kv_lora_rank,
            plain: self.qk_nope_head_dim,
            turned: self.qk_rope_head_dim,
            value: self.v_head_dim,
            scale: config.rope().score_scale(positions) / width.sqrt(),
            pairs: if self.rope_interleave { Pairs::Neighbours } else { Pairs::Halves },
        })
    }

    fn mixture(&self) -> Result<Mixture, String> {
        if self.scoring_func != "sigmoid" {
            return Err(format!("scoring_func `{}` is not supported", self.scoring_func));
        }
        if self.topk_method != "noaux_tc" {
            return Err(format!("topk_method `{}` is not supported", self.topk_method));
        }
        if self.moe_layer_freq != 1 {
            return Err(format!("moe_layer_freq {} is not supported", self.moe_layer_freq));
        }
        if [self.moe_intermediate_size, self.n_shared_experts, self.num_experts_per_tok].contains(&0) {
            return Err("a size of experts is 0".to_owned());
        }
        let (experts, groups, open, chosen) = (self.n_routed_experts, self.n_group, self.topk_group, self.num_experts_per_tok);
        let fits = groups > 0 && experts.is_multiple_of(groups) && experts / groups >= 2;
        if !fits || open > groups || chosen > open * (experts / groups) {
            return Err(format!("{chosen} of {experts} experts, from {open} of {groups} groups, do not fit"));
        }
        Ok(Mixture {
            dense_layers: self.first_k_dense_replace,
            experts,
            inner: self.moe_intermediate_size,
            shared: self.moe_intermediate_size * self.n_shared_experts,
            choice: Choice {
                groups,
                open_groups: open,
                chosen,
                weights: if self.norm_topk_prob { Weighing::Shares } else { Weighing::Scores },
                factor: self.routed_scaling_factor as f32,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::options::ModelFiles;

    /// What the config.json of DeepSeek-R1 says.
    const R1: &str = r#"{
        "model_type": "deepseek_v3", "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128, "max_position_embeddings": 163840, "rms_norm_eps": 1e-06,
        "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "first_k_dense_replace": 3, "moe_layer_freq": 1, "moe_intermediate_size": 2048, "n_shared_experts": 1, "n_routed_experts": 256,
        "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
        "norm_topk_prob": true, "routed_scaling_factor": 2.5, "hidden_act": "silu", "tie_word_embeddings": false,
        "attention_bias": false, "num_nextn_predict_layers": 1, "ep_size": 1, "rope_theta": 10000,
        "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
                         "original_max_position_embeddings": 4096, "type": "yarn"},
        "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}}"#;

    fn read(json: &str) -> Result<Blueprint, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(config::FILE), json).unwrap();
        let files = ModelFiles::Folder(Path::new(folder.path()).to_owned());
        super::super::blueprint(&files, YarnReading::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn r1_keeps_576_values_a_token_and_layer() {
        let blueprint = read(R1).unwrap();
        assert_eq!(blueprint.cached_values(), 61 * 576);
        assert_eq!(blueprint.context, 163_840);
        let (Shape::Latent(latent), Some(mixture)) = (blueprint.attention, blueprint.mixture) else { panic!() };
        let mscale = 0.1 * 40f64.ln() + 1.0;
        assert!((latent.scale - mscale * mscale / 192f64.sqrt()).abs() < 1e-12);
        assert_eq!((mixture.dense_layers, mixture.experts, mixture.inner, mixture.shared), (3, 256, 2048, 2048));
        assert_eq!((latent.query_rank, latent.pairs), (Some(1536), Pairs::Neighbours));
    }

    #[test]
    fn queries_may_be_whole_and_what_is_left_out_is_as_in_transformers() {
        let rank = |json: String| match read(&json).unwrap().attention {
            Shape::Latent(latent) => latent.query_rank,
            Shape::Grouped(_) => None,
        };
        assert_eq!(rank(R1.replace(r#""q_lora_rank": 1536"#, r#""q_lora_rank": null"#)), None);
        assert_eq!(rank(R1.replace(r#""q_lora_rank": 1536,"#, "")), Some(1536));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (was, is, name) in [
            (r#""sigmoid""#, r#""softmax""#, "scoring_func `softmax`"),
            (r#""noaux_tc""#, r#""greedy""#, "topk_method `greedy`"),
            (r#""moe_layer_freq": 1"#, r#""moe_layer_freq": 2"#, "moe_layer_freq 2"),
            (r#""n_group": 8"#, r#""n_group": 7"#, "7 groups"),
            (r#""n_group": 8"#, r#""n_group": 256"#, "256 groups"),
            (r#""num_experts_per_tok": 8"#, r#""num_experts_per_tok": 129"#, "129 of 256"),
            (r#""num_key_value_heads": 128"#, r#""num_key_value_heads": 8"#, "8 key heads"),
            (r#""kv_lora_rank": 512"#, r#""kv_lora_rank": 0"#, "size of attention"),
            (r#""qk_rope_head_dim": 64"#, r#""qk_rope_head_dim": 63"#, "qk_rope_head_dim 63"),
            (r#""kv_lora_rank": 512"#, r#""kv_lora_rank": 1048577"#, "size of 1048577"),
            (r#""q_lora_rank": 1536"#, r#""q_lora_rank": 18446744073709551615"#, "size of 18446744073709551615"),
            (r#""v_head_dim": 128"#, r#""v_head_dim": 18446744073709551615"#, "size of 18446744073709551615"),
            (r#""qk_nope_head_dim": 128"#, r#""qk_nope_head_dim": 18446744073709551615"#, "size of 18446744073709551615"),
            (r#""n_shared_experts": 1"#, r#""n_shared_experts": 18446744073709551615"#, "size of 18446744073709551615"),
            (r#""topk_group": 4"#, r#""topk_group": 18446744073709551615"#, "size of 18446744073709551615"),
            (r#""quant_method": "fp8""#, r#""quant_method": "gptq""#, "`gptq`"),
        ] {
            let said = read(&R1.replace(was, is)).unwrap_err();
            assert!(said.contains("config.json") && said.contains(name), "{said}");
        }
    }
}
