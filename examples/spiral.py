"""Two spirals wound into each other: what no straight border tells apart.

The map below the table is what the network thinks of each point of the plane. With a file name
it is written as a picture:

    python examples/spiral.py spiral.svg
"""

from itertools import pairwise

import adjoint as ad
from adjoint import data, nn, optim, plot, train
from adjoint_cli.scripts import script

SIDE = 1.2


def network(hidden):
    """Layers of these sizes between two coordinates and two scores."""
    sizes = [2, *hidden]
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 2))


def fitted(hidden, points, epochs, seed):
    """A network trained on the points."""
    ad.manual_seed(seed)
    model = network(hidden)
    opt = optim.Adam(model.parameters(), lr=0.02)
    train.fit(model, points, nn.CrossEntropyLoss(), opt, epochs, progress=None)
    return model


def opinion(model, columns, rows):
    """The class that a model gives to each point of a grid, the lowest row first."""
    x = ad.linspace(-SIDE, SIDE, columns).expand(rows, columns)
    y = ad.linspace(-SIDE, SIDE, rows)[:, None].expand(rows, columns)
    grid = ad.stack([x.reshape(-1), y.reshape(-1)], dim=1)
    return train.predict(model, grid).argmax(1).reshape(rows, columns).numpy()


def draw(model, points, path):
    """The plane as an SVG file."""
    x, t = (v.numpy() for v in points)
    groups = {f"class {k}": (x[t == k, 0], x[t == k, 1]) for k in (0, 1)}
    extent = (-SIDE, SIDE, -SIDE, SIDE)
    field = opinion(model, 120, 120)
    return plot.scatter(groups, field=field, extent=extent, title="spirals").save(path)


def main(turns=1.75, points=600, epochs=150, seed=0, picture=None):
    """Train without and with hidden layers, print how well, and the plane."""
    seen = data.spirals(points, turns=turns, seed=seed)
    fresh = data.spirals(points, turns=turns, seed=seed + 1)
    print(f"two spirals of {turns} turns, {points} points, {epochs} epochs\n")
    print("  hidden layers   accuracy on new points")
    found = {}
    for hidden in ((), (4,), (32, 32)):
        model = fitted(hidden, seen, epochs, seed + 1)
        score = train.evaluate(model, fresh, metrics="accuracy")["accuracy"]
        found[hidden] = score
        print(f"  {hidden!s:15} {score:.1%}")
    print()
    for row in opinion(model, 60, 25)[::-1]:
        print("    " + "".join(".#"[k] for k in row))
    if picture:
        print(f"\n  {draw(model, seen, picture)}")
    return found


if __name__ == "__main__":
    script(
        main,
        turns="of each spiral",
        points="to learn from, and as many new ones",
        epochs="times that all points are seen",
        seed="of the points and the first weights",
        picture="an SVG file to write",
    )
