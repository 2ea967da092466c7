"""A curved valley, walked down by gradient descent, by Adam and by L-BFGS.

Rosenbrock's function Σ 100 (x₂ − x₁²)² + (1 − x₁)² has its minimum 0 at (1, ..., 1), at the
bottom of a narrow bent valley. Steps along the gradient bounce between its walls; L-BFGS
learns the curvature from the gradients it has seen and needs many times fewer.
"""

import adjoint as ad
from adjoint import optim
from adjoint_cli.scripts import script


def rosenbrock(x):
    """Σ 100 (x[i+1] − x[i]²)² + (1 − x[i])²."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


class Walk:
    """An optimizer on the way down, with the number of gradients it has asked for."""

    def __init__(self, n, make):
        start = ad.where(ad.arange(n) % 2 == 0, -1.2, 1.0)
        self.x = start.double().requires_grad_()
        self.opt, self.calls = make([self.x]), 0

    def loss(self):
        """The closure: the function and its gradient where x is."""
        self.opt.zero_grad()
        y = rosenbrock(self.x)
        y.backward()
        self.calls += 1
        return y

    def run(self, gradients, goal=1e-10):
        """Go on until the goal is reached or so many gradients are used up."""
        while self.calls < gradients:
            if self.opt.step(self.loss).item() < goal:
                break
        return rosenbrock(self.x).item()

    def distance(self):
        """How far x is from the minimum."""
        return (self.x - 1).norm().item()


WALKERS = {
    "gradient descent": lambda params: optim.SGD(params, lr=1e-3),
    "with momentum": lambda params: optim.SGD(params, lr=2e-4, momentum=0.98),
    "Adam": lambda params: optim.Adam(params, lr=2e-2),
    "L-BFGS": lambda params: optim.LBFGS(
        params, line_search_fn="strong_wolfe", tolerance_change=1e-14
    ),
}


def main(size=10, gradients=4000):
    """Print how far each comes with the same number of gradients."""
    print(f"Rosenbrock's function in {size} variables, at most {gradients} gradients\n")
    print(f"  {'':18}{'gradients':>10}{'value':>12}{'distance':>12}")
    figures = {}
    for name, make in WALKERS.items():
        walk = Walk(size, make)
        value = walk.run(gradients)
        figures[name] = {"value": value, "calls": walk.calls, "away": walk.distance()}
        print(f"  {name:18}{walk.calls:10}{value:12.2e}{walk.distance():12.2e}")
    return figures


if __name__ == "__main__":
    script(
        main,
        size="variables of the function",
        gradients="that each optimizer may ask for",
    )
