"""One hidden layer approximates any continuous function, the wider the better.

The theorem (Cybenko, 1989) says that a width exists for every error. Here, for each width,
L-BFGS looks for slopes and places of the bends, in double precision; the output layer is at
each step the best one for them, and gradients pass through its least squares (variable
projection, Golub and Pereyra, 1973). A smooth function needs few units, a kink or a point of
infinite slope many.
"""

import math

import adjoint as ad
from adjoint import optim
from adjoint_cli.scripts import script

FUNCTIONS = {
    "sin(3x)": lambda x: ad.sin(3 * x),
    "|x|": ad.abs,
    "√|x|": lambda x: ad.sqrt(ad.abs(x)),
}


def best_outputs(slopes, places, x, t):
    """The hidden layer's values, weighed so that their sum is as near to t as can be."""
    hidden = ad.cat([ad.tanh(slopes * (x - places)), ad.ones_like(x)], dim=1)
    small = 1e-10 * len(x) * ad.eye(hidden.shape[1], dtype=ad.float64)
    weights = ad.linalg.solve(hidden.T @ hidden + small, hidden.T @ t)
    return hidden @ weights


def errors_of(function, width, steps, n=201):
    """(root mean square, largest) error on [-1, 1] with this many hidden units."""
    x = ad.linspace(-1, 1, n, dtype=ad.float64)[:, None]
    t = function(x)
    places = ad.linspace(-1, 1, width + 2, dtype=ad.float64)[1:-1].clone()
    slopes = ad.full((width,), 2.0 + width / 2, dtype=ad.float64)
    unknown = [slopes.requires_grad_(), places.requires_grad_()]
    opt = optim.LBFGS(unknown, max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = ((best_outputs(slopes, places, x, t) - t) ** 2).mean().log()
        loss.backward()
        return loss

    opt.step(closure)
    error = (best_outputs(slopes, places, x, t) - t).detach()
    return error.pow(2).mean().sqrt().item(), error.abs().amax().item()


def main(widths=(1, 2, 4, 8, 16), steps=300):
    """Fit each function with each width, print the errors."""
    print(
        "errors on [-1, 1] of one hidden layer, by its width: root mean square, largest\n"
    )
    print("  function" + "".join(f"{w:>18}" for w in widths))
    found = {}
    for name, function in FUNCTIONS.items():
        errors = [errors_of(function, w, steps) for w in widths]
        found[name] = {w: rms for w, (rms, _) in zip(widths, errors, strict=True)}
        cells = "".join(f"{rms:9.0e}{most:9.0e}" for rms, most in errors)
        print(f"  {name:8}{cells}")
    slope = math.log(found["sin(3x)"][widths[0]] / found["sin(3x)"][widths[-1]], 10)
    print(
        f"\n  sin(3x): {slope:.1f} digits gained from width {widths[0]} to {widths[-1]}"
    )
    return found


if __name__ == "__main__":
    script(main, steps="iterations of L-BFGS for each function and width")
