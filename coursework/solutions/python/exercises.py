"""The solutions of the Python track.

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
    beta = np.concatenate([[0.0], np.linspace(beta_1, beta_end, timesteps)])
    return Schedule(beta, 1 - beta, np.cumprod(1 - beta))


def q_step(x_prev, schedule, t, eps):
    """2. x_t, made of x_{t-1} and the noise of that step. 04-forward.html#eq-q_step"""
    return np.sqrt(schedule.alpha[t]) * x_prev + np.sqrt(schedule.beta[t]) * eps


def q_sample(x0, schedule, t, eps):
    """3. x_t, made of x_0 and one noise. 04-forward.html#eq-q_sample"""
    alpha_bar = schedule.alpha_bar[t]
    return np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * eps


def posterior_variance(schedule, t):
    """4. The variance of q(x_{t-1} | x_t, x_0). 05-posterior.html#eq-posterior_variance"""
    return (1 - schedule.alpha_bar[t - 1]) / (1 - schedule.alpha_bar[t]) * schedule.beta[t]


def posterior_mean(x0, xt, schedule, t):
    """5. The mean of q(x_{t-1} | x_t, x_0). 05-posterior.html#eq-posterior_mean"""
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    of_x0 = np.sqrt(alpha_bar_prev) * schedule.beta[t] / (1 - alpha_bar)
    of_xt = np.sqrt(schedule.alpha[t]) * (1 - alpha_bar_prev) / (1 - alpha_bar)
    return of_x0 * x0 + of_xt * xt


def x0_from_eps(xt, schedule, t, eps):
    """6. The data from which the noise leads to x_t. 07-objective.html#eq-x0_from_eps"""
    alpha_bar = schedule.alpha_bar[t]
    return (xt - np.sqrt(1 - alpha_bar) * eps) / np.sqrt(alpha_bar)


def eps_from_x0(x0, xt, schedule, t):
    """6. The noise that leads from x_0 to x_t. 07-objective.html#eq-eps_from_x0"""
    alpha_bar = schedule.alpha_bar[t]
    return (xt - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)


def v_target(x0, schedule, t, eps):
    """6. The velocity that belongs to x_0 and eps: the derivative of x_t by phi, where sqrt(alpha_bar_t) = cos(phi).

    07-objective.html#eq-v_target"""
    alpha_bar = schedule.alpha_bar[t]
    return np.sqrt(alpha_bar) * eps - np.sqrt(1 - alpha_bar) * x0


def antithetic_times(uniforms, timesteps):
    """7. A time in 1..=T for each of the n uniforms in [0, 1), then, in the same order, the mirror image of each: 2n integers.

    A draw near 0 gives a time near 1.

    07-objective.html#eq-antithetic_times
    """
    drawn = (np.asarray(uniforms) * timesteps).astype(int) + 1
    return np.concatenate([drawn, timesteps + 1 - drawn])


def l_simple(eps, eps_theta):
    """8. The loss of a batch, a mean over points and dimensions. 07-objective.html#eq-l_simple"""
    return np.mean((eps - eps_theta) ** 2)


def eps_weight(schedule, t, variance):
    """9. The factor of |eps - eps_theta|^2 in the bound; `variance` is sigma_t^2. 07-objective.html#eq-eps_weight"""
    return schedule.beta[t] ** 2 / (2 * variance * schedule.alpha[t] * (1 - schedule.alpha_bar[t]))


def ancestral_step(xt, schedule, t, eps, z):
    """10. x_{t-1} with sigma_t^2 = beta_t, and no noise at t = 1. 08-sampler.html#eq-ancestral_step"""
    beta = schedule.beta[t]
    mean = (xt - beta / np.sqrt(1 - schedule.alpha_bar[t]) * eps) / np.sqrt(schedule.alpha[t])
    return mean if t == 1 else mean + np.sqrt(beta) * z


def ancestral(x_end, schedule, z, eps_theta):
    """11. From x_T to x_0. eps_theta(x_t, t) predicts the noise; z[t] is fresh noise for the step from x_t.

    08-sampler.html#eq-ancestral
    """
    x = x_end
    for t in range(schedule.timesteps, 0, -1):
        x = ancestral_step(x, schedule, t, eps_theta(x, t), z[t])
    return x


def ddim_step(xt, schedule, t, s, eta, eps, z):
    """12. x_s, made of x_t, for any s < t. sigma is eta, from 0 to 1, times the standard deviation of q(x_s | x_t, x_0).

    The step from s to t has beta = 1 - alpha_bar_t / alpha_bar_s. 08-sampler.html#eq-ddim_step, #eq-ddim_sigma
    """
    now, then = schedule.alpha_bar[t], schedule.alpha_bar[s]
    x0_hat = (xt - np.sqrt(1 - now) * eps) / np.sqrt(now)
    sigma = eta * np.sqrt((1 - then) / (1 - now) * (1 - now / then))
    # At s = 0 both are 0, and rounding must not carry their difference below.
    kept = np.sqrt(max(1 - then - sigma**2, 0.0))
    return np.sqrt(then) * x0_hat + kept * eps + sigma * z


