"""Digits squeezed through a few numbers and drawn again: an autoencoder beside PCA.

An encoder maps an image of 64 pixels to `code` numbers, a decoder draws the image from them.
PCA does the same with linear maps, the best there are for the squared error; a network of the
same width must do better on images that neither has seen.
"""

import numpy as np

import adjoint as ad
from adjoint import nn, optim
from adjoint.data import load_digits
from adjoint.nn import functional as F
from adjoint.train import fit
from adjoint_cli.scripts import script

SHADES = " .:-=+*#%@"


def network(code, width):
    """Pixels to code to pixels; the last sigmoid keeps pixels within 0 and 1."""
    return nn.Sequential(
        nn.Sequential(nn.Linear(64, width), nn.ELU(), nn.Linear(width, code)),
        nn.Sequential(
            nn.Linear(code, width), nn.ELU(), nn.Linear(width, 64), nn.Sigmoid()
        ),
    )


def pca(train, test, code):
    """The test images from their first `code` principal components."""
    mean = train.mean(0)
    _, _, axes = ad.linalg.svd(train - mean, full_matrices=False)
    axes = axes[:code]
    return (test - mean) @ axes.mT @ axes + mean


def show(rows):
    """Images side by side, as characters."""
    for images in rows:
        shades = (images.reshape(-1, 8, 8).clamp(0, 0.999) * len(SHADES)).long().numpy()
        for line in np.swapaxes(shades, 0, 1):
            print(
                "    " + "  ".join("".join(SHADES[i] * 2 for i in row) for row in line)
            )
        print()


def main(code=6, width=256, epochs=120, seed=0):
    """Train, compare with PCA, draw a few digits before and after."""
    ad.manual_seed(seed)
    train, test = load_digits("train")[0], load_digits("test")[0]
    model = network(code, width)
    opt = optim.Adam(model.parameters(), lr=3e-3)
    print(f"{len(train)} images of 64 pixels through {code} numbers\n")
    schedule = optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    fit(
        model,
        (train, train),
        F.mse_loss,
        opt,
        epochs,
        scheduler=schedule,
        batch_size=64,
    )
    model.eval()
    with ad.no_grad():
        drawn, linear = model(test), pca(train, test, code)
    errors = {
        "mean": F.mse_loss(train.mean(0).expand_as(test), test).item(),
        "pca": F.mse_loss(linear, test).item(),
        "network": F.mse_loss(drawn, test).item(),
    }
    print("\n  squared error a pixel, on new images")
    for name, error in errors.items():
        print(f"    {name:8} {error:.5f}")
    print("\n  new images; what PCA makes of them; what the network makes of them\n")
    show([x[:6] for x in (test, linear, drawn)])
    return errors


if __name__ == "__main__":
    script(
        main,
        code="numbers that an image is squeezed through",
        width="hidden units on both sides of them",
        epochs="times that all images are seen",
        seed="of the first weights and the order of images",
    )
