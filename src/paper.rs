//! Constants that come from a paper or from widespread code, each with its source.
//!
//! No function of this crate takes one of them silently: a caller names it, or the docstring does.

/// T of the DDPM experiments. Source: Ho, Jain, Abbeel 2020, section 4.
pub const DDPM_TIMESTEPS: usize = 1000;
/// β_1 of the DDPM experiments. Source: Ho, Jain, Abbeel 2020, section 4.
pub const DDPM_BETA_1: f64 = 1e-4;
/// β_T of the DDPM experiments. Source: Ho, Jain, Abbeel 2020, section 4.
pub const DDPM_BETA_T: f64 = 0.02;

/// The offset s of the cosine schedule. Source: Nichol, Dhariwal 2021, section 3.2.
pub const COSINE_OFFSET: f64 = 0.008;
/// The ceiling of β_t in the cosine schedule. Source: Nichol, Dhariwal 2021, section 3.2.
pub const COSINE_MAX_BETA: f64 = 0.999;

/// T of the classic S-curve notebook.
pub const CLASSIC_TIMESTEPS: usize = 100;
/// The lower end of β in the classic S-curve notebook.
pub const CLASSIC_BETA_1: f64 = 1e-5;
/// The upper end of β in the classic S-curve notebook.
pub const CLASSIC_BETA_T: f64 = 5e-3;

/// T of this book's own S-curve preset, `sound`.
pub const SOUND_TIMESTEPS: usize = 100;
/// β_1 of `sound`: the DDPM value, times 10 since T is 10 times smaller.
pub const SOUND_BETA_1: f64 = 1e-3;
/// β_T of `sound`: the DDPM value, times 10 since T is 10 times smaller.
pub const SOUND_BETA_T: f64 = 0.2;

/// Half the width of a bin of 8-bit data on [−1, 1]. Source: Ho, Jain, Abbeel 2020, eq. 13.
pub const PIXEL_HALF_BIN: f64 = 1.0 / 255.0;

/// The cut-off γ of the min-SNR weight. Source: Hang et al. 2023, section 4.
pub const MIN_SNR_GAMMA: f64 = 5.0;
/// The share λ of the bound in the hybrid loss. Source: Nichol, Dhariwal 2021, section 3.1.
pub const HYBRID_LAMBDA: f64 = 1e-3;
/// The standard deviation of the noise on each coordinate of the S-curve, in the classic notebook and in `sound`.
pub const S_CURVE_NOISE: f64 = 0.1;
/// What the classic S-curve notebook divides both coordinates by.
pub const CLASSIC_SCALE: f64 = 10.0;
/// The widths of the network in the classic S-curve notebook.
pub const CLASSIC_WIDTHS: [usize; 5] = [2, 128, 128, 128, 2];
/// The norm at which the classic S-curve notebook clips a gradient.
pub const CLASSIC_MAX_NORM: f64 = 1.0;
/// Adam's β₁. Source: Kingma, Ba 2015, algorithm 1.
pub const ADAM_BETA_1: f64 = 0.9;
/// Adam's β₂. Source: Kingma, Ba 2015, algorithm 1.
pub const ADAM_BETA_2: f64 = 0.999;
/// Adam's ε. Source: Kingma, Ba 2015, algorithm 1.
pub const ADAM_EPSILON: f64 = 1e-8;
/// What is added to the norm of a gradient before dividing by it. Source: PyTorch's `clip_grad_norm_`.
pub const CLIP_EPSILON: f64 = 1e-6;

/// The rate β(0) of the continuous schedule: T β_1 of the DDPM experiments. Source: Song et al. 2021, appendix C.
pub const SDE_BETA_MIN: f64 = 0.1;
/// The rate β(1) of the continuous schedule: T β_T of the DDPM experiments. Source: Song et al. 2021, appendix C.
pub const SDE_BETA_MAX: f64 = 20.0;
