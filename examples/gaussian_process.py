"""A Gaussian process whose length scale, height and noise are learned by gradient.

The data are drawn from a process with known hyperparameters. The log marginal likelihood
log p(y) = −½ yᵀK⁻¹y − ½ log det K − n/2 log 2π is differentiated through the Cholesky
factor of K, and L-BFGS climbs it. Then the process predicts where it has seen nothing.
"""

import math

import adjoint as ad
from adjoint import optim
from adjoint_cli.scripts import script

TRUE = {"length": 0.7, "height": 1.5, "noise": 0.2}


def kernel(a, b, length, height):
    """height² exp(−½ (a − b)² / length²), the covariance of the values at a and b."""
    return height**2 * ad.exp(-0.5 * ((a[:, None] - b[None, :]) / length) ** 2)


def covariance(x, p):
    """Of noisy observations at x."""
    noise = p["noise"] ** 2 * ad.eye(len(x), dtype=x.dtype)
    return kernel(x, x, p["length"], p["height"]) + noise


def log_likelihood(x, y, p):
    """log p(y), and the Cholesky factor it came from."""
    factor = ad.linalg.cholesky(covariance(x, p))
    z = ad.linalg.solve_triangular(factor, y[:, None], upper=False)
    half_log_det = factor.diagonal().log().sum()
    n = len(x)
    return -0.5 * (z * z).sum() - half_log_det - 0.5 * n * math.log(2 * math.pi), factor


def predict(x, y, new, p):
    """Mean and standard deviation of the function at `new`."""
    _, factor = log_likelihood(x, y, p)
    across = kernel(x, new, p["length"], p["height"])
    w = ad.linalg.solve_triangular(factor, across, upper=False)
    z = ad.linalg.solve_triangular(factor, y[:, None], upper=False)
    spread = p["height"] ** 2 - (w * w).sum(0)
    return (w.T @ z)[:, 0], spread.clamp(min=0).sqrt()


def learn(x, y, steps):
    """The hyperparameters of largest likelihood; their logs are what is trained."""
    logs = {k: ad.zeros((), dtype=ad.float64, requires_grad=True) for k in TRUE}
    opt = optim.LBFGS(logs.values(), max_iter=5, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = -log_likelihood(x, y, {k: v.exp() for k, v in logs.items()})[0]
        loss.backward()
        return loss

    for i in range(steps):
        loss = opt.step(closure).item()
        if i % 2 == 0:
            now = "  ".join(f"{k} {v.exp().item():.3f}" for k, v in logs.items())
            print(f"  step {i:2}   log p(y) {-loss:9.3f}   {now}")
    return {k: v.detach().exp() for k, v in logs.items()}


def main(points=120, steps=6, seed=3):
    """Learn from data of the true process, and predict between them."""
    ad.manual_seed(seed)
    x = ad.linspace(0, 10, 2 * points - 1, dtype=ad.float64)
    f = ad.linalg.cholesky(covariance(x, TRUE | {"noise": 1e-4})) @ ad.randn(
        len(x), dtype=ad.float64
    )
    y = f + TRUE["noise"] * ad.randn(len(x), dtype=ad.float64)
    seen, hidden = slice(0, None, 2), slice(1, None, 2)
    print(f"{points} noisy values of a process with {TRUE}\n")
    p = learn(x[seen], y[seen], steps)
    mean, spread = predict(x[seen], y[seen], x[hidden], p)
    error = (mean - f[hidden]).pow(2).mean().sqrt().item()
    inside = ((mean - f[hidden]).abs() < 2 * spread).double().mean().item()
    true = log_likelihood(x[seen], y[seen], TRUE)[0].item()
    best = log_likelihood(x[seen], y[seen], p)[0].item()
    print(f"\n  log p(y): learned {best:.2f}, with the true hyperparameters {true:.2f}")
    print(f"  error between the data {error:.3f}, noise of the data {TRUE['noise']}")
    print(f"  {inside:.0%} of the hidden values within two standard deviations")
    learned = {k: v.item() for k, v in p.items()}
    return {**learned, "best": best, "true": true, "error": error, "inside": inside}


if __name__ == "__main__":
    script(
        main,
        points="noisy values that are seen",
        steps="of L-BFGS, up to five iterations each",
        seed="of the true function and the noise",
    )
