//! A network by hand: forward, backward, the optimiser and the average of its weights.
//!
//! The network is the one of the S-curve notebook: linear layers with a ReLU between them, and for each hidden layer a
//! table with a row for every time t, added before the ReLU. All of it is generic: `f32` is for training, `f64` for
//! checking. A gradient, a moment of Adam and a running average have the same tensors as the network, and so the same
//! type.

use ndarray::linalg::general_mat_mul;
use ndarray::{
    Array, Array1, Array2, ArrayD, ArrayRef, ArrayRef1, ArrayRef2, ArrayView2, ArrayViewD, ArrayViewMut2, ArrayViewMutD,
};
use ndarray::{Axis, Dimension, NdFloat, Zip};
use ndarray_rand::rand::Rng;
use ndarray_rand::rand_distr::{Distribution, StandardNormal};

use crate::error::{Error, Result, finite, positive, same_shape};
use crate::paper;

mod matmul;
mod predict;

/// `f32` or `f64`: a number that a network computes with.
pub trait Real: NdFloat + Into<f64> {
    /// The nearest such number.
    fn of(value: f64) -> Self;

    /// c = a · b, for matrices that fit together.
    ///
    /// # Panics
    /// Where they do not fit together
    fn matmul_into(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, c: ArrayViewMut2<'_, Self>);
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn matmul_into(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, c: ArrayViewMut2<'_, Self>) {
        matmul::matmul_into(a, b, c);
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn matmul_into(a: ArrayView2<'_, Self>, b: ArrayView2<'_, Self>, mut c: ArrayViewMut2<'_, Self>) {
        general_mat_mul(1.0, &a, &b, 0.0, &mut c);
    }
}

/// A linear layer: every row of `x` times the weights, plus the bias.
///
/// # Formula
/// y = x Wᵀ + b                      (slug `linear_forward`)
/// # Shapes
/// `x`: (N, in); `weight`: (out, in), as in PyTorch; `bias`: (out); result: (N, out)
/// # Errors
/// [`Error::ShapeMismatch`] where they do not fit together
/// # Source
/// Rumelhart, Hinton, Williams 1986, eq. 1
/// # Examples
/// ```
/// use literate_diffusion::mlp::linear_forward;
/// use ndarray::array;
/// let y = linear_forward(&array![[1.0, 2.0]], &array![[3.0, 4.0]], &array![0.5])?;
/// assert_eq!(y, array![[1.0 * 3.0 + 2.0 * 4.0 + 0.5]]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "Linear")]
// ANCHOR: linear_forward
pub fn linear_forward<F: Real>(x: &ArrayRef2<F>, weight: &ArrayRef2<F>, bias: &ArrayRef1<F>) -> Result<Array2<F>> {
    has_shape("weight", &[bias.len(), x.ncols()], weight.shape())?;
    Ok(matmul(x.view(), weight.t()) + bias)
}
// ANCHOR_END: linear_forward

/// What a linear layer hands back: the derivatives of the loss by all that went in.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearGradient<F> {
    /// ∂L/∂x, of shape (N, in).
    pub x: Array2<F>,
    /// ∂L/∂W, of shape (out, in).
    pub weight: Array2<F>,
    /// ∂L/∂b, of shape (out).
    pub bias: Array1<F>,
}

/// The way back through a linear layer.
///
/// # Formula
/// ∂L/∂x = δ W,  ∂L/∂W = δᵀ x,  ∂L/∂b = Σ_n δ_n,  where δ = ∂L/∂y                      (slug `linear_backward`)
/// # Shapes
/// `x`: (N, in); `weight`: (out, in); `delta`: (N, out); result: as `x`, as `weight`, (out)
/// # Errors
/// [`Error::ShapeMismatch`] where they do not fit together
/// # Source
/// Rumelhart, Hinton, Williams 1986, eqs. 6 and 7
/// # Examples
/// ```
/// use literate_diffusion::mlp::linear_backward;
/// use ndarray::array;
/// let back = linear_backward(&array![[1.0, 2.0]], &array![[3.0, 4.0]], &array![[10.0]])?;
/// assert_eq!((back.x, back.weight, back.bias), (array![[30.0, 40.0]], array![[10.0, 20.0]], array![10.0]));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: linear_backward
pub fn linear_backward<F: Real>(
    x: &ArrayRef2<F>,
    weight: &ArrayRef2<F>,
    delta: &ArrayRef2<F>,
) -> Result<LinearGradient<F>> {
    has_shape("delta", &[x.nrows(), weight.nrows()], delta.shape())?;
    has_shape("weight", &[delta.ncols(), x.ncols()], weight.shape())?;
    Ok(LinearGradient {
        x: matmul(delta.view(), weight.view()),
        weight: matmul(delta.t(), x.view()),
        bias: delta.sum_axis(Axis(0)),
    })
}
// ANCHOR_END: linear_backward

/// The rectified linear unit. NaN stays NaN.
///
/// # Formula
/// relu(a) = a where a > 0, else 0                      (slug `relu`)
/// # Shapes
/// `a`, result: any, equal
/// # Source
/// Nair, Hinton 2010, section 2
/// # Examples
/// ```
/// use literate_diffusion::mlp::relu;
/// assert_eq!(relu(&ndarray::array![-1.0, 0.0, 2.0]), ndarray::array![0.0, 0.0, 2.0]);
/// ```
// ANCHOR: relu
pub fn relu<F: Real, D: Dimension>(a: &ArrayRef<F, D>) -> Array<F, D> {
    a.mapv(relu_of_number)
}

fn relu_of_number<F: Real>(a: F) -> F {
    if a <= F::zero() { F::zero() } else { a }
}
// ANCHOR_END: relu

/// The way back through a ReLU. Its slope at 0 is taken as 0.
///
/// # Formula
/// ∂L/∂a = δ where a > 0, else 0;  δ = ∂L/∂relu(a)                      (slug `relu_backward`)
/// # Shapes
/// `a`, `delta`, result: any, all equal; relu(a) may stand for `a`, since both are above 0 in the same places
/// # Errors
/// [`Error::ShapeMismatch`] where `a` and `delta` differ in shape
/// # Source
/// Nair, Hinton 2010, section 2; PyTorch's choice at 0
/// # Examples
/// ```
/// use literate_diffusion::mlp::relu_backward;
/// use ndarray::array;
/// assert_eq!(relu_backward(&array![-1.0, 0.0, 2.0], &array![5.0, 6.0, -7.0])?, array![0.0, 0.0, -7.0]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: relu_backward
pub fn relu_backward<F: Real, D: Dimension>(a: &ArrayRef<F, D>, delta: &ArrayRef<F, D>) -> Result<Array<F, D>> {
    same_shape("delta", a, delta)?;
    Ok(Zip::from(a).and(delta).map_collect(|&a, &delta| if a > F::zero() { delta } else { F::zero() }))
}
// ANCHOR_END: relu_backward

/// Looks up the row of each time.
///
/// # Formula
/// y_n = E_{t_n}                      (slug `embedding`)
/// # Shapes
/// `table`: (T, width), whose first row is E_1; `times`: N values in 1..=T; result: (N, width)
/// # Errors
/// [`Error::StepOutOfRange`] for a time outside 1..=T
/// # Source
/// Bengio, Ducharme, Vincent, Jauvin 2003, section 2 (there the words of a text)
/// # Examples
/// ```
/// use literate_diffusion::mlp::embedding;
/// use ndarray::array;
/// assert_eq!(embedding(&array![[1.0, 2.0], [3.0, 4.0]], &[2, 1])?, array![[3.0, 4.0], [1.0, 2.0]]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "Embedding")]
// ANCHOR: embedding
pub fn embedding<F: Real>(table: &ArrayRef2<F>, times: &[usize]) -> Result<Array2<F>> {
    within_table(times, table.nrows())?;
    let rows: Vec<usize> = times.iter().map(|t| t - 1).collect();
    Ok(table.select(Axis(0), &rows))
}
// ANCHOR_END: embedding

/// The way back through an embedding: each row of the table gathers what its time was told.
///
/// # Formula
/// ∂L/∂E_t = Σ_{n : t_n = t} δ_n                      (slug `embedding_backward`)
/// # Shapes
/// `times`: N values in 1..=T; `delta`: (N, width); result: (T, width)
/// # Errors
/// [`Error::ShapeMismatch`] unless there is one time a row of `delta`;
/// [`Error::StepOutOfRange`] for a time outside 1..=T
/// # Source
/// The chain rule: the row E_t goes into the loss once for every n with t_n = t
/// # Examples
/// ```
/// use literate_diffusion::mlp::embedding_backward;
/// use ndarray::array;
/// let gradient = embedding_backward(2, &[2, 2], &array![[1.0], [10.0]])?;
/// assert_eq!(gradient, array![[0.0], [11.0]]);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: embedding_backward
pub fn embedding_backward<F: Real>(timesteps: usize, times: &[usize], delta: &ArrayRef2<F>) -> Result<Array2<F>> {
    has_shape("delta", &[times.len(), delta.ncols()], delta.shape())?;
    within_table(times, timesteps)?;
    let mut gradient = Array2::zeros((timesteps, delta.ncols()));
    for (&t, delta) in times.iter().zip(delta.rows()) {
        let mut row = gradient.row_mut(t - 1);
        row += &delta;
    }
    Ok(gradient)
}
// ANCHOR_END: embedding_backward

/// The loss of a batch, L_simple, and its derivative by the prediction.
///
/// # Formula
/// L = 1/M Σ (ε_θ − ε)²,  ∂L/∂ε_θ = 2/M (ε_θ − ε),  over all M numbers of the batch                (slug `loss_gradient`)
/// # Shapes
/// `eps`, `eps_theta`, result: any, all equal, M elements
/// # Errors
/// [`Error::ShapeMismatch`] where they differ in shape;
/// [`Error::Empty`] where they have no element
/// # Source
/// Ho, Jain, Abbeel 2020, eq. 14, as a mean over dimensions too
/// # Examples
/// ```
/// use literate_diffusion::mlp::loss_gradient;
/// use ndarray::array;
/// let (loss, gradient) = loss_gradient(&array![1.0, 0.0], &array![3.0, 0.0])?;
/// assert_eq!((loss, gradient), (2.0, array![2.0, 0.0]));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "mse_loss")]
// ANCHOR: loss_gradient
pub fn loss_gradient<F: Real, D: Dimension>(
    eps: &ArrayRef<F, D>,
    eps_theta: &ArrayRef<F, D>,
) -> Result<(F, Array<F, D>)> {
    same_shape("eps_theta", eps, eps_theta)?;
    if eps.is_empty() {
        return Err(Error::Empty { name: "eps" });
    }
    let m = F::of(eps.len() as f64);
    let error = eps_theta - eps;
    let loss = error.mapv(|error| error * error).sum() / m;
    Ok((loss, error * (F::of(2.0) / m)))
}
// ANCHOR_END: loss_gradient

/// One weight and bias drawn as PyTorch draws them for `nn.Linear`: uniform, within one over the root of the inputs.
///
/// PyTorch calls it `kaiming_uniform_(a=√5)`: a standard deviation of gain/√in with gain² = 2/(1 + a²) = 1/3, which for
/// a uniform draw is a bound of √3 · gain/√in = 1/√in.
///
/// # Formula
/// W_ij, b_i ~ U(−1/√in, 1/√in)                      (slug `linear_init`)
/// # Shapes
/// result: weight (out, in) and bias (out)
/// # Errors
/// [`Error::OutOfRange`] where a width is 0
/// # Source
/// He, Zhang, Ren, Sun 2015, eq. 15, with the slope √5 of PyTorch's `Linear.reset_parameters`
/// # Examples
/// ```
/// use literate_diffusion::mlp::linear_init;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
/// let (weight, bias) = linear_init::<f64>(3, 4, &mut StdRng::seed_from_u64(0))?;
/// assert_eq!((weight.dim(), bias.dim()), ((3, 4), 3));
/// assert!(weight.iter().chain(&bias).all(|w| w.abs() <= 0.5));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "kaiming_uniform")]
// ANCHOR: linear_init
pub fn linear_init<F: Real>(outputs: usize, inputs: usize, rng: &mut impl Rng) -> Result<(Array2<F>, Array1<F>)> {
    positive("the width of a layer", outputs.min(inputs) as f64)?;
    let bound = (inputs as f64).recip().sqrt();
    let mut draw = || F::of(rng.random_range(-bound..bound));
    Ok((Array2::from_shape_simple_fn((outputs, inputs), &mut draw), Array1::from_shape_simple_fn(outputs, draw)))
}
// ANCHOR_END: linear_init

/// A table drawn as PyTorch draws it for `nn.Embedding`: standard Gaussian.
///
/// # Formula
/// E_tj ~ N(0, 1)                      (slug `embedding_init`)
/// # Shapes
/// result: (T, width)
/// # Errors
/// [`Error::NoTimesteps`] where T = 0
/// # Source
/// PyTorch's `Embedding.reset_parameters`
/// # Examples
/// ```
/// use literate_diffusion::mlp::embedding_init;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
/// let table = embedding_init::<f32>(100, 128, &mut StdRng::seed_from_u64(0))?;
/// assert_eq!(table.dim(), (100, 128));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: embedding_init
pub fn embedding_init<F: Real>(timesteps: usize, width: usize, rng: &mut impl Rng) -> Result<Array2<F>> {
    if timesteps == 0 {
        return Err(Error::NoTimesteps);
    }
    Ok(Array2::from_shape_simple_fn((timesteps, width), || F::of(StandardNormal.sample(rng))))
}
// ANCHOR_END: embedding_init

/// A linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear<F> {
    /// W, of shape (out, in).
    pub weight: Array2<F>,
    /// b, of shape (out).
    pub bias: Array1<F>,
}

