//! The network: Qwen2's blocks, small, over any Burn backend.
//! Apart from the engine's own model, because this one is trained. It must not know about text, data or files.

use burn::module::{Module, Param};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

/// The sizes of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many tokens there are.
    pub(crate) vocabulary: usize,
    /// The width of the residual stream.
    pub(crate) hidden: usize,
    /// The width of the feed-forward layer.
    pub(crate) intermediate: usize,
    /// How many blocks.
    pub(crate) layers: usize,
    /// How many attention heads; each has its own keys and values.
    pub(crate) heads: usize,
}

/// The base of the rotary frequencies.
pub(crate) const ROPE_THETA: f64 = 10_000.0;
/// What a score loses where a token must not look; more would only send `exp` through its slow path.
const MASKED: f32 = -60.0;
/// Added under the root of the norm.
pub(crate) const NORM_EPSILON: f64 = 1e-6;

/// One block's weights; matrices are `[in, out]`.
#[derive(Module, Debug)]
pub(crate) struct Block<B: Backend> {
    /// Norm before attention.
    pub(crate) input_norm: Param<Tensor<B, 1>>,
    /// Queries.
    pub(crate) q: Param<Tensor<B, 2>>,
    /// Bias of the queries.
    pub(crate) q_bias: Param<Tensor<B, 1>>,
    /// Keys.
    pub(crate) k: Param<Tensor<B, 2>>,
    /// Bias of the keys.
    pub(crate) k_bias: Param<Tensor<B, 1>>,
    /// Values.
    pub(crate) v: Param<Tensor<B, 2>>,
    /// Bias of the values.
    pub(crate) v_bias: Param<Tensor<B, 1>>,
    /// Output of attention.
    pub(crate) o: Param<Tensor<B, 2>>,
    /// Norm before the feed-forward layer.
    pub(crate) post_norm: Param<Tensor<B, 1>>,
    /// Gate.
    pub(crate) gate: Param<Tensor<B, 2>>,
    /// Up.
    pub(crate) up: Param<Tensor<B, 2>>,
    /// Down.
    pub(crate) down: Param<Tensor<B, 2>>,
}

/// The network's weights. The embedding is also the output layer.
#[derive(Module, Debug)]
pub(crate) struct Network<B: Backend> {
    /// `[vocabulary, hidden]`
    pub(crate) embedding: Param<Tensor<B, 2>>,
    /// The blocks.
    pub(crate) blocks: Vec<Block<B>>,
    /// The last norm.
    pub(crate) norm: Param<Tensor<B, 1>>,
    heads: usize,
}

/// What every block needs besides its weights, made once for a batch.
struct Frame<B: Backend> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
    rotate: Tensor<B, 2>,
    mask: Tensor<B, 2>,
    rows: usize,
    length: usize,
    heads: usize,
}

impl<B: Backend> Network<B> {
    /// Random weights.
    pub(crate) fn new(shape: &Shape, device: &Device<B>) -> Self {
        let (h, m) = (shape.hidden, shape.intermediate);
        let residual = (2.0 * shape.layers as f64).sqrt().recip();
        let matrix = |input: usize, output: usize, scale: f64| {
            let spread = Distribution::Normal(0.0, scale / (input as f64).sqrt());
            Param::from_tensor(Tensor::random([input, output], spread, device))
        };
        let ones = || Param::from_tensor(Tensor::ones([h], device));
        let zeros = || Param::from_tensor(Tensor::zeros([h], device));
        let block = |_| Block {
            input_norm: ones(),
            q: matrix(h, h, 1.0),
            q_bias: zeros(),
            k: matrix(h, h, 1.0),
            k_bias: zeros(),
            v: matrix(h, h, 1.0),
            v_bias: zeros(),
            o: matrix(h, h, residual),
            post_norm: ones(),
            gate: matrix(h, m, 1.0),
            up: matrix(h, m, 1.0),
            down: matrix(m, h, residual),
        };
        let spread = Distribution::Normal(0.0, 0.05);
        Self {
            embedding: Param::from_tensor(Tensor::random([shape.vocabulary, h], spread, device)),
            blocks: (0..shape.layers).map(block).collect(),
            norm: ones(),
            heads: shape.heads,
        }
    }

