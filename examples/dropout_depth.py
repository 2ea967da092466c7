"""Two experiments: what depth does to gradients, and what dropout does to overfitting.

Depth: a gradient that passes a sigmoid is multiplied by at most 1/4, so that little of it is
left after many layers; relu passes it on whole or not at all (Glorot and Bengio, 2010).
Dropout: a wide network learns wrong labels by heart; when units rest at random it cannot rely
on single ones, and learns what many images have in common (Srivastava et al., 2014).
"""

import math

import adjoint as ad
from adjoint import data, nn, optim, train
from adjoint.nn import functional as F
from adjoint_cli.scripts import script


def deep(activation, depth, width=32):
    """`depth` hidden layers, initialized as suits the activation."""
    layers = [nn.Flatten()]
    for i in range(depth):
        linear = nn.Linear(64 if i == 0 else width, width)
        if activation is nn.ReLU:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def reach(activation, depth, seed):
    """How large the gradient of the first layer is beside that of the last hidden one."""
    ad.manual_seed(seed)
    model = deep(activation, depth)
    x, t = data.load_digits("test")
    F.cross_entropy(model(x), t).backward()
    linear = [m for m in model if isinstance(m, nn.Linear)][:-1]
    first, last = (
        m.weight.grad.pow(2).mean().sqrt().item() for m in (linear[0], linear[-1])
    )
    return first / last


def gradients(depths, seed):
    """Print the table for sigmoid, tanh and relu."""
    print(
        "gradient of the first layer / gradient of the last hidden layer, at the start\n"
    )
    print("  layers " + "".join(f"{d:>10}" for d in depths))
    found = {}
    for activation in (nn.Sigmoid, nn.Tanh, nn.ReLU):
        name = activation.__name__
        found[name] = [reach(activation, d, seed) for d in depths]
        print(f"  {name:8}" + "".join(f"{r:10.1e}" for r in found[name]))
    return found


def misled(images, wrong):
    """Some training images, a part of them with labels drawn by lot."""
    x, t = data.load_digits("train")
    x, t = x[:images], t[:images].clone()
    lots = round(images * wrong)
    t[:lots] = ad.randint(0, 10, (lots,))
    return x, t


def with_dropout(p, images, wrong, epochs, width, seed):
    """(accuracy on its own labels, scores on images with right labels) of a wide network."""
    ad.manual_seed(seed)
    few = misled(images, wrong)
    model = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Dropout(p),
        nn.Linear(width, width), nn.ReLU(), nn.Dropout(p), nn.Linear(width, 10),
    )  # fmt: skip
    opt, loss = optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss()
    train.fit(model, few, loss, opt, epochs, batch_size=50, progress=None)
    own = train.evaluate(model, few, metrics="accuracy")["accuracy"]
    return own, train.evaluate(model, data.load_digits("test"), loss, "accuracy")


def dropout(images, wrong, epochs, width, seed):
    """Print the table for several rates of dropout."""
    print(
        f"\na network of 2 x {width} units learns from {images} images, {wrong:.0%} with labels "
        f"drawn by lot, {epochs} epochs\n"
    )
    print("  dropout   its own labels   test images: accuracy      loss")
    found = {}
    for p in (0.0, 0.3, 0.6):
        own, test = with_dropout(p, images, wrong, epochs, width, seed)
        found[p] = {"own": own, **test}
        print(f"  {p:7}{own:17.1%}{test['accuracy']:24.1%}{test['loss']:10.3f}")
    return found


def main(depths=(2, 4, 8, 16, 32), images=400, epochs=120, width=256, seed=0):
    """Both experiments: the ratios by activation, the scores by rate."""
    ratios = gradients(depths, seed)
    scores = dropout(images, 0.3, epochs, width, seed)
    lost = math.log10(ratios["Sigmoid"][0] / ratios["Sigmoid"][-1])
    print(f"\n  sigmoid: {lost:.0f} digits of the gradient lost to {depths[-1]} layers")
    return {"ratios": ratios, "dropout": scores}


if __name__ == "__main__":
    script(
        main,
        epochs="times that a network with dropout sees its images",
        width="hidden units in each of its layers",
        seed="of weights, wrong labels and dropout",
    )
