//! Matrices in FP8 (e4m3) with a scale for each block, as DeepSeek-V3 and R1 are published: how config.json says so, and their values.
//!
//! Apart because it is one format. It must not know tensors' names or what they are for.

use serde::Deserialize;

/// Size of the blocks that share a scale; those at a matrix's edges may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scheme")]
pub(crate) struct Blocks {
    rows: usize,
    columns: usize,
}

/// `quantization_config` of config.json.
#[derive(Deserialize)]
struct Scheme {
    quant_method: Option<String>,
    fmt: Option<String>,
    activation_scheme: Option<String>,
    weight_block_size: Option<Vec<usize>>,
}

impl TryFrom<Scheme> for Blocks {
    type Error = String;

    fn try_from(scheme: Scheme) -> Result<Self, String> {
        let method = scheme.quant_method.as_deref().unwrap_or("of no name");
        let fault = |what: String| {
            let how = "this engine reads bf16, f16, f32, and fp8 (e4m3) with weight_block_size";
            Err(format!("quantization_config (`{method}`) {what}is not supported; {how}"))
        };
        if method != "fp8" {
            return fault(String::new());
        }
        if let Some(format) = scheme.fmt.filter(|format| format != "e4m3") {
            return fault(format!("with fmt `{format}` "));
        }
        // Activations stay as they are here, so that how they would be scaled step by step does not matter; scales that come with
        // the checkpoint would.
        if let Some(how) = scheme.activation_scheme.filter(|how| how != "dynamic") {
            return fault(format!("with activation_scheme `{how}` "));
        }
        match scheme.weight_block_size.as_deref() {
            Some([rows, columns]) if *rows > 0 && *columns > 0 => Ok(Self { rows: *rows, columns: *columns }),
            Some(other) => fault(format!("with weight_block_size {other:?} ")),
            None => fault("without weight_block_size ".to_owned()),
        }
    }
}

impl Blocks {
    /// Shape of the scales of a matrix.
    pub(super) fn scales(self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        [rows.div_ceil(self.rows), columns.div_ceil(self.columns)]
    }

    /// A matrix's values: each times the scale of its block.
    pub(super) fn values(self, bytes: &[u8], columns: usize, scales: &[f32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(bytes.len());
        let table = &E4M3;
        let bands = scales.chunks(columns.div_ceil(self.columns).max(1));
        for (band, scales) in bytes.chunks(columns.max(1).saturating_mul(self.rows).max(1)).zip(bands) {
            for row in band.chunks(columns.max(1)) {
                for (part, scale) in row.chunks(self.columns).zip(scales) {
                    values.extend(part.iter().map(|byte| table[usize::from(*byte)] * scale));
                }
            }
        }
        values
    }
}

/// What each byte stands for: a sign, four bits of exponent, three of fraction; no infinities (<https://arxiv.org/abs/2209.05433>).
const E4M3: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (exponent, fraction) = ((byte >> 3) & 15, byte & 7);
        let magnitude = match (exponent, fraction) {
            (15, 7) => f32::NAN,
            (0, _) => fraction as f32 / 512.0,
            _ => f32::from_bits((((exponent + 120) << 23) | (fraction << 20)) as u32),
        };
        table[byte] = if byte < 128 { magnitude } else { -magnitude };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Blocks, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn bytes_are_what_the_paper_says() {
        for (byte, value) in
            [(0x00, 0.0), (0x01, 1.0 / 512.0), (0x07, 7.0 / 512.0), (0x08, 1.0 / 64.0), (0x38, 1.0), (0x7e, 448.0), (0xc4, -3.0)]
        {
            assert_eq!(E4M3[byte], value, "{byte:#x}");
        }
        assert!(E4M3[0x7f].is_nan() && E4M3[0xff].is_nan());
        assert_eq!(E4M3.iter().filter(|value| value.is_nan()).count(), 2);
        assert!(E4M3[..127].windows(2).all(|pair| pair[0] < pair[1]) && E4M3[128..255].windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn blocks_at_the_edges_are_smaller() {
        let blocks =
            read(r#"{"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [2, 3]}"#).unwrap();
        assert_eq!(blocks.scales([3, 4]), [2, 2]);
        let got = blocks.values(&[0x38; 12], 4, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(got, [1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 4.0]);
        let huge = read(r#"{"quant_method": "fp8", "weight_block_size": [4611686018427387904, 18446744073709551615]}"#).unwrap();
        assert_eq!(huge.scales([3, 4]), [1, 1]);
        assert_eq!(huge.values(&[0x38; 12], 4, &[2.0]), [2.0; 12]);
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        for (json, name) in [
            (r#"{"quant_method": "awq", "bits": 4}"#, "`awq`"),
            (r#"{"bits": 4}"#, "of no name"),
            (r#"{"quant_method": "fp8", "fmt": "e5m2", "weight_block_size": [128, 128]}"#, "e5m2"),
            (r#"{"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": [128, 128]}"#, "static"),
            (r#"{"quant_method": "fp8", "activation_scheme": "dynamic"}"#, "without weight_block_size"),
            (r#"{"quant_method": "fp8", "weight_block_size": null}"#, "without weight_block_size"),
            (r#"{"quant_method": "fp8", "weight_block_size": [128]}"#, "[128]"),
            (r#"{"quant_method": "fp8", "weight_block_size": [128, 0]}"#, "[128, 0]"),
        ] {
            let said = read(json).unwrap_err();
            assert!(said.contains("quantization_config (`") && said.contains(name), "{said}");
        }
    }
}