/// The noise predictor ε_θ(x_t, t) of the S-curve, and whatever has the shape of its θ: a gradient, a moment, an average.
///
/// With the widths 2, 128, 128, 128, 2 and T = 100 it has 72,066 parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpDiffusion<F> {
    /// The layers, one more than there are tables.
    pub linears: Vec<Linear<F>>,
    /// A table for each hidden layer, of shape (T, its width): row t − 1 belongs to t.
    pub embeddings: Vec<Array2<F>>,
}

impl<F: Real> MlpDiffusion<F> {
    /// A network with the given widths, from the input's to the output's, drawn as PyTorch draws it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than three widths or a width of 0; [`Error::NoTimesteps`] where T = 0
    /// # Examples
    /// ```
    /// use literate_diffusion::{mlp::MlpDiffusion, paper};
    /// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
    /// let net = MlpDiffusion::<f32>::new(&paper::CLASSIC_WIDTHS, 100, &mut StdRng::seed_from_u64(0))?;
    /// assert_eq!(net.parameters(), 72_066);
    /// # Ok::<(), literate_diffusion::Error>(())
    /// ```
    pub fn new(widths: &[usize], timesteps: usize, rng: &mut impl Rng) -> Result<Self> {
        if widths.len() < 3 {
            let (expected, got) = ("3 or more: the input, a hidden layer, the output", widths.len() as f64);
            return Err(Error::OutOfRange { name: "the number of widths", expected, got });
        }
        let linears = widths.windows(2).map(|pair| {
            let (weight, bias) = linear_init(pair[1], pair[0], rng)?;
            Ok(Linear { weight, bias })
        });
        let linears = linears.collect::<Result<_>>()?;
        let hidden = &widths[1..widths.len() - 1];
        let embeddings = hidden.iter().map(|&width| embedding_init(timesteps, width, rng)).collect::<Result<_>>()?;
        Ok(Self { linears, embeddings })
    }

