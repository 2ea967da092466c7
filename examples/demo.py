"""What `make demo` shows: a function explained and differentiated, a network fitted."""

import math

import adjoint as ad


def f(x1, x2, a=1.0):
    """The function that the lectures take apart."""
    return x1**2 + (x1 - x2) ** a - ad.log(x1**2 + x2**2)


def explain():
    """Print f as a straight-line program: values, local partials, the reverse program."""
    print("f(x1, x2) = x1**2 + (x1 - x2)**a - log(x1**2 + x2**2)  at (2, 1), a = 1\n")
    point = ad.tensor(2.0, dtype=ad.float64), ad.tensor(1.0, dtype=ad.float64)
    program = ad.trace(f)(*point)
    print(program.show(*point, values=True, partials=True, reverse=True))
    print("\n  step   value     adjoint df/d(step)\n")
    for name, (value, adjoint) in program.adjoints(*point).items():
        print(f"  {name:3} {float(value):10.6f} {float(adjoint):10.6f}")


def differentiate():
    """Print the same gradient from the tape."""
    x1 = ad.tensor(2.0, requires_grad=True)
    x2 = ad.tensor(1.0, requires_grad=True)
    y = f(x1, x2)
    y.backward()
    print(f"\n  y = f(x1, x2)  {y}")
    print(f"  y.backward()   x1.grad = {x1.grad}, x2.grad = {x2.grad}")


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
    differentiate()
    fit()
