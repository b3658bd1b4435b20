"""The sixteen exercises. Replace each `raise NotImplementedError`.

Time is t = 1, ..., T. In a Schedule the index is t, so that each array has T + 1 entries, and the entry 0 belongs to the
data: beta_0 = 0, alpha_0 = 1, alpha_bar_0 = 1. Arrays are (n, d): n points of d numbers, a point a row. Noise is an
argument, never drawn inside a formula. The book has each equation; the names below are those of its chapters.
"""

from typing import NamedTuple

import numpy as np


class Schedule(NamedTuple):
    """A noise schedule. In each array the index is t."""

    beta: np.ndarray
    alpha: np.ndarray
    alpha_bar: np.ndarray

    @property
    def timesteps(self):
        """T, the number of steps."""
        return len(self.beta) - 1


class Net(NamedTuple):
    """eps_theta(x, t) = w2 @ relu(w1 @ x + b1 + e[t]) + b2, for one point x. A gradient has the same form.

    Shapes: w1 (H, 2), b1 (H,), e (T + 1, H), w2 (2, H), b2 (2,).
    """

    w1: np.ndarray
    b1: np.ndarray
    e: np.ndarray
    w2: np.ndarray
    b2: np.ndarray


def linear(timesteps, beta_1, beta_end):
    """1. A Schedule whose beta grows on a straight line, from beta_1 at t = 1 to beta_end at t = T.

    T is 2 or more. 03-schedule.html#eq-linear, #eq-alpha_bar
    """
    raise NotImplementedError


def q_step(x_prev, schedule, t, eps):
    """2. x_t, made of x_{t-1} and the noise of that step. 04-forward.html#eq-q_step"""
    raise NotImplementedError


def q_sample(x0, schedule, t, eps):
    """3. x_t, made of x_0 and one noise. 04-forward.html#eq-q_sample"""
    raise NotImplementedError


def posterior_variance(schedule, t):
    """4. The variance of q(x_{t-1} | x_t, x_0). 05-posterior.html#eq-posterior_variance"""
    raise NotImplementedError


def posterior_mean(x0, xt, schedule, t):
    """5. The mean of q(x_{t-1} | x_t, x_0). 05-posterior.html#eq-posterior_mean"""
    raise NotImplementedError


def x0_from_eps(xt, schedule, t, eps):
    """6. The data from which the noise leads to x_t. 07-objective.html#eq-x0_from_eps"""
    raise NotImplementedError


def eps_from_x0(x0, xt, schedule, t):
    """6. The noise that leads from x_0 to x_t. 07-objective.html#eq-eps_from_x0"""
    raise NotImplementedError


def v_target(x0, schedule, t, eps):
    """6. The velocity that belongs to x_0 and eps: the derivative of x_t by phi, where sqrt(alpha_bar_t) = cos(phi).

    07-objective.html#eq-v_target"""
    raise NotImplementedError


def antithetic_times(uniforms, timesteps):
    """7. A time in 1..=T for each of the n uniforms in [0, 1), then, in the same order, the mirror image of each: 2n integers.

    A draw near 0 gives a time near 1.

    07-objective.html#eq-antithetic_times
    """
    raise NotImplementedError


def l_simple(eps, eps_theta):
    """8. The loss of a batch, a mean over points and dimensions. 07-objective.html#eq-l_simple"""
    raise NotImplementedError


def eps_weight(schedule, t, variance):
    """9. The factor of |eps - eps_theta|^2 in the bound; `variance` is sigma_t^2. 07-objective.html#eq-eps_weight"""
    raise NotImplementedError


def ancestral_step(xt, schedule, t, eps, z):
    """10. x_{t-1} with sigma_t^2 = beta_t, and no noise at t = 1. 08-sampler.html#eq-ancestral_step"""
    raise NotImplementedError


def ancestral(x_end, schedule, z, eps_theta):
    """11. From x_T to x_0. eps_theta(x_t, t) predicts the noise; z[t] is fresh noise for the step from x_t.

    08-sampler.html#eq-ancestral
    """
    raise NotImplementedError


def ddim_step(xt, schedule, t, s, eta, eps, z):
    """12. x_s, made of x_t, for any s < t. sigma is eta, from 0 to 1, times the standard deviation of q(x_s | x_t, x_0).

    The step from s to t has beta = 1 - alpha_bar_t / alpha_bar_s. 08-sampler.html#eq-ddim_step, #eq-ddim_sigma
    """
    raise NotImplementedError


def prior_bits(x0, schedule):
    """13. The KL from q(x_T | x_0) to N(0, I), in bits per dimension. 06-elbo.html#eq-prior_term"""
    raise NotImplementedError


def reverse_step_bits(mu_tilde, mu_theta, schedule, t):
    """13. The KL from q(x_{t-1} | x_t, x_0), of mean mu_tilde, to N(mu_theta, beta_t I), in bits per dimension.

    07-objective.html#eq-kl_reverse_step
    """
    raise NotImplementedError


def forward(net, x, times):
    """14. eps_theta for each row of x, which has a time of its own. 09-s_curve.html#eq-mlp_forward"""
    raise NotImplementedError


def backward(net, x, times, eps):
    """14. L_simple of a batch, and its gradient as a Net. A time may come twice. 09-s_curve.html#eq-mlp_backward"""
    raise NotImplementedError


def train(points, schedule, rng):
    """15. Trains a network on points of the S-curve. Returns a function eps_theta(x, t) for points (n, 2) at one t.

    Its loss must come within 0.05 of the Bayes floor. All random draws come from `rng`, a numpy.random.Generator.
    09-s_curve.html#eq-mean_bayes_floor
    """
    raise NotImplementedError


def score(xt, points, schedule, t):
    """16. The gradient of ln q(x_t) where the data is m points (m, d), all equally likely. 09-s_curve.html#eq-score"""
    raise NotImplementedError


def optimal_eps(xt, points, schedule, t):
    """16. E[eps | x_t] for the same data. 09-s_curve.html#eq-optimal_eps"""
    raise NotImplementedError