    /// A network of the same shape in which every number is 0.
    pub fn zeros_like(&self) -> Self {
        let mut zeros = self.clone();
        zeros.tensors_mut().iter_mut().for_each(|tensor| tensor.fill(F::zero()));
        zeros
    }

    /// T: the number of rows of the tables.
    pub fn timesteps(&self) -> usize {
        self.embeddings.first().map_or(0, Array2::nrows)
    }

    /// The last layer and those before it, which have a table each.
    fn layers(&self) -> Result<(&Linear<F>, &[Linear<F>])> {
        let (last, hidden) = self.linears.split_last().ok_or(Error::Empty { name: "linears" })?;
        has_shape("embeddings", &[hidden.len()], &[self.embeddings.len()])?;
        Ok((last, hidden))
    }

    /// How many numbers θ has.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, tensor)| tensor.len()).sum()
    }

    /// All of θ by PyTorch's names: weight and bias of each layer, then the tables.
    pub fn tensors(&self) -> Vec<(String, ArrayViewD<'_, F>)> {
        let mut tensors = Vec::new();
        for (i, Linear { weight, bias }) in self.linears.iter().enumerate() {
            // The ReLUs have the odd numbers.
            tensors.push((format!("linears.{}.weight", 2 * i), weight.view().into_dyn()));
            tensors.push((format!("linears.{}.bias", 2 * i), bias.view().into_dyn()));
        }
        for (i, table) in self.embeddings.iter().enumerate() {
            tensors.push((format!("step_embeddings.{i}.weight"), table.view().into_dyn()));
        }
        tensors
    }

    /// All of θ, to change, in the same order.
    pub fn tensors_mut(&mut self) -> Vec<ArrayViewMutD<'_, F>> {
        let linears = self.linears.iter_mut();
        let mut tensors: Vec<_> = linears
            .flat_map(|Linear { weight, bias }| [weight.view_mut().into_dyn(), bias.view_mut().into_dyn()])
            .collect();
        tensors.extend(self.embeddings.iter_mut().map(|table| table.view_mut().into_dyn()));
        tensors
    }

    /// Takes over the values of named arrays, such as those of a file: `find` is asked for each name of
    /// [`tensors`](Self::tensors). Where it fails, nothing has changed.
    ///
    /// # Errors
    /// [`Error::NamedArray`] where there is no array of that name, or one of another shape
    pub fn load(&mut self, find: impl Fn(&str) -> Option<ArrayD<F>>) -> Result<()> {
        let mut loaded = self.clone();
        for ((name, tensor), mut to) in self.tensors().into_iter().zip(loaded.tensors_mut()) {
            let found = find(&name);
            match found {
                Some(array) if array.shape() == tensor.shape() => to.assign(&array),
                other => {
                    let got = other.map(|array| array.shape().to_vec());
                    return Err(Error::NamedArray { name, expected: tensor.shape().to_vec(), got });
                }
            }
        }
        *self = loaded;
        Ok(())
    }

    /// ε_θ(x_t, t), a prediction a row: [`mlp_forward`] for many rows. They are shared out among the cores; the result is
    /// the same on any number of them.
    ///
    /// # Errors
    /// As [`mlp_forward`]
    pub fn forward(&self, x: &ArrayRef2<F>, times: &[usize]) -> Result<Array2<F>> {
        predict::predict(self, x, times)
    }
}

