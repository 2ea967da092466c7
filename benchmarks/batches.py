"""An epoch of batches: adjoint's DataLoader beside PyTorch's, interleaved.

    python benchmarks/batches.py               # prints a table; needs torch installed

60,000 rows of 784 floats and a label. PyTorch runs as it is mostly written (a TensorDataset in
a DataLoader), and in its fastest documented form, where a BatchSampler as sampler gives lists
of indices to the dataset; one thread each, as on a busy machine threads that wait for each
other cost it a hundredfold. Medians of some epochs with their range, in milliseconds.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from torch.utils import data as theirs

from adjoint import data as ours

ROWS, WIDTH, EPOCHS = 60_000, 784, 7


class Items:
    """A dataset without a way to whole batches: one array and one number an item."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __getitem__(self, i):
        return self.x[i], int(self.y[i])

    def __len__(self):
        return len(self.x)


def batched(rows, size, shuffle):
    """PyTorch's fastest form for tensors."""
    sampler = theirs.RandomSampler if shuffle else theirs.SequentialSampler
    batches = theirs.BatchSampler(sampler(rows), size, drop_last=False)
    return theirs.DataLoader(rows, sampler=batches, batch_size=None)


def cases(x, y):
    """name -> loaders by contestant."""
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    rows, their_rows = ours.TensorDataset(x, y), theirs.TensorDataset(a, b)
    items, their_items = Items(x, y), Items(a, b)
    for size in (32, 128, 1024):
        for shuffle in (False, True):
            kw = {"batch_size": size, "shuffle": shuffle}
            yield (
                f"{size} rows{', shuffled' if shuffle else ''}",
                {
                    "adjoint": ours.DataLoader(rows, **kw),
                    "torch": theirs.DataLoader(their_rows, **kw),
                    "torch, fastest": batched(their_rows, size, shuffle),
                },
            )
    for workers in (0, 2):
        kw = {"batch_size": 128, "shuffle": True, "num_workers": workers}
        yield (
            f"128 items, {workers} workers",
            {
                "adjoint": ours.DataLoader(items, **kw),
                "torch": theirs.DataLoader(their_items, **kw),
            },
        )


def epoch(loader) -> float:
    start = time.perf_counter()
    count = sum(len(y) for _, y in loader)
    assert count == ROWS
    return 1e3 * (time.perf_counter() - start)


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, WIDTH), np.float32)
    y = rng.integers(0, 10, ROWS)
    for name, loaders in cases(x, y):
        times = {k: [] for k in loaders}
        for _ in range(EPOCHS):
            for k, loader in loaders.items():
                times[k].append(epoch(loader))
        shown = (
            f"{k} {statistics.median(t):6.1f} ({min(t):.1f} to {max(t):.1f})"
            for k, t in times.items()
        )
        print(f"{name:22}", "   ".join(shown), flush=True)


if __name__ == "__main__":
    main()
