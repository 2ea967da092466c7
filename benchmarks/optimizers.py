"""What an optimizer step costs, beside PyTorch's loop, foreach and fused forms.

Run `python benchmarks/optimizers.py`; the figures of docs/notes/optimizers.md are of it.
"""

from __future__ import annotations

import time

import numpy as np
import torch

import adjoint as ad

SMALL = [
    (64, 32),
    (32,),
    (32, 32),
    (32,),
    (32, 32),
    (32,),
    (32, 16),
    (16,),
    (16, 10),
    (10,),
]
SIZES = {"ten small tensors": SMALL, "10^6": [(10**6,)], "4 10^6": [(4 * 10**6,)]}
CASES = [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})]
FORMS = [{"foreach": False}, {"foreach": True}, {"fused": True}]


def stepper(lib, shapes, name, options):
    """The step of an optimizer of tensors that have gradients."""
    rng = np.random.default_rng(0)
    params = []
    for shape in shapes:
        p = lib.tensor(rng.normal(size=shape).astype("f"), requires_grad=True)
        p.grad = lib.tensor(rng.normal(size=shape).astype("f"))
        params.append(p)
    return getattr(lib.optim, name)(params, lr=1e-3, **options).step


def fastest(steps, repeats: int, count: int) -> list[float]:
    """Microseconds of each, the minimum of interleaved repeats."""
    best = [float("inf")] * len(steps)
    for _ in range(repeats):
        for i, step in enumerate(steps):
            start = time.perf_counter()
            for _ in range(count):
                step()
            best[i] = min(best[i], (time.perf_counter() - start) / count * 1e6)
    return best


def main():
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'us a step':34}{'adjoint':>10}{'loop':>10}{'foreach':>10}{'fused':>10}")
    for size, shapes in SIZES.items():
        small = len(shapes) > 1
        for name, options in CASES:
            steps = [stepper(ad, shapes, name, options)]
            steps += [stepper(torch, shapes, name, options | form) for form in FORMS]
            times = fastest(steps, 60 if small else 8, 50 if small else 2)
            label = f"{size}: {name} {'momentum' if options else ''}"
            print(f"{label:34}" + "".join(f"{t:10.0f}" for t in times))


if __name__ == "__main__":
    main()