/// What the way back needs to know of the way there.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations<F> {
    /// What goes into each linear layer: h_0 = x_t, then the outputs of the ReLUs.
    pub h: Vec<Array2<F>>,
    /// The prediction.
    pub eps_theta: Array2<F>,
}

/// The network ε_θ(x_t, t), keeping what each layer was given.
///
/// # Formula
/// h_0 = x_t;  h_l = relu(h_{l−1} W_lᵀ + b_l + E_l\[t]) for l = 1, …, K − 1;
/// ε_θ = h_{K−1} W_Kᵀ + b_K                      (slug `mlp_forward`)
/// # Shapes
/// `x`: (N, 2); `times`: N values in 1..=T; result: (N, 2), and h_l (N, width of layer l)
/// # Errors
/// [`Error::ShapeMismatch`] where `x` does not fit the network or there is not one time a
/// row; [`Error::StepOutOfRange`] for a time outside 1..=T
/// # Source
/// The network `MLPDiffusion` of the widespread S-curve notebook
/// # Examples
/// ```
/// use literate_diffusion::mlp::{MlpDiffusion, mlp_forward};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
/// let net = MlpDiffusion::<f64>::new(&[2, 16, 2], 10, &mut StdRng::seed_from_u64(0))?;
/// let there = mlp_forward(&net, &array![[0.1, 0.2], [0.1, 0.2]], &[1, 10])?;
/// assert!(there.eps_theta.row(0) != there.eps_theta.row(1)); // the same point at two times
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: mlp_forward
pub fn mlp_forward<F: Real>(net: &MlpDiffusion<F>, x: &ArrayRef2<F>, times: &[usize]) -> Result<Activations<F>> {
    let (last, hidden) = net.layers()?;
    has_shape("times", &[x.nrows()], &[times.len()])?;
    let mut h = vec![x.to_owned()];
    for (l, (linear, table)) in hidden.iter().zip(&net.embeddings).enumerate() {
        let mut a = linear_forward(&h[l], &linear.weight, &linear.bias)?;
        let e = embedding(table, times)?;
        same_shape("the rows of a table", &a, &e)?;
        a += &e;
        h.push(relu(&a));
    }
    let eps_theta = linear_forward(&h[hidden.len()], &last.weight, &last.bias)?;
    Ok(Activations { h, eps_theta })
}
// ANCHOR_END: mlp_forward

