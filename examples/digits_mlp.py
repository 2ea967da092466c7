"""A network with a hidden layer against logistic regression, on handwritten digits.

Logistic regression draws one straight border between each two digits; a hidden layer can bend
them. Both see the same images in the same way, and are measured on images that neither saw.
"""

import adjoint as ad
from adjoint import data, nn, optim, train
from adjoint_cli.scripts import script


def logistic():
    """One linear layer: softmax regression."""
    return nn.Linear(64, 10)


def network():
    """A hidden layer of 128, a fifth of which rests at each step."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
    )


def trained(make, epochs, rate, seed):
    """(model, history) after training with Adam and a falling rate."""
    ad.manual_seed(seed)
    model = make()
    opt = optim.Adam(model.parameters(), lr=rate)
    history = train.fit(
        model,
        data.load_digits("train"),
        nn.CrossEntropyLoss(),
        opt,
        epochs,
        batch_size=64,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(opt, epochs),
        progress=None,
    )
    return model, history


def main(epochs=40, seed=0):
    """Train both, print the table, return the test accuracies."""
    scores = ["accuracy", "f1"]
    print(f"digits, {epochs} epochs of Adam\n")
    print(
        f"  {'model':22}{'parameters':>12}{'train loss':>12}{'accuracy':>10}{'F1':>8}"
    )
    found = {}
    for name, make, rate in (
        ("logistic regression", logistic, 1e-2),
        ("network, 128 hidden", network, 4e-3),
    ):
        model, history = trained(make, epochs, rate, seed)
        test = train.evaluate(model, data.load_digits("test"), metrics=scores)
        found[name.split(",")[0]] = test["accuracy"]
        size = sum(p.numel() for p in model.parameters())
        print(
            f"  {name:22}{size:12,}{history.last['loss']:12.4f}"
            f"{test['accuracy']:10.2%}{test['f1']:8.3f}"
        )
    return found


if __name__ == "__main__":
    script(
        main,
        epochs="times that all images are seen",
        seed="of the first weights and the order of images",
    )
