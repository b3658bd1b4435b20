//! The networks for pictures: what they predict, from x_t and the index t − 1.

use tch::{Device, Kind, Tensor};

use super::layers::{Conv, Embedding, GroupNorm, Linear, UpConv};
use super::schedule::length;
use super::weights::Parameters;
use crate::error::{Error, Result};

/// The number of sines and cosines that stand for t.
const EMBEDDING_WIDTH: usize = 128;

/// A network that takes pictures, or points.
pub trait ImageNetwork {
    /// The prediction for `x` of shape (N, channels, height, width), at N indices t − 1, in evaluation.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] and [`Error::OutOfRange`] for what does not fit the network
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor>;

    /// The prediction, with a class for each sample where the network has [classes](Self::classes), in training or not.
    ///
    /// # Errors
    /// As [`forward`](Self::forward)
    fn forward_t(&self, x: &Tensor, index: &Tensor, classes: Option<&Tensor>, _train: bool) -> Result<Tensor> {
        if let Some(classes) = classes { Err(no_classes(classes)) } else { self.forward(x, index) }
    }

    /// The number of classes; 0 for a network that is told none.
    fn classes(&self) -> usize {
        0
    }

    /// θ.
    fn parameters(&self) -> &Parameters;

    /// θ, to load.
    fn parameters_mut(&mut self) -> &mut Parameters;
}

/// The shape of a [`ResidualUnet`].
// ANCHOR: unet_config
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualUnetConfig {
    /// Channels of the pictures.
    pub channels: usize,
    /// Widths, from the finest level to the coarsest; multiples of 8.
    pub widths: Vec<usize>,
    /// Number of classes, 0 for a network without. The class after the last one means "no class".
    pub classes: usize,
    /// Self-attention at the coarsest level.
    pub attention: bool,
    /// The share of activations that are dropped in training.
    pub dropout: f64,
}
// ANCHOR_END: unet_config

impl ResidualUnetConfig {
    /// The network of the book: widths 64, 128, 256 and none of the options.
    pub fn plain(channels: usize) -> Self {
        Self { channels, widths: vec![64, 128, 256], classes: 0, attention: false, dropout: 0.0 }
    }

    fn validate(&self) -> Result<()> {
        some_channels(self.channels)?;
        if self.widths.is_empty() {
            return Err(Error::Empty { name: "widths" });
        }
        if let Some(&got) = self.widths.iter().find(|&&width| width == 0 || width % 8 != 0) {
            let expected = "a multiple of 8, since GroupNorm makes 8 groups";
            return Err(Error::OutOfRange { name: "a width", expected, got: got as f64 });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::OutOfRange { name: "dropout", expected: "0 or above, below 1", got: self.dropout });
        }
        Ok(())
    }
}

fn some_channels(channels: usize) -> Result<()> {
    if channels > 0 { Ok(()) } else { Err(Error::OutOfRange { name: "channels", expected: "1 or more", got: 0.0 }) }
}

/// The network that the image examples train: a U-Net of residual blocks, each of which is told t.
#[derive(Debug)]
pub struct ResidualUnet {
    parameters: Parameters,
    config: ResidualUnetConfig,
    init_conv: Conv,
    down_blocks: Vec<ResidualBlock>,
    down_pools: Vec<Conv>,
    bottleneck: ResidualBlock,
    attention: Option<Attention>,
    up_convs: Vec<UpConv>,
    up_blocks: Vec<ResidualBlock>,
    final_block: ResidualBlock,
    out_conv: Conv,
    class_embedding: Option<Embedding>,
}

impl ResidualUnet {
    /// A network, drawn as PyTorch draws it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::Empty`] for a shape that cannot be
    /// # Examples
    /// ```
    /// use literate_diffusion::torch::{tch::{Device, Kind}, unet::{ImageNetwork, ResidualUnet, ResidualUnetConfig}};
    /// let net = ResidualUnet::new(ResidualUnetConfig::plain(1), Device::Cpu, Kind::Float)?;
    /// assert_eq!(net.parameters().count(), 2_844_929);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn new(config: ResidualUnetConfig, device: Device, kind: Kind) -> Result<Self> {
        config.validate()?;
        let mut parameters = Parameters::new(device, kind);
        let p = &mut parameters;
        let (widths, levels) = (&config.widths, config.widths.len() - 1);
        let (finest, coarsest) = (widths[0], widths[levels]);
        let block = |p: &mut Parameters, name: String, channels| ResidualBlock::new(p, &name, channels, config.dropout);