/// The gradient of the loss by every parameter, from the output back to the input.
///
/// # Formula
/// δ_K = ∂L/∂ε_θ;  δ_l = (δ_{l+1} W_{l+1}) where h_l > 0, else 0, for l = K − 1, …, 1;
/// ∂L/∂W_l = δ_lᵀ h_{l−1},  ∂L/∂b_l = Σ_n δ_{l,n},  ∂L/∂E_l\[t] = Σ_{n : t_n = t} δ_{l,n}                (slug `mlp_backward`)
/// # Shapes
/// `there`: of [`mlp_forward`] for the same `net` and `times`; `delta`: (N, 2); result: as `net`
/// # Errors
/// [`Error::ShapeMismatch`] and [`Error::StepOutOfRange`] as
/// [`mlp_forward`], where an argument belongs to another network or batch
/// # Source
/// Rumelhart, Hinton, Williams 1986, for this network
/// # Examples
/// ```
/// use literate_diffusion::mlp::{MlpDiffusion, loss_gradient, mlp_backward, mlp_forward};
/// use ndarray::array;
/// use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
/// let net = MlpDiffusion::<f64>::new(&[2, 16, 2], 10, &mut StdRng::seed_from_u64(0))?;
/// let there = mlp_forward(&net, &array![[0.1, 0.2]], &[10])?;
/// let (_, delta) = loss_gradient(&array![[1.0, -1.0]], &there.eps_theta)?;
/// let gradient = mlp_backward(&net, &there, &[10], &delta)?;
/// assert_eq!(gradient.linears[1].bias, delta.row(0));
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: mlp_backward
pub fn mlp_backward<F: Real>(
    net: &MlpDiffusion<F>,
    there: &Activations<F>,
    times: &[usize],
    delta: &ArrayRef2<F>,
) -> Result<MlpDiffusion<F>> {
    net.layers()?;
    has_shape("h", &[net.linears.len()], &[there.h.len()])?;
    let (mut linears, mut embeddings) = (Vec::new(), Vec::new());
    let mut delta = delta.to_owned();
    for (l, linear) in net.linears.iter().enumerate().rev() {
        let back = linear_backward(&there.h[l], &linear.weight, &delta)?;
        linears.insert(0, Linear { weight: back.weight, bias: back.bias });
        if l > 0 {
            delta = relu_backward(&there.h[l], &back.x)?;
            embeddings.insert(0, embedding_backward(net.embeddings[l - 1].nrows(), times, &delta)?);
        }
    }
    Ok(MlpDiffusion { linears, embeddings })
}
// ANCHOR_END: mlp_backward

