"""A network learns a sine from data with gross errors, under several losses.

About a tenth of the targets is wrong by a lot. The squared error follows them; losses that grow
more slowly, or stop growing, take them for what they are. All networks start alike and are
measured against the true curve.
"""

import math

import adjoint as ad
from adjoint import nn, optim
from adjoint_cli.scripts import script

LOSSES = {
    "squared": nn.MSELoss(),
    "absolute": nn.L1Loss(),
    "Huber": nn.HuberLoss(delta=0.3),
    "log-cosh": nn.LogCoshLoss(),
    "Cauchy": nn.CauchyLoss(0.3),
    "Tukey": nn.TukeyLoss(1.5),
}


def data(n, seed, wrong=0.1):
    """x, the noisy sine with gross errors, and the sine itself."""
    ad.manual_seed(seed)
    x = ad.linspace(-math.pi, math.pi, n)[:, None]
    clean = ad.sin(x)
    noisy = clean + 0.1 * ad.randn(n, 1)
    gross = ad.rand(n, 1) < wrong
    return x, ad.where(gross, noisy + 2 + 2 * ad.rand(n, 1), noisy), clean


def fit(loss, x, t, steps, seed):
    """A small network trained on all data at once."""
    ad.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    opt = optim.Adam(model.parameters(), lr=0.02)
    slower = optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    for _ in range(steps):
        opt.zero_grad()
        loss(model(x), t).backward()
        opt.step()
        slower.step()
    return model


def main(points=300, steps=600, seed=0):
    """Fit under each loss, and print how far from the true curve it ends."""
    x, t, clean = data(points, seed)
    spoiled = ((t - clean).abs() > 1).double().mean().item()
    print(f"{points} values of a sine, {spoiled:.0%} of them far off; {steps} steps\n")
    print(f"  {'loss':12}{'error to the data':>20}{'to the true curve':>20}")
    figures = {}
    for name, loss in LOSSES.items():
        y = fit(loss, x, t, steps, seed + 1)(x).detach()
        seen = (y - t).pow(2).mean().sqrt().item()
        figures[name] = (y - clean).pow(2).mean().sqrt().item()
        print(f"  {name:12}{seen:20.3f}{figures[name]:20.3f}")
    return figures


if __name__ == "__main__":
    script(
        main,
        points="values of the sine",
        steps="of Adam, on all of them each",
        seed="of noise, gross errors and weights",
    )
