"""Fits the Chebyshev series of src/adjoint/ops/chebyshev.py with mpmath at 50 digits.

    python tools/chebyshev_tables.py > tables.py

A series is cut where its coefficients fall under 2e-17 of the largest.
"""

import mpmath as mp

mp.mp.dps = 50


def fit(f, low, high, points=72):
    """Coefficients c of Σ c_k T_k on [low, high], the first one halved already."""
    nodes = [mp.cos(mp.pi * (j + mp.mpf(1) / 2) / points) for j in range(points)]
    values = [f((high - low) * x / 2 + (high + low) / mp.mpf(2)) for x in nodes]
    out = []
    for k in range(points):
        terms = (
            v * mp.cos(mp.pi * k * (j + mp.mpf(1) / 2) / points)
            for j, v in enumerate(values)
        )
        out.append(2 * mp.fsum(terms) / points)
    out[0] /= 2
    top = max(map(abs, out))
    while abs(out[-1]) < 2e-17 * top:
        out.pop()
    return [float(c) for c in out]


def even(f):
    """A function of z from one of its square root."""
    return lambda z: f(mp.sqrt(z))


def phase(n):
    """P and Q of J_n = √(2/πx) (P cos χ − Q sin χ), Y_n = √(2/πx) (P sin χ + Q cos χ)."""

    def both(x):
        shift = mp.pi * (2 * n + 1) / 4
        c, s = mp.cos(x - shift), mp.sin(x - shift)
        j, y, r = mp.besselj(n, x), mp.bessely(n, x), mp.sqrt(mp.pi * x / 2)
        return r * (j * c + y * s), r * (y * c - j * s)

    def p(u):
        return both(8 / mp.sqrt(u))[0]

    def q(u):
        x = 8 / mp.sqrt(u)
        return both(x)[1] * x / 8

    return p, q


def regular_y(n):
    """What is left of Y_n after its logarithm and pole, of x²; of Y_1, divided by x."""

    def f(x):
        rest = mp.bessely(n, x) - 2 / mp.pi * mp.log(x / 2) * mp.besselj(n, x)
        return rest if n == 0 else (rest + 2 / (mp.pi * x)) / x

    return even(f)


def regular_k(n):
    """What is left of K_n after its logarithm and pole, of x²; of K_1, divided by x."""

    def f(x):
        sign = (-1) ** (n + 1)
        rest = mp.besselk(n, x) - sign * mp.log(x / 2) * mp.besseli(n, x)
        return rest if n == 0 else (rest - 1 / x) / x

    return even(f)


def scaled(f, sign, over):
    """√x e^(sign x) f(x) of u = over/x."""

    def g(u):
        x = over / u
        return mp.sqrt(x) * mp.exp(sign * x) * f(x)

    return g


def scaled_i(n):
    return lambda x: mp.exp(-x) * mp.besseli(n, x)


def bessel_j(n):
    return lambda x: mp.besselj(n, x)


def airy_decay(order):
    """Ai or Ai' for x > 2 without e^(−ζ) and its power of x, of u = ζ(2)/ζ."""

    def f(u):
        x = 2 / u ** (mp.mpf(2) / 3)
        zeta = 2 * x ** (mp.mpf(3) / 2) / 3
        power = mp.mpf(1 - 2 * order) / 4
        scale = 2 * mp.sqrt(mp.pi) * x**power * mp.exp(zeta) * (-1) ** order
        return scale * mp.airyai(x, derivative=order)

    return f


def airy_wave(order, second):
    """Amplitudes of cos χ and sin χ for x < −4, of v = (ζ(4)/ζ)²; of the second, by √v."""

    def f(v):
        z = 4 / v ** (mp.mpf(1) / 3)
        angle = 2 * z ** (mp.mpf(3) / 2) / 3 - mp.pi / 4
        c, s = mp.cos(angle), mp.sin(angle)
        a, b = (g(-z, derivative=order) for g in (mp.airyai, mp.airybi))
        scale = mp.sqrt(mp.pi) * z ** (mp.mpf(1 - 2 * order) / 4)
        if order:
            parts = a * s + b * c, b * s - a * c
        else:
            parts = a * c - b * s, a * s + b * c
        return scale * parts[second] / (mp.sqrt(v) if second else 1)

    return f


def airy(order):
    return lambda x: mp.airyai(x, derivative=order)


def tables():
    root = mp.findroot(mp.digamma, 1.46)
    yield "LGAMMA", lambda x: mp.loggamma(x) / ((x - 1) * (x - 2)), 1, 3
    yield "DIGAMMA", lambda x: mp.digamma(x) / (x - root), 1, 3
    for n in (0, 1):
        over_x = (lambda f: f) if n == 0 else (lambda f: lambda x: f(x) / x)
        yield f"I{n}_NEAR", over_x(scaled_i(n)), 0, 8
        yield f"I{n}_FAR", scaled(lambda x, n=n: mp.besseli(n, x), -1, 8), 0, 1
        yield f"K{n}_NEAR", regular_k(n), 0, 4
        yield f"K{n}_FAR", scaled(lambda x, n=n: mp.besselk(n, x), 1, 2), 0, 1
        yield f"J{n}_NEAR", even(over_x(bessel_j(n))), 0, 64
        yield f"Y{n}_NEAR", regular_y(n), 0, 64
        p, q = phase(n)
        yield f"P{n}", p, 0, 1
        yield f"Q{n}", q, 0, 1
        yield f"AIRY{n}_NEAR", airy(n), -4, 2
        yield f"AIRY{n}_FAR", airy_decay(n), 0, 1
        yield f"AIRY{n}_WAVE", airy_wave(n, 0), 0, 1
        yield f"AIRY{n}_TURNED", airy_wave(n, 1), 0, 1


if __name__ == "__main__":
    for name, f, low, high in tables():
        series = fit(f, mp.mpf(low), mp.mpf(high))
        print(f"# on [{round(low)}, {high}]\n{name} = (")
        print("".join(f"    {c!r},\n" for c in series) + ")")