/// Shortens a gradient that is longer than `max_norm`, all tensors by the one factor, and returns its length before.
///
/// Where the sum of the squares overflows, the length is infinite and the gradient becomes 0. [`Trainer::step`] stops there.
///
/// # Formula
/// ‖g‖ = √(Σ g_i²) over all tensors;  g ← g · min(1, g_max/(‖g‖ + 10⁻⁶))                      (slug `clip_grad_norm`)
/// # Shapes
/// `gradient`: any tensors
/// # Errors
/// [`Error::OutOfRange`] unless `max_norm` is a finite number above 0
/// # Source
/// Pascanu, Mikolov, Bengio 2013, algorithm 1; the 10⁻⁶ is PyTorch's
/// # Examples
/// ```
/// use literate_diffusion::mlp::clip_grad_norm;
/// let mut gradient = ndarray::array![30.0, 40.0];
/// let norm = clip_grad_norm(&mut [gradient.view_mut().into_dyn()], 1.0)?;
/// assert_eq!(norm, 50.0);
/// assert!((gradient[0] - 0.6_f64).abs() < 1e-7);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: clip_grad_norm
pub fn clip_grad_norm<F: Real>(gradient: &mut [ArrayViewMutD<'_, F>], max_norm: f64) -> Result<f64> {
    positive("max_norm", max_norm)?;
    let squares = |tensor: &ArrayViewMutD<'_, F>| -> f64 {
        let g = tensor.flatten();
        g.dot(&g).into()
    };
    let norm = gradient.iter().map(squares).sum::<f64>().sqrt();
    let factor = max_norm / (norm + paper::CLIP_EPSILON);
    if factor < 1.0 {
        gradient.iter_mut().for_each(|tensor| tensor.mapv_inplace(|g| g * F::of(factor)));
    }
    Ok(norm)
}
// ANCHOR_END: clip_grad_norm

/// The numbers that Adam is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// λ, the learning rate.
    pub lr: f64,
    /// β₁, how much of the mean gradient stays at each step.
    pub beta_1: f64,
    /// β₂, how much of the mean square stays at each step.
    pub beta_2: f64,
    /// What is added to the root, so that nothing is divided by 0.
    pub epsilon: f64,
}

impl AdamSettings {
    /// The paper's own β₁, β₂ and ε, with a learning rate.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `lr` is a finite number above 0
    pub fn kingma_ba(lr: f64) -> Result<Self> {
        let (beta_1, beta_2, epsilon) = (paper::ADAM_BETA_1, paper::ADAM_BETA_2, paper::ADAM_EPSILON);
        let settings = Self { lr, beta_1, beta_2, epsilon };
        settings.check()?;
        Ok(settings)
    }

    fn check(self) -> Result<()> {
        positive("the learning rate", self.lr)?;
        positive("epsilon", self.epsilon)?;
        for (name, beta) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::OutOfRange { name, expected: "0 or above, and below 1", got: beta });
            }
        }
        Ok(())
    }
}

