"""A mixture of Gaussians fitted by gradient, next to expectation maximization.

The likelihood of a mixture is a logsumexp of quadratic forms, so its gradient comes for
free; weights go through a softmax and covariances through their Cholesky factors, and then
nothing constrains what the optimizer does. EM from the same start finds the same maximum.
"""

import math

import numpy as np

import adjoint as ad
from adjoint import optim
from adjoint_cli.scripts import script

MEANS = np.array([[0.0, 0.0], [3.0, 1.0], [-1.0, 3.5]])
FACTORS = np.array(
    [[[1.0, 0], [0.6, 0.5]], [[0.6, 0], [-0.5, 0.9]], [[0.5, 0], [0, 0.5]]]
)
WEIGHTS = np.array([0.5, 0.3, 0.2])


def draw(n, rng):
    """n points of the mixture."""
    kind = rng.choice(3, n, p=WEIGHTS)
    return MEANS[kind] + np.einsum("nij,nj->ni", FACTORS[kind], rng.normal(size=(n, 2)))


def log_densities(x, means, factors):
    """log N(x | mean, L Lᵀ) of each point (rows) under each part (columns)."""
    d = x.shape[-1]
    away = (x[:, None, :] - means)[..., None]
    z = ad.linalg.solve_triangular(factors, away, upper=False)[..., 0]
    half_log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (z * z).sum(-1) - half_log_det - 0.5 * d * math.log(2 * math.pi)


class Mixture:
    """Free numbers that stand for weights, means and covariances."""

    def __init__(self, means):
        k, d = means.shape
        self.scores = ad.zeros(k, dtype=ad.float64, requires_grad=True)
        self.means = ad.tensor(means, requires_grad=True)
        self.below = ad.zeros(k, d, d, dtype=ad.float64, requires_grad=True)
        self.parameters = [self.scores, self.means, self.below]

    def factors(self):
        """Cholesky factors: anything below the diagonal, something positive on it."""
        on = self.below.diagonal(dim1=-2, dim2=-1).exp()
        return ad.tril(self.below, -1) + ad.diag_embed(on)

    def log_likelihood(self, x):
        """Mean of log Σ weight · density."""
        parts = log_densities(x, self.means, self.factors())
        return ad.logsumexp(parts + ad.log_softmax(self.scores, 0), -1).mean()


def by_gradient(x, means, steps):
    """Adam climbs the likelihood."""
    mixture = Mixture(means)
    opt = optim.Adam(mixture.parameters, lr=0.05, maximize=True)
    slower = optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    data = ad.tensor(x)
    for i in range(steps):
        opt.zero_grad()
        value = mixture.log_likelihood(data)
        value.backward()
        opt.step()
        slower.step()
        if i % max(1, steps // 6) == 0 or i == steps - 1:
            print(f"  step {i:4}   log likelihood {value.item():.5f}")
    return mixture, value.item()


def by_em(x, means, rounds):
    """Expectation maximization, in NumPy."""
    k, d = means.shape
    weights, covariances = np.full(k, 1 / k), np.tile(np.eye(d), (k, 1, 1))
    value = -np.inf
    for _ in range(rounds):
        away = x[:, None, :] - means
        inner = np.einsum("nki,kij,nkj->nk", away, np.linalg.inv(covariances), away)
        logs = -0.5 * (inner + np.linalg.slogdet(2 * np.pi * covariances)[1])
        joint = logs + np.log(weights)
        total = np.logaddexp.reduce(joint, axis=1)
        share, value = np.exp(joint - total[:, None]), total.mean()
        mass = share.sum(0)
        weights, means = mass / len(x), share.T @ x / mass[:, None]
        away = x[:, None, :] - means
        covariances = np.einsum("nk,nki,nkj->kij", share, away, away)
        covariances /= mass[:, None, None]
    return weights, means, value


def main(points=3000, steps=1200, seed=0):
    """Fit both ways, and compare the maxima and the parts they found."""
    rng = np.random.default_rng(seed)
    x = draw(points, rng)
    start = x[rng.choice(points, 3, replace=False)]
    print(f"{points} points of three Gaussians\n")
    mixture, value = by_gradient(x, start, steps)
    em_weights, em_means, em_value = by_em(x, start, steps)
    weights = ad.softmax(mixture.scores, 0).detach().numpy()
    means = mixture.means.detach().numpy()
    print(f"\n  log likelihood: gradient {value:.6f}, EM {em_value:.6f}\n")
    print(f"  {'':8}{'weight':>8}{'mean':>20}")
    order = {
        "true": (WEIGHTS, MEANS),
        "gradient": (weights, means),
        "EM": (em_weights, em_means),
    }
    for name, (w, m) in order.items():
        for i in np.argsort(-w):
            print(f"  {name:8}{w[i]:8.3f}{m[i, 0]:10.3f}{m[i, 1]:10.3f}")
    apart = np.abs(np.sort(means, 0) - np.sort(em_means, 0)).max()
    off = np.abs(np.sort(means, 0) - np.sort(MEANS, 0)).max()
    return {"value": value, "em": em_value, "apart": apart, "off": off}


if __name__ == "__main__":
    script(
        main,
        steps="of Adam, and rounds of EM",
        seed="of the points and where both start",
    )
