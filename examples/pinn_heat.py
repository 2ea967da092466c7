"""A network that solves the heat equation u_t = a·u_xx from the equation alone.

No value inside is ever shown to it: the loss is what the equation leaves over at random
points, with u_xx a second derivative of the network by its input, and the gradient by the
weights a third. A factor x(1 − x) makes the ends cold and a factor t keeps the start (a hard
constraint, so that nothing weighs one against the other). Compared with the closed form.
"""

import math

import adjoint as ad
from adjoint import nn, optim
from adjoint_cli.scripts import script

A = 0.1


def start(x):
    """u(x, 0): two waves, which fade at different rates."""
    return ad.sin(math.pi * x) + 0.5 * ad.sin(3 * math.pi * x)


def exact(x, t):
    """u(x, t): the wave sin(kπx) fades as exp(−a k²π² t)."""
    slow, fast = (ad.exp(-A * (k * math.pi) ** 2 * t) for k in (1, 3))
    return slow * ad.sin(math.pi * x) + 0.5 * fast * ad.sin(3 * math.pi * x)


class Rod(nn.Module):
    """u(x, t) with the ends and the start built in."""

    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        ).append(nn.Linear(width, 1))

    def forward(self, x, t):
        free = self.net(ad.stack([2 * x - 1, 2 * t - 1], -1)).squeeze(-1)
        return start(x) + t * x * (1 - x) * free


def along(f, x):
    """The derivative of a function that works point by point, at all points x."""
    return ad.func.jvp(f, (x,), (ad.ones_like(x),))[1]


def residual(u, x, t):
    """u_t − a·u_xx."""
    u_t = along(lambda t: u(x, t), t)
    u_xx = along(lambda x: along(lambda x: u(x, t), x), x)
    return u_t - A * u_xx


def error(model):
    """The largest distance to the closed form on a grid."""
    x, t = ad.meshgrid(ad.linspace(0, 1, 41), ad.linspace(0, 1, 21), indexing="ij")
    with ad.no_grad():
        return (model(x, t) - exact(x, t)).abs().max().item()


def main(width=32, points=256, steps=3000, seed=0):
    """Train on the equation, and print u at a few times beside the closed form."""
    ad.manual_seed(seed)
    model = Rod(width)
    opt = optim.Adam(model.parameters(), lr=0.01)
    slower = optim.lr_scheduler.CosineAnnealingLR(opt, steps)

    @ad.compile
    def step(x, t):
        opt.zero_grad()
        loss = residual(model, x, t).square().mean()
        loss.backward()
        opt.step()
        return loss

    first = error(model)
    print(
        f"u_t = {A} u_xx on a rod with cold ends; largest error before: {first:.3f}\n"
    )
    for i in range(steps):
        loss = step(ad.rand(points), ad.rand(points))
        slower.step()
        if (i + 1) % max(1, steps // 6) == 0:
            print(f"  step {i + 1:5}   residual² {loss.item():.6f}", end="")
            print(f"   largest error {error(model):.5f}")
    print("\n  u(1/2, t)    network   closed form")
    half = ad.tensor([0.5])
    for at in (0.0, 0.1, 0.3, 1.0):
        t = ad.tensor([at])
        print(
            f"  t = {at:3}   {model(half, t).item():11.5f}{exact(half, t).item():14.5f}"
        )
    return {"first": first, "error": error(model), "residual": loss.item()}


if __name__ == "__main__":
    script(
        main,
        width="units of both hidden layers",
        points="at which each step looks at the equation",
        steps="of Adam",
        seed="of the first weights and the points",
    )