/// One step of Adam: each parameter moves by about the learning rate, against the sign of its mean gradient.
///
/// `m` and `v` start at 0, so that after k steps they are short of a mean by 1 − β^k: they are divided by that.
///
/// # Formula
/// m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²;
/// θ ← θ − λ · m/(1 − β₁^k) / (√(v/(1 − β₂^k)) + ε)                      (slug `adam_step`)
/// # Shapes
/// `theta`, `gradient`, `m`, `v`: any, all equal; `k` counts the steps, 1 at the first
/// # Errors
/// [`Error::ShapeMismatch`] where they differ in shape;
/// [`Error::OutOfRange`] where `k` is 0, λ or ε is not a finite number above 0, or a β is
/// outside 0 ≤ β < 1
/// # Source
/// Kingma, Ba 2015, algorithm 1
/// # Examples
/// ```
/// use literate_diffusion::mlp::{AdamSettings, adam_step};
/// use ndarray::array;
/// let (mut theta, mut m, mut v) = (array![1.0], array![0.0], array![0.0]);
/// adam_step(&mut theta, &array![1e-3], &mut m, &mut v, 1, AdamSettings::kingma_ba(0.1)?)?;
/// assert!((theta[0] - 0.9_f64).abs() < 1e-5); // the first step is the learning rate, however small the gradient
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
#[doc(alias = "optim")]
// ANCHOR: adam_step
pub fn adam_step<F: Real, D: Dimension>(
    theta: &mut ArrayRef<F, D>,
    gradient: &ArrayRef<F, D>,
    m: &mut ArrayRef<F, D>,
    v: &mut ArrayRef<F, D>,
    k: u64,
    settings: AdamSettings,
) -> Result<()> {
    same_shape("gradient", theta, gradient)?;
    same_shape("m", theta, m)?;
    same_shape("v", theta, v)?;
    positive("k", k as f64)?;
    settings.check()?;
    let AdamSettings { lr, beta_1, beta_2, epsilon } = settings;
    let (grown_1, grown_2) = (1.0 - beta_1.powf(k as f64), 1.0 - beta_2.powf(k as f64));
    let [rate, root, epsilon] = [lr / grown_1, grown_2.sqrt().recip(), epsilon].map(F::of);
    let [beta_1, new_1, beta_2, new_2] = [beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2].map(F::of);
    let update = |(((theta, &g), m), v): (((&mut F, &F), &mut F), &mut F)| {
        *m = normal_or_zero(beta_1 * *m + new_1 * g);
        *v = normal_or_zero(beta_2 * *v + new_2 * g * g);
        *theta -= rate * *m / (v.sqrt() * root + epsilon);
    };
    match (theta.as_slice_mut(), gradient.as_slice(), m.as_slice_mut(), v.as_slice_mut()) {
        (Some(theta), Some(gradient), Some(m), Some(v)) => {
            matmul::widely(|| theta.iter_mut().zip(gradient).zip(m).zip(v).for_each(update));
        }
        _ => theta.iter_mut().zip(gradient).zip(m).zip(v).for_each(update),
    }
    Ok(())
}

/// Makes 0 of a number too small for full precision (below 1.2e-38 in `f32`).
///
/// Where a unit is dead its gradient is 0, and the moments shrink for ever. Next to ε they are nothing long before, but
/// a processor computes with such numbers some hundred times more slowly.
fn normal_or_zero<F: Real>(x: F) -> F {
    if x.abs() < F::min_positive_value() { F::zero() } else { x }
}
// ANCHOR_END: adam_step

/// Moves a running average of the parameters on by one step.
///
/// # Formula
/// θ̄ ← μ θ̄ + (1 − μ) θ                      (slug `ema_update`)
/// # Shapes
/// `average`, `theta`: any, equal
/// # Errors
/// [`Error::ShapeMismatch`] where they differ in shape;
/// [`Error::OutOfRange`] unless 0 ≤ μ ≤ 1
/// # Source
/// Ho, Jain, Abbeel 2020, appendix B, there with μ = 0.9999
/// # Examples
/// ```
/// use literate_diffusion::mlp::ema_update;
/// let mut average = ndarray::array![1.0];
/// ema_update(&mut average, &ndarray::array![2.0], 0.75)?;
/// assert_eq!(average[0], 1.25);
/// # Ok::<(), literate_diffusion::Error>(())
/// ```
// ANCHOR: ema_update
pub fn ema_update<F: Real, D: Dimension>(
    average: &mut ArrayRef<F, D>,
    theta: &ArrayRef<F, D>,
    decay: f64,
) -> Result<()> {
    same_shape("theta", average, theta)?;
    check_decay(decay)?;
    let (old, new) = (F::of(decay), F::of(1.0 - decay));
    Zip::from(average).and(theta).for_each(|average, &theta| *average = old * *average + new * theta);
    Ok(())
}
// ANCHOR_END: ema_update

/// A network in training: θ, Adam's moments, the running average, and how many steps were made.
#[derive(Debug, Clone, PartialEq)]
pub struct Trainer<F> {
    /// The network.
    pub net: MlpDiffusion<F>,
    /// θ̄, the running average of its parameters, where one was asked for.
    pub average: Option<MlpDiffusion<F>>,
    /// Where the numbers of Adam stand; its learning rate may be changed between steps.
    pub adam: AdamSettings,
    m: MlpDiffusion<F>,
    v: MlpDiffusion<F>,
    steps: u64,
    max_norm: f64,
    decay: Option<f64>,
}

