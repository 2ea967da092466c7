"""What `make demo` shows: a function explained and differentiated, a network fitted."""

import math

import adjoint as ad


def program(x1, x2, a):
    """f(x1, x2) = x1**2 + (x1 - x2)**a - log(x1**2 + x2**2), a name for every step."""
    z1 = x1**2
    z2 = x2**2
    z3 = x1 - x2
    z4 = z3**a
    z5 = z1 + z2
    z6 = ad.log(z5)
    z7 = z1 + z4 - z6
    return {"z1": z1, "z2": z2, "z3": z3, "z4": z4, "z5": z5, "z6": z6, "z7": z7}


LINES = {
    "x1": "",
    "x2": "",
    "z1": "x1**2",
    "z2": "x2**2",
    "z3": "x1 - x2",
    "z4": "z3**a",
    "z5": "z1 + z2",
    "z6": "log(z5)",
    "z7": "z1 + z4 - z6",
}


def explain():
    """Print the straight-line program with values, beside it its adjoints."""
    x1 = ad.tensor(2.0, dtype=ad.float64, requires_grad=True)
    x2 = ad.tensor(1.0, dtype=ad.float64, requires_grad=True)
    values = {"x1": x1, "x2": x2, **program(x1, x2, a=1.0)}
    for z in values.values():
        z.retain_grad()
    values["z7"].backward()
    print("f(x1, x2) = x1**2 + (x1 - x2)**a - log(x1**2 + x2**2)  at (2, 1), a = 1\n")
    print("  forward, a value a line             reverse, dz7 / d(that line)")
    forward = list(values)
    for name, back in zip(forward, reversed(forward), strict=True):
        line = f"{name} = {LINES[name]}" if LINES[name] else name
        left = f"  {line:18} {values[name].item():10.6f}"
        print(f"{left:38}d{back} {values[back].grad.item():10.6f}")
    print(
        f"\n  f = {values['z7'].item():.6f}, gradient = ({x1.grad:.1f}, {x2.grad:.1f})"
    )


def tape():
    """Print the same function as the tape holds it, in the order backward takes it."""
    x1 = ad.tensor(2.0, requires_grad=True)
    x2 = ad.tensor(1.0, requires_grad=True)
    todo, seen = [program(x1, x2, 1.0)["z7"].grad_fn], []
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.append(node)
            todo.extend(parent for parent, _ in node.next_functions)
    seen.sort(key=lambda node: -node.order)
    print("\nthe tape, in the order in which backward walks it\n")
    for node in seen:
        to = [seen.index(p) for p, _ in node.next_functions if p is not None]
        arrow = f"-> {', '.join(map(str, to))}" if to else ""
        print(f"  {seen.index(node):2} {node.name():20} {arrow}")


def weights(rows, columns):
    """A reproducible start: waves instead of random numbers, scaled by fan-in."""
    wave = ad.sin(ad.arange(1.0, rows * columns + 1) * 12.9898) * 43.758
    w = (wave - ad.floor(wave) - 0.5).reshape(rows, columns) * (2 / math.sqrt(rows))
    return w.requires_grad_()


def fit(steps=4000, rate=0.05):
    """Fit sin(x) on [-pi, pi] with one hidden layer and plain gradient descent."""
    x = ad.linspace(-math.pi, math.pi, 64).reshape(64, 1)
    target = ad.sin(x)
    w1, w2 = weights(1, 16), weights(16, 1)
    b1 = ad.linspace(-3.0, 3.0, 16).requires_grad_()
    b2 = ad.zeros(1, requires_grad=True)
    parameters = (w1, b1, w2, b2)
    print("\na network 1 - 16 - 1 learns sin(x) by gradient descent\n")
    for step in range(steps + 1):
        y = ad.tanh(x @ w1 + b1) @ w2 + b2
        loss = ((y - target) ** 2).mean()
        if step % (steps // 8) == 0:
            bar = "#" * max(1, int(40 + 8 * math.log10(loss.item())))
            print(f"  step {step:5}   loss {loss.item():.6f}   {bar}")
        loss.backward()
        with ad.no_grad():
            for p in parameters:
                p -= rate * p.grad
                p.grad = None
    print(f"\n  largest error on the interval: {(y - target).abs().amax().item():.4f}")
    return loss.item()


if __name__ == "__main__":
    explain()
    tape()
    fit()