        let init_conv = Conv::new(p, "init_conv", [config.channels, finest], 3, 1);
        let mut down_blocks = Vec::new();
        for (i, &width) in widths[..levels].iter().enumerate() {
            down_blocks.push(block(p, format!("down_blocks.{i}"), [width, width]));
        }
        let mut down_pools = Vec::new();
        for i in 0..levels {
            down_pools.push(Conv::new(p, &format!("down_pools.{i}"), [widths[i], widths[i + 1]], 3, 2));
        }
        let bottleneck = block(p, "bottleneck".into(), [coarsest, coarsest]);
        let (mut up_convs, mut up_blocks) = (Vec::new(), Vec::new());
        for i in 0..levels {
            let [coarse, fine] = [widths[levels - i], widths[levels - i - 1]];
            up_convs.push(UpConv::new(p, &format!("up_convs.{i}"), [coarse, fine]));
            up_blocks.push(block(p, format!("up_blocks.{i}"), [2 * fine, fine]));
        }
        let final_block = block(p, "final_block".into(), [finest, finest]);
        let out_conv = Conv::new(p, "out_conv", [finest, config.channels], 1, 1);
        let attention = config.attention.then(|| Attention::new(p, "attention", coarsest));
        let class_embedding =
            (config.classes > 0).then(|| Embedding::new(p, "class_embedding", config.classes + 1, EMBEDDING_WIDTH));
        Ok(Self {
            parameters,
            init_conv,
            down_blocks,
            down_pools,
            bottleneck,
            attention,
            up_convs,
            up_blocks,
            final_block,
            out_conv,
            class_embedding,
            config,
        })
    }

    /// The shape of the network.
    pub fn config(&self) -> &ResidualUnetConfig {
        &self.config
    }

    /// The prediction, with a class for each sample where the network has classes, and with dropout in training.
    ///
    /// `classes` has N whole numbers: 0 and above, and the number of classes for "no class".
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] and [`Error::OutOfRange`] for what does not fit the network
    // ANCHOR: unet_forward
    pub fn forward_t(&self, x: &Tensor, index: &Tensor, classes: Option<&Tensor>, train: bool) -> Result<Tensor> {
        let levels = self.down_blocks.len();
        fits(x, index, self.config.channels, 1 << levels)?;
        let mut emb = time_embedding(index, EMBEDDING_WIDTH).to_kind(x.kind());
        match (&self.class_embedding, classes) {
            (Some(table), Some(classes)) => {
                super::has_shape("classes", &index.size(), classes)?;
                emb += table.forward("the class", classes)?.to_kind(x.kind());
            }
            (Some(table), None) => {
                let none = index.full_like(length(self.config.classes));
                emb += table.forward("the class", &none)?.to_kind(x.kind());
            }
            (None, Some(classes)) => return Err(no_classes(classes)),
            (None, None) => {}
        }
        // Every block looks at SiLU(t).
        let time = emb.silu();

        let mut h = self.init_conv.forward(x);
        let mut skips = Vec::with_capacity(levels);
        for (block, pool) in self.down_blocks.iter().zip(&self.down_pools) {
            h = block.forward(&h, &time, train);
            let down = pool.forward(&h);
            skips.push(h);
            h = down;
        }
        h = self.bottleneck.forward(&h, &time, train);
        if let Some(attention) = &self.attention {
            h = attention.forward(&h);
        }
        for (up, block) in self.up_convs.iter().zip(&self.up_blocks) {
            let skip = skips.pop().unwrap_or_else(|| h.shallow_clone());
            h = block.forward(&Tensor::cat(&[up.forward(&h), skip], 1), &time, train);
        }
        h = self.final_block.forward(&h, &time, train);
        Ok(self.out_conv.forward(&h))
    }
    // ANCHOR_END: unet_forward
}