impl<F: Real> Trainer<F> {
    /// Begins with a network. The norm of each gradient is clipped at `max_norm`. With a `decay`, the μ of
    /// [`ema_update`], a running average of θ is kept as well.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `max_norm` is a finite number above 0 and 0 ≤ μ ≤ 1
    pub fn new(net: MlpDiffusion<F>, adam: AdamSettings, max_norm: f64, decay: Option<f64>) -> Result<Self> {
        positive("max_norm", max_norm)?;
        decay.map_or(Ok(()), check_decay)?;
        let (average, m, v) = (decay.map(|_| net.clone()), net.zeros_like(), net.zeros_like());
        Ok(Self { net, average, adam, m, v, steps: 0, max_norm, decay })
    }

    /// How many steps were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step of training on a batch, and its loss.
    ///
    /// # Errors
    /// Those of its parts; [`Error::OutOfRange`] where the loss or the norm of the gradient is not finite. Nothing has
    /// changed then.
    pub fn step(&mut self, xt: &ArrayRef2<F>, times: &[usize], eps: &ArrayRef2<F>) -> Result<f64> {
        self.adam.check()?;
        let there = mlp_forward(&self.net, xt, times)?;
        let (loss, delta) = loss_gradient(eps, &there.eps_theta)?;
        finite("the loss", loss.into())?;
        let mut gradient = mlp_backward(&self.net, &there, times, &delta)?;
        let norm = clip_grad_norm(&mut gradient.tensors_mut(), self.max_norm)?;
        finite("the norm of the gradient", norm)?;
        self.move_on(&gradient)?;
        Ok(loss.into())
    }

    fn move_on(&mut self, gradient: &MlpDiffusion<F>) -> Result<()> {
        self.steps += 1;
        let moments = self.m.tensors_mut().into_iter().zip(self.v.tensors_mut());
        let tensors = self.net.tensors_mut().into_iter().zip(gradient.tensors()).zip(moments);
        for ((mut theta, (_, gradient)), (mut m, mut v)) in tensors {
            adam_step(&mut theta, &gradient, &mut m, &mut v, self.steps, self.adam)?;
        }
        if let (Some(average), Some(decay)) = (&mut self.average, self.decay) {
            for (mut average, (_, theta)) in average.tensors_mut().into_iter().zip(self.net.tensors()) {
                ema_update(&mut average, &theta, decay)?;
            }
        }
        Ok(())
    }

    /// All arrays by name, for a checkpoint: `linears.0.weight`, …, and the same with `ema.`, `adam.m.` and `adam.v.`
    /// before it (`ema.` where an average is kept). [`steps`](Self::steps) belongs into the checkpoint as well.
    pub fn arrays(&self) -> Vec<(String, ArrayD<F>)> {
        let parts = [("", &self.net), ("adam.m.", &self.m), ("adam.v.", &self.v)];
        let parts = parts.into_iter().chain(self.average.as_ref().map(|average| ("ema.", average)));
        let named = |(prefix, net): (&str, &MlpDiffusion<F>)| {
            let tensors = net.tensors().into_iter();
            tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.to_owned())).collect::<Vec<_>>()
        };
        parts.flat_map(named).collect()
    }

    /// Goes on from a checkpoint: `find` is asked for each name of [`arrays`](Self::arrays). Where it fails, nothing has
    /// changed.
    ///
    /// # Errors
    /// [`Error::NamedArray`] where there is no array of that name, or one of another shape
    pub fn load(&mut self, steps: u64, find: impl Fn(&str) -> Option<ArrayD<F>>) -> Result<()> {
        let mut loaded = self.clone();
        loaded.steps = steps;
        let parts = [("", &mut loaded.net), ("adam.m.", &mut loaded.m), ("adam.v.", &mut loaded.v)];
        for (prefix, net) in parts.into_iter().chain(loaded.average.as_mut().map(|average| ("ema.", average))) {
            net.load(|name| find(&format!("{prefix}{name}")))?;
        }
        *self = loaded;
        Ok(())
    }
}

/// a · b.
fn matmul<F: Real>(a: ArrayView2<'_, F>, b: ArrayView2<'_, F>) -> Array2<F> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    F::matmul_into(a, b, c.view_mut());
    c
}

/// Fails where a shape is not the one that is expected.
fn has_shape(name: &'static str, expected: &[usize], got: &[usize]) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::ShapeMismatch { name, expected: expected.to_vec(), got: got.to_vec() })
}

/// Fails where a time has no row in a table of `timesteps` rows.
fn within_table(times: &[usize], timesteps: usize) -> Result<()> {
    match times.iter().find(|&&t| t == 0 || t > timesteps) {
        Some(&t) => Err(Error::StepOutOfRange { t, timesteps }),
        None => Ok(()),
    }
}

/// Fails unless a decay lies between 0 and 1.
fn check_decay(decay: f64) -> Result<()> {
    if (0.0..=1.0).contains(&decay) {
        return Ok(());
    }
    Err(Error::OutOfRange { name: "decay", expected: "between 0 and 1", got: decay })
}