    /// The logits at the wanted places of a batch; a place is `row * length + position`.
    pub(crate) fn forward(&self, tokens: Tensor<B, 2, Int>, wanted: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let [rows, length] = tokens.dims();
        let embedding = self.embedding.val();
        let hidden = embedding.dims()[1];
        let frame = Frame::new([rows, length, self.heads, hidden], &tokens.device());
        let mut x = embedding.clone().select(0, tokens.reshape([rows * length]));
        for block in &self.blocks {
            x = block.attend(x, &frame);
            x = block.feed(x);
        }
        let x = norm(x.select(0, wanted), &self.norm);
        x.matmul(embedding.transpose())
    }
}

impl<B: Backend> Frame<B> {
    fn new([rows, length, heads, hidden]: [usize; 4], device: &Device<B>) -> Self {
        let size = hidden / heads;
        let half = size / 2;
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in 0..length {
            for i in 0..hidden {
                let frequency = ROPE_THETA.powf(-((i % half) as f64) / half as f64);
                let angle = position as f64 * frequency;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        let mut rotate = vec![0f32; size * size];
        for i in 0..half {
            rotate[(i + half) * size + i] = -1.0;
            rotate[i * size + i + half] = 1.0;
        }
        let mask: Vec<f32> = (0..length * length).map(|i| if i % length > i / length { MASKED } else { 0.0 }).collect();
        Self {
            cos: Tensor::from_data(TensorData::new(cos, [1, length * hidden]), device),
            sin: Tensor::from_data(TensorData::new(sin, [1, length * hidden]), device),
            rotate: Tensor::from_data(TensorData::new(rotate, [size, size]), device),
            mask: Tensor::from_data(TensorData::new(mask, [1, length * length]), device),
            rows,
            length,
            heads,
        }
    }

    /// Turns queries or keys by their position, the two halves of a head against each other as Hugging Face does.
    fn turn(&self, x: Tensor<B, 2>) -> Tensor<B, 4> {
        let hidden = x.dims()[1];
        let shape = [self.rows, self.length * hidden];
        let turned = x.clone().reshape([self.rows * self.length * self.heads, hidden / self.heads]);
        let turned = turned.matmul(self.rotate.clone()).reshape(shape);
        let x = x.reshape(shape) * self.cos.clone() + turned * self.sin.clone();
        self.split(x.reshape([self.rows * self.length, hidden]))
    }

    /// `[rows * length, hidden]` to `[rows, heads, length, size]`.
    fn split(&self, x: Tensor<B, 2>) -> Tensor<B, 4> {
        let size = x.dims()[1] / self.heads;
        x.reshape([self.rows, self.length, self.heads, size]).swap_dims(1, 2)
    }
}

impl<B: Backend> Block<B> {
    /// Causal attention; padding stands on the right, so it needs no mask of its own.
    fn attend(&self, x: Tensor<B, 2>, frame: &Frame<B>) -> Tensor<B, 2> {
        let [places, hidden] = x.dims();
        let y = norm(x.clone(), &self.input_norm);
        let scale = ((hidden / frame.heads) as f64).sqrt().recip();
        let q = y.clone().matmul(self.q.val()) + self.q_bias.val().unsqueeze();
        let k = y.clone().matmul(self.k.val()) + self.k_bias.val().unsqueeze();
        let v = y.matmul(self.v.val()) + self.v_bias.val().unsqueeze();
        let (q, k, v) = (frame.turn(q.mul_scalar(scale)), frame.turn(k), frame.split(v));
        let scores = q.matmul(k.swap_dims(2, 3));
        let shape = scores.dims();
        let scores = scores.reshape([frame.rows * frame.heads, frame.length * frame.length]) + frame.mask.clone();
        let mixed = softmax(scores.reshape(shape), 3).matmul(v).swap_dims(1, 2).reshape([places, hidden]);
        x + mixed.matmul(self.o.val())
    }

    /// The feed-forward layer.
    fn feed(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = norm(x.clone(), &self.post_norm);
        let gate = y.clone().matmul(self.gate.val());
        let gate = gate.clone() * sigmoid(gate);
        x + (gate * y.matmul(self.up.val())).matmul(self.down.val())
    }
}

/// RMS norm over the last dimension.
fn norm<B: Backend>(x: Tensor<B, 2>, weight: &Param<Tensor<B, 1>>) -> Tensor<B, 2> {
    let mean = (x.clone() * x.clone()).mean_dim(1);
    let scale = mean.add_scalar(NORM_EPSILON).sqrt().recip();
    x * scale * weight.val().unsqueeze()
}
