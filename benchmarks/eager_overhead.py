"""What one small eager operation costs, beside PyTorch's: same run, interleaved, one thread.

    python benchmarks/eager_overhead.py            # prints a table; needs torch installed

Three workloads: a chain of 100 operations on 4 elements, forward; the same forward and
backward; and the gradient of x1**2 + (x1 - x2)**a - log(x1**2 + x2**2).
Goal: at most 0.7 of PyTorch's time. Ratios are medians over interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import adjoint as ad


def chain(x):
    for _ in range(25):
        x = x * 1.01
        x = x + 0.5
        x = x.tanh()
        x = x - 0.1
    return x


def forward(lib):
    w = lib.ones(4, requires_grad=True)
    return lambda: chain(w)


def both(lib):
    w = lib.ones(4, requires_grad=True)
    return lambda: chain(w).sum().backward()


def two_variables(lib):
    def run():
        x1 = lib.tensor(2.0, requires_grad=True)
        x2 = lib.tensor(1.0, requires_grad=True)
        y = x1**2 + (x1 - x2) ** 1 - lib.log(x1**2 + x2**2)
        return lib.autograd.grad(y, (x1, x2))

    return run


WORKLOADS = {
    "chain of 100, forward": (forward, 100),
    "chain of 100, forward + backward": (both, 100),
    "gradient of f(x1, x2)": (two_variables, 1),
}


def timed(f, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def measure(make, rounds: int, calls: int):
    """Medians of both, and the median and spread of the ratio round by round."""
    ours, theirs = make(ad), make(torch)
    timed(ours, calls), timed(theirs, calls)
    pairs = [(timed(ours, calls), timed(theirs, calls)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(ratios),
        ratios[len(ratios) // 10],
        ratios[-1 - len(ratios) // 10],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'workload':<36}{'adjoint us':>12}{'torch us':>12}{'ratio':>8}   10-90 %")
    for name, (make, ops) in WORKLOADS.items():
        a, b, ratio, low, high = measure(make, options.rounds, options.calls)
        scale = 1e6 / ops
        print(
            f"{name:<36}{a * scale:>12.2f}{b * scale:>12.2f}{ratio:>8.2f}"
            f"   {low:.2f}-{high:.2f}"
        )


if __name__ == "__main__":
    main()
