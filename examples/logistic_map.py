"""How a chaotic map depends on where it starts, and on its parameter.

x ← r x (1 − x) at r = 4 doubles an error at each step, on average: derivatives through n
steps are of size 2ⁿ. Reverse and forward mode give them to the last digits, which the closed
form xₙ = sin²(2ⁿ arcsin √x₀) confirms. The mean of log |dxₙ₊₁/dxₙ| is the Lyapunov exponent:
log 2 at r = 4, negative where the map settles down. And Newton's method, with the derivative
with respect to r, finds where a cycle of two is most stable: r = 1 + √5.
"""

import math

import adjoint as ad
from adjoint_cli.scripts import script


def orbit(x, r, n):
    """x after n steps."""
    for _ in range(n):
        x = r * x * (1 - x)
    return x


def exact(x, n):
    """d xₙ / d x₀ at r = 4, of the closed form."""
    angle = math.asin(math.sqrt(x))
    slope = 1 / (2 * math.sqrt(x * (1 - x)))
    return 2**n * math.sin(2 ** (n + 1) * angle) * slope


def sensitivity(counts):
    """The derivative after n steps: reverse mode, forward mode, closed form."""
    x0 = 0.3
    x = ad.tensor(x0, dtype=ad.float64)
    r = ad.tensor(4.0, dtype=ad.float64)
    print("  n        reverse        forward         exact      d/dr")
    worst = 0.0
    for n in counts:
        dx, dr = ad.grad(lambda x, r, n=n: orbit(x, r, n), argnums=(0, 1))(x, r)
        _, forward = ad.jvp(lambda x, n=n: orbit(x, r, n), (x,), (ad.ones_like(x),))
        want = exact(x0, n)
        worst = max(worst, abs(dx.item() / want - 1), abs(forward.item() / want - 1))
        print(f" {n:2} {dx:14.4f} {forward:14.4f} {want:13.4f} {dr:9.1e}")
    return worst


def lyapunov(r, n, skip=100):
    """Mean of log |f'| along an orbit, of many starts at once."""
    step = ad.vmap(ad.value_and_grad(lambda x: r * x * (1 - x)))
    x = ad.linspace(0.11, 0.89, 50, dtype=ad.float64)
    total = ad.zeros_like(x)
    for i in range(skip + n):
        x, slope = step(x)
        if i >= skip:
            total += slope.abs().log()
    return (total / n).mean().item()


def most_stable():
    """r where 1/2 comes back to itself in two steps, by Newton's method."""
    r = ad.tensor(3.1, dtype=ad.float64)
    half = ad.tensor(0.5, dtype=ad.float64)
    for _ in range(8):
        y, slope = ad.value_and_grad(lambda r: orbit(half, r, 2) - half)(r)
        r = r - y / slope
    return r.item()


def main(steps=1000):
    """Derivatives of long orbits, exponents, and the most stable cycle."""
    print("x <- r x (1 - x) from x = 0.3 at r = 4\n")
    worst = sensitivity((1, 2, 5, 10, 15, 20))
    exponents = {r: lyapunov(r, steps) for r in (2.8, 3.2, 3.5, 3.7, 4.0)}
    print(
        f"\n  Lyapunov exponents of orbits of {steps} steps (log 2 = {math.log(2):.4f})"
    )
    for r, value in exponents.items():
        kind = "chaos" if value > 0 else "settles down"
        print(f"    r = {r}   {value:8.4f}   {kind}")
    r = most_stable()
    print(f"\n  the most stable cycle of two: r = {r:.12f}, 1 + √5 = {1 + 5**0.5:.12f}")
    return {"worst": worst, "exponents": exponents, "r": r}


if __name__ == "__main__":
    script(main, steps="of the orbits that exponents are means along")