def prior_bits(x0, schedule):
    """13. The KL from q(x_T | x_0) to N(0, I), in bits per dimension. 06-elbo.html#eq-prior_term"""
    alpha_bar = schedule.alpha_bar[schedule.timesteps]
    return np.mean(kl(np.sqrt(alpha_bar) * x0, 1 - alpha_bar, 0.0, 1.0)) / np.log(2)


def reverse_step_bits(mu_tilde, mu_theta, schedule, t):
    """13. The KL from q(x_{t-1} | x_t, x_0), of mean mu_tilde, to N(mu_theta, beta_t I), in bits per dimension.

    07-objective.html#eq-kl_reverse_step
    """
    nats = kl(mu_tilde, posterior_variance(schedule, t), mu_theta, schedule.beta[t])
    return np.mean(nats) / np.log(2)


def kl(m, v, n, w):
    """KL(N(m, v) || N(n, w)) of each number, in nats."""
    return 0.5 * (v / w - 1 - np.log(v / w) + (m - n) ** 2 / w)


def forward(net, x, times):
    """14. eps_theta for each row of x, which has a time of its own. 09-s_curve.html#eq-mlp_forward"""
    return hidden(net, x, times) @ net.w2.T + net.b2


def hidden(net, x, times):
    """relu(w1 x + b1 + e[t])."""
    return np.maximum(x @ net.w1.T + net.b1 + net.e[times], 0.0)


def backward(net, x, times, eps):
    """14. L_simple of a batch, and its gradient as a Net. A time may come twice. 09-s_curve.html#eq-mlp_backward"""
    h = hidden(net, x, times)
    error = h @ net.w2.T + net.b2 - eps
    delta_2 = 2 * error / error.size
    delta_1 = (delta_2 @ net.w2) * (h > 0)
    e = np.zeros_like(net.e)
    np.add.at(e, times, delta_1)  # a time that is there twice gathers from both
    gradient = Net(delta_1.T @ x, delta_1.sum(axis=0), e, delta_2.T @ h, delta_2.sum(axis=0))
    return np.mean(error**2), gradient


def train(points, schedule, rng):
    """15. Trains a network on points of the S-curve. Returns a function eps_theta(x, t) for points (n, 2) at one t.

    Its loss must come within 0.05 of the Bayes floor. All random draws come from `rng`, a numpy.random.Generator.
    09-s_curve.html#eq-mean_bayes_floor
    """
    units, steps, batch, learning_rate = 64, 3000, 128, 0.01
    net = Net(
        w1=rng.normal(size=(units, 2)),
        b1=np.zeros(units),
        e=rng.normal(size=(schedule.timesteps + 1, units)),
        w2=rng.normal(size=(2, units)) / np.sqrt(units),
        b2=np.zeros(2),
    )
    m, v = [np.zeros_like(part) for part in net], [np.zeros_like(part) for part in net]
    for k in range(1, steps + 1):
        times = antithetic_times(rng.uniform(size=batch // 2), schedule.timesteps)
        x0, eps = points[rng.integers(len(points), size=batch)], rng.normal(size=(batch, 2))
        alpha_bar = schedule.alpha_bar[times][:, None]
        xt = np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * eps
        _, gradient = backward(net, xt, times, eps)
        rate = learning_rate * (1 - k / steps)
        for theta, g, m_, v_ in zip(net, gradient, m, v):
            m_ += 0.1 * (g - m_)
            v_ += 0.001 * (g * g - v_)
            theta -= rate * (m_ / (1 - 0.9**k)) / (np.sqrt(v_ / (1 - 0.999**k)) + 1e-8)
    return lambda x, t: forward(net, x, np.full(len(x), t))


def score(xt, points, schedule, t):
    """16. The gradient of ln q(x_t) where the data is m points (m, d), all equally likely. 09-s_curve.html#eq-score"""
    alpha_bar = schedule.alpha_bar[t]
    means = np.sqrt(alpha_bar) * points
    squares = ((xt[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)
    exponents = -squares / (2 * (1 - alpha_bar))
    # The largest exponent is taken off, so that not all of them underflow.
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights @ means - xt) / (1 - alpha_bar)


def optimal_eps(xt, points, schedule, t):
    """16. E[eps | x_t] for the same data. 09-s_curve.html#eq-optimal_eps"""
    return -np.sqrt(1 - schedule.alpha_bar[t]) * score(xt, points, schedule, t)
