"""A network with a hidden layer against logistic regression, on handwritten digits.

Logistic regression draws one straight border between each two digits; a hidden layer can bend
them. Both see the same images in the same way, and are measured on images that neither saw.
"""

import adjoint as ad
from adjoint import data, nn, optim, train


def logistic():
    """One linear layer: softmax regression."""
    return nn.Linear(64, 10)


def network():
    """A hidden layer of 128, a fifth of which rests at each step."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
    )


def trained(make, epochs, rate):
    """(model, history) after training with Adam and a falling rate."""
    ad.manual_seed(0)
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


def main(small=False):
    """Train both, print the table, return the test accuracies."""
    epochs = 15 if small else 40
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
        model, history = trained(make, epochs, rate)
        test = train.evaluate(model, data.load_digits("test"), metrics=scores)
        found[name.split(",")[0]] = test["accuracy"]
        size = sum(p.numel() for p in model.parameters())
        print(
            f"  {name:22}{size:12,}{history.last['loss']:12.4f}"
            f"{test['accuracy']:10.2%}{test['f1']:8.3f}"
        )
    return found


if __name__ == "__main__":
    main()
