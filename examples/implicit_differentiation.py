"""The derivative of a solution, without differentiating the solver.

Where F(x, a) = 0 defines x(a), dx/da = −(∂F/∂x)⁻¹ ∂F/∂a. So the derivative of a fixed point
needs the function at the fixed point alone, no matter how it was found: no tape of the
iterations is kept. Three examples: Kepler's equation with its known derivatives, a layer
that is a fixed point, and the penalty of a ridge regression chosen by gradient.
"""

import math

import adjoint as ad
from adjoint import optim
from adjoint_cli.scripts import script


class Solution(ad.autograd.Function):
    """x = f(x, a), iterated without a tape; its gradient solves a linear fixed point."""

    @staticmethod
    def forward(ctx, f, a, x):
        for _ in range(500):
            x, before = f(x, a), x
            if (x - before).abs().max() < 1e-13:
                break
        ctx.f = f
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx, g):
        a, x = ctx.saved_tensors
        _, pull = ad.vjp(ctx.f, x, a)
        u = g  # u = g + (∂f/∂x)ᵀ u
        for _ in range(500):
            u, before = g + pull(u)[0], u
            if (u - before).abs().max() < 1e-13:
                break
        return None, pull(u)[1], None


def kepler():
    """E = M + e sin E: dE/dM = 1 / (1 − e cos E) and dE/de = sin E / (1 − e cos E)."""
    a = ad.tensor([1.2, 0.4], dtype=ad.float64, requires_grad=True)  # M, e
    start = ad.zeros((), dtype=ad.float64)
    angle = Solution.apply(lambda x, a: a[0] + a[1] * ad.sin(x), a, start)
    angle.backward()
    x, e = angle.item(), 0.4
    want = [1 / (1 - e * math.cos(x)), math.sin(x) / (1 - e * math.cos(x))]
    print("Kepler's equation E = M + e sin E at M = 1.2, e = 0.4")
    print(f"  E = {x:.12f}")
    for name, got, exact in zip(("dE/dM", "dE/de"), a.grad.tolist(), want, strict=True):
        print(f"  {name}   implicit {got:.12f}   exact {exact:.12f}")
    return max(
        abs(got - exact) for got, exact in zip(a.grad.tolist(), want, strict=True)
    )


def mixed(z, p):
    """tanh(W z + b), with W and b side by side in p."""
    return ad.tanh(p[:, :-1] @ z + p[:, -1])


def layer(size, seed):
    """z = tanh(W z + b): its gradient, and that of 200 iterations on the tape."""
    ad.manual_seed(seed)
    mix = ad.randn(size, size, dtype=ad.float64) * (0.4 / math.sqrt(size))
    bias = ad.randn(size, dtype=ad.float64)
    start = ad.zeros(size, dtype=ad.float64)
    params = ad.cat([mix, bias[:, None]], 1).requires_grad_()
    Solution.apply(mixed, params, start).pow(2).sum().backward()
    implicit, params.grad = params.grad, None
    z = start
    for _ in range(200):
        z = mixed(z, params)
    z.pow(2).sum().backward()
    apart = (implicit - params.grad).abs().max().item()
    print(f"\nA layer z = tanh(W z + b) of {size} numbers")
    print(
        f"  gradient with respect to W and b: apart from 200 unrolled steps by {apart:.1e}"
    )
    return apart


def ridge(steps, seed):
    """The penalty that is best on other data, through the solution of the regression."""
    ad.manual_seed(seed)
    x, noise = ad.randn(60, 20, dtype=ad.float64), 2.0
    true = ad.randn(20, dtype=ad.float64) * 0.5
    y = x @ true + noise * ad.randn(60, dtype=ad.float64)
    a, b, c, d = x[:30], y[:30], x[30:], y[30:]
    eye = ad.eye(20, dtype=ad.float64)

    def error(log_penalty):
        w = ad.linalg.solve(a.T @ a + log_penalty.exp() * eye, a.T @ b)
        return ((c @ w - d) ** 2).mean()

    log_penalty = ad.zeros((), dtype=ad.float64, requires_grad=True)
    opt = optim.LBFGS([log_penalty], max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = error(log_penalty)
        loss.backward()
        return loss

    first = opt.step(closure).item()
    last = error(log_penalty).item()
    grid = ad.linspace(-5, 10, 301, dtype=ad.float64)
    best = min((error(t).item(), t.item()) for t in grid)
    print("\nRidge regression: the penalty by gradient of the validation error")
    print(
        f"  error {first:.4f} at log penalty 0, {last:.4f} at {log_penalty.item():.3f}"
    )
    print(f"  best on a grid of 301: {best[0]:.4f} at {best[1]:.3f}")
    return {"first": first, "last": last, "grid": best[0]}


def main(size=60, steps=30, seed=0):
    """All three."""
    return {
        "kepler": kepler(),
        "layer": layer(size, seed),
        "ridge": ridge(steps, seed + 1),
    }


if __name__ == "__main__":
    script(
        main,
        size="numbers in the layer that is a fixed point",
        steps="of L-BFGS towards the best penalty",
        seed="of the layer and of the regression's data",
    )