impl ImageNetwork for ResidualUnet {
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        self.forward_t(x, index, None, false)
    }

    fn forward_t(&self, x: &Tensor, index: &Tensor, classes: Option<&Tensor>, train: bool) -> Result<Tensor> {
        self.forward_t(x, index, classes, train)
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

/// Two convolutions with t between them, around a shortcut.
#[derive(Debug)]
struct ResidualBlock {
    conv1: Conv,
    norm1: GroupNorm,
    time_mlp: Linear,
    conv2: Conv,
    norm2: GroupNorm,
    shortcut: Option<Conv>,
    dropout: f64,
}

impl ResidualBlock {
    fn new(p: &mut Parameters, name: &str, [inputs, outputs]: [usize; 2], dropout: f64) -> Self {
        Self {
            conv1: Conv::new(p, &format!("{name}.conv1"), [inputs, outputs], 3, 1),
            norm1: GroupNorm::new(p, &format!("{name}.norm1"), outputs),
            // Number 0 is the SiLU before it.
            time_mlp: Linear::new(p, &format!("{name}.time_mlp.1"), EMBEDDING_WIDTH, outputs),
            conv2: Conv::new(p, &format!("{name}.conv2"), [outputs, outputs], 3, 1),
            norm2: GroupNorm::new(p, &format!("{name}.norm2"), outputs),
            shortcut: (inputs != outputs).then(|| Conv::new(p, &format!("{name}.shortcut"), [inputs, outputs], 1, 1)),
            dropout,
        }
    }

    // ANCHOR: residual_block
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Tensor {
        let h = self.norm1.forward(&self.conv1.forward(x));
        let h = (h + self.time_mlp.forward(time).unsqueeze(-1).unsqueeze(-1)).silu();
        let h = if self.dropout > 0.0 { h.dropout(self.dropout, train) } else { h };
        let h = self.norm2.forward(&self.conv2.forward(&h));
        let shortcut = self.shortcut.as_ref().map_or_else(|| x.shallow_clone(), |conv| conv.forward(x));
        (h + shortcut).silu()
    }
    // ANCHOR_END: residual_block
}

/// Self-attention over the places of a picture, around a shortcut.
#[derive(Debug)]
struct Attention {
    norm: GroupNorm,
    qkv: Conv,
    out: Conv,
}

impl Attention {
    fn new(p: &mut Parameters, name: &str, channels: usize) -> Self {
        Self {
            norm: GroupNorm::new(p, &format!("{name}.norm"), channels),
            qkv: Conv::new(p, &format!("{name}.qkv"), [channels, 3 * channels], 1, 1),
            out: Conv::new(p, &format!("{name}.out"), [channels, channels], 1, 1),
        }
    }

    // ANCHOR: attention
    fn forward(&self, x: &Tensor) -> Tensor {
        // (N, 3C, H, W) to three times (N, 1 head, H·W places, C).
        let parts = self.qkv.forward(&self.norm.forward(x)).flatten(2, 3).transpose(1, 2).unsqueeze(1).chunk(3, -1);
        let attended = Tensor::scaled_dot_product_attention(
            &parts[0],
            &parts[1],
            &parts[2],
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        );
        x + self.out.forward(&attended.squeeze_dim(1).transpose(1, 2).reshape(x.size()))
    }
    // ANCHOR_END: attention
}

/// Sines, then cosines, of the index at frequencies from 1 down to 1/10000, evenly spaced in their logarithm: (N, width).
///
/// Source: Vaswani et al. 2017, section 3.5; Ho, Jain, Abbeel 2020, appendix B.
// ANCHOR: time_embedding
pub fn time_embedding(index: &Tensor, width: usize) -> Tensor {
    let half = length(width / 2);
    let exponents = Tensor::arange(half, (Kind::Float, index.device())) * (-(10_000_f64.ln()) / (half - 1) as f64);
    let angles = index.to_kind(Kind::Float).unsqueeze(1) * exponents.exp().unsqueeze(0);
    Tensor::cat(&[angles.sin(), angles.cos()], 1)
}
// ANCHOR_END: time_embedding

/// The demonstration network that is given t and ignores it, kept to show what that costs.
#[derive(Debug)]
pub struct PlainUnet {
    parameters: Parameters,
    channels: usize,
    down1: [Conv; 2],
    down2: [Conv; 2],
    up: UpConv,
    up1: [Conv; 2],
    out: Conv,
}

impl PlainUnet {
    /// A network, drawn as PyTorch draws it; 365,761 parameters with one channel.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for pictures without channels
    pub fn new(channels: usize, device: Device, kind: Kind) -> Result<Self> {
        some_channels(channels)?;
        let mut parameters = Parameters::new(device, kind);
        let p = &mut parameters;
        Ok(Self {
            down1: [Conv::new(p, "down1.0", [channels, 64], 3, 1), Conv::new(p, "down1.2", [64, 64], 3, 1)],
            down2: [Conv::new(p, "down2.1", [64, 128], 3, 1), Conv::new(p, "down2.3", [128, 128], 3, 1)],
            up: UpConv::new(p, "up1.0", [128, 64]),
            up1: [Conv::new(p, "up1.1", [64, 64], 3, 1), Conv::new(p, "up1.3", [64, 64], 3, 1)],
            out: Conv::new(p, "out", [64, channels], 1, 1),
            channels,
            parameters,
        })
    }
}

impl ImageNetwork for PlainUnet {
    // ANCHOR: plain_unet_forward
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        fits(x, index, self.channels, 2)?;
        let twice = |convs: &[Conv; 2], h: &Tensor| convs[1].forward(&convs[0].forward(h).relu()).relu();
        let h = twice(&self.down1, x).max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let h = twice(&self.down2, &h);
        let h = twice(&self.up1, &self.up.forward(&h));
        Ok(self.out.forward(&h))
    }
    // ANCHOR_END: plain_unet_forward

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

/// Four convolutions that take the time as a second channel, all of whose pixels are index/T.
#[derive(Debug)]
pub struct TimeChannelNet {
    parameters: Parameters,
    timesteps: usize,
    net: [Conv; 4],
}

impl TimeChannelNet {
    /// A network for pictures of one channel, drawn as PyTorch draws it; 37,857 parameters.
    ///
    /// # Errors
    /// [`Error::NoTimesteps`] where T = 0
    pub fn new(timesteps: usize, device: Device, kind: Kind) -> Result<Self> {
        if timesteps == 0 {
            return Err(Error::NoTimesteps);
        }
        let mut parameters = Parameters::new(device, kind);
        let mut conv = |i: usize, channels| Conv::new(&mut parameters, &format!("net.{i}"), channels, 3, 1);
        let net = [conv(0, [2, 32]), conv(2, [32, 64]), conv(4, [64, 32]), conv(6, [32, 1])];
        Ok(Self { parameters, timesteps, net })
    }
}

impl ImageNetwork for TimeChannelNet {
    // ANCHOR: time_channel_forward
    fn forward(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        fits(x, index, 1, 1)?;
        // In 16 bits, whole numbers above 256 would run together before they are divided.
        let time = (index.to_kind(Kind::Double) / self.timesteps as f64).to_kind(x.kind());
        let time = time.view([-1, 1, 1, 1]).expand_as(x);
        let [first, second, third, last] = &self.net;
        let h = first.forward(&Tensor::cat(&[x, &time], 1)).relu();
        let h = third.forward(&second.forward(&h).relu()).relu();
        Ok(last.forward(&h))
    }
    // ANCHOR_END: time_channel_forward

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

fn no_classes(classes: &Tensor) -> Error {
    let expected = "absent, since the network was made without classes";
    let got = if classes.numel() == 0 { f64::NAN } else { classes.flatten(0, -1).double_value(&[0]) };
    Error::OutOfRange { name: "the class", expected, got }
}

/// Fails unless `x` is (N, channels, height, width) with sides that are multiples of `unit`, and `index` has N numbers.
fn fits(x: &Tensor, index: &Tensor, channels: usize, unit: i64) -> Result<()> {
    let size = x.size();
    let &[samples, _, height, width] = size.as_slice() else {
        return Err(Error::ShapeMismatch { name: "x", expected: vec![0, channels, 0, 0], got: super::lengths(&size) });
    };
    super::has_shape("x", &[samples, length(channels), height, width], x)?;
    super::has_shape("index", &[samples], index)?;
    for got in [height, width] {
        if got % unit != 0 || got == 0 {
            let expected = "a multiple of 2 for each halving, all multiplied: of 4 for three widths";
            return Err(Error::OutOfRange { name: "a side of the picture", expected, got: got as f64 });
        }
    }
    Ok(())
}
