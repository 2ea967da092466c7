"""A network learns the law of a motion from its path: a neural ordinary differential equation.

The path is that of a damped pendulum, seen with noise. The network says how the state changes;
`scan` takes Runge-Kutta steps through it, and the gradient goes back through all of them (Chen
et al., 2018). Compiled, the loop over the steps stays a loop. The learned law is then asked for
a path from a start that it has never seen.
"""

import adjoint as ad
from adjoint import nn, optim
from adjoint_cli.scripts import script

DT = 0.05


def truth(y):
    """d(angle, speed)/dt of a damped pendulum."""
    angle, speed = y.unbind(-1)
    return ad.stack([speed, -4 * ad.sin(angle) - 0.2 * speed], -1)


def path(law, y, steps):
    """The states after each of `steps` steps of Runge and Kutta, in order."""

    def step(y, _):
        k1 = law(y)
        k2 = law(y + DT / 2 * k1)
        k3 = law(y + DT / 2 * k2)
        k4 = law(y + DT * k3)
        y = y + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y, y

    return ad.scan(step, y, length=steps)[1]


def pieces(seen, count, length):
    """Starts drawn along the path, and what follows each: (count, 2), (length, count, 2)."""
    at = ad.randint(0, len(seen) - length, (count,))
    return seen[at], seen[ad.arange(1, length + 1)[:, None] + at]


class Law(nn.Module):
    """dy/dt as a small network."""

    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2))

    def forward(self, y):
        return self.net(y)


def distance(law, start, steps):
    """The mean distance between the learned and the true path from `start`."""
    with ad.no_grad():
        gap = path(law, start, steps) - path(truth, start, steps)
    return gap.square().sum(-1).sqrt().mean().item()


def main(width=64, steps=2000, seed=0):
    """Fit the law to pieces of one path, and follow it where it was not trained."""
    ad.manual_seed(seed)
    start, other = ad.tensor([[2.5, 0.0]]), ad.tensor([[0.0, 3.0]])
    with ad.no_grad():
        seen = ad.cat([start[None], path(truth, start, 400)])[:, 0]
        seen = seen + 0.01 * ad.randn(*seen.shape)
    law = Law(width)
    opt = optim.Adam(law.parameters(), lr=0.02)
    slower = optim.lr_scheduler.CosineAnnealingLR(opt, steps)

    @ad.compile
    def step(y, after):
        opt.zero_grad()
        loss = (path(law, y, 20) - after).abs().mean()
        loss.backward()
        opt.step()
        return loss

    figures = {"before": distance(law, start, 400)}
    print(
        f"a pendulum, {len(seen)} noisy states; mean distance to it over the whole path\n"
    )
    print(f"  untrained     {figures['before']:.4f}")
    for i in range(steps):
        loss = step(*pieces(seen, 32, 20))
        slower.step()
        if (i + 1) % max(1, steps // 5) == 0:
            print(f"  step {i + 1:5}    {distance(law, start, 400):.4f}", end="")
            print(f"   loss {loss.item():.4f}")
    figures["after"] = distance(law, start, 400)
    figures["elsewhere"] = distance(law, other, 400)
    print(f"\n  from a start not seen: {figures['elsewhere']:.4f}")
    return figures


if __name__ == "__main__":
    script(
        main,
        width="hidden units of the law that is learned",
        steps="of Adam, on 32 pieces of the path each",
        seed="of noise, weights and pieces",
    )
