"""What eager operations on large arrays cost, beside NumPy's own cost of the arithmetic.

    python benchmarks/large_eager.py

float32, interleaved in one run, once without and once with a graph being recorded. Goal: at
most 1.5 of NumPy's time. Ratios are medians over interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import adjoint as ad


def softmax_numpy(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax(x):
    e = ad.exp(x - ad.amax(x, -1, True))
    return e / e.sum(-1, keepdim=True)


MILLION = ((1_000_000,),) * 3
TEN = ((10_000_000,),) * 3
ROWS = ((1000, 1000),)
# name: shapes, ours, NumPy's
WORKLOADS = {
    "a * b + c, 1e6": (MILLION, lambda a, b, c: a * b + c, lambda a, b, c: a * b + c),
    "a * b + c, 1e7": (TEN, lambda a, b, c: a * b + c, lambda a, b, c: a * b + c),
    "exp, 1e6": (MILLION[:1], ad.exp, np.exp),
    "exp, 1e7": (TEN[:1], ad.exp, np.exp),
    "sum, 1e6": (MILLION[:1], ad.sum, np.sum),
    "sum, 1e7": (TEN[:1], ad.sum, np.sum),
    "sum of rows, 1000 x 1000": (ROWS, lambda x: x.sum(1), lambda x: x.sum(1)),
    "softmax, 1000 x 1000": (ROWS, softmax, softmax_numpy),
    "matmul, 1024": (((1024, 1024),) * 2, ad.matmul, np.matmul),
    "matrix + row, 3000 x 1000": (((3000, 1000), (1000,)), ad.add, np.add),
    "x ** 2, 1e6": (MILLION[:1], lambda x: x**2, lambda x: x**2),
    "maximum, 1e6": (MILLION[:2], ad.maximum, np.maximum),
}


def timed(f, *args) -> float:
    start = time.perf_counter()
    f(*args)
    return time.perf_counter() - start


def measure(name: str, rounds: int, requires_grad: bool):
    """Medians of both, and the median and spread of the ratio round by round."""
    shapes, ours, theirs = WORKLOADS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.random(s, dtype=np.float32) for s in shapes]
    tensors = [ad.from_numpy(a).requires_grad_(requires_grad) for a in arrays]
    pairs = []
    for i in range(rounds + 2):
        a, b = timed(ours, *tensors), timed(theirs, *arrays)
        if i % 2:  # each of the two is the first half of the time
            b, a = timed(theirs, *arrays), timed(ours, *tensors)
        pairs.append((a, b))
    pairs = pairs[2:]
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
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    print(f"{'workload':<38}{'adjoint ms':>12}{'NumPy ms':>12}{'ratio':>8}   10-90 %")
    for name in WORKLOADS:
        for record in (False, True):
            a, b, ratio, low, high = measure(name, options.rounds, record)
            print(
                f"{name + (', recorded' if record else ''):<38}{a * 1e3:>12.2f}"
                f"{b * 1e3:>12.2f}{ratio:>8.2f}   {low:.2f}-{high:.2f}"
            )


if __name__ == "__main__":
    main()
