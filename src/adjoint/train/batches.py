"""Batches of whatever holds data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.bind import Box
from ..data import DataLoader, Dataset, TensorDataset
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from .step import tensor_of


def batches_of(data, batch_size: int, shuffle: bool = False) -> Any:
    """An iterable of batches, made of whatever holds data."""
    if isinstance(data, tuple):
        data = TensorDataset(*[tensor_of(x) for x in _alike(data)])
    if isinstance(data, Dataset):
        stream = not hasattr(data, "__len__")
        if not stream and not len(data):
            raise ArgumentError("the data set is empty")
        return DataLoader(data, batch_size, shuffle=None if stream else shuffle)
    if not isinstance(data, Iterable) or isinstance(data, (Box, np.ndarray, str)):
        raise ArgumentTypeError(
            f"data must be a loader, a dataset or a tuple of arrays, got {type(data).__name__}",
            hint="a single array is given as (x,)",
        )
    return data


def _alike(arrays):
    sizes = [len(x) if hasattr(x, "__len__") else -1 for x in arrays]
    if len(set(sizes)) > 1:
        raise ShapeError(f"the arrays of a data set have different lengths: {sizes}")
    return arrays
