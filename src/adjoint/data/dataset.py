"""Datasets: what has a length and items, or what can be iterated, and how they combine.

A dataset that can give a whole batch at once says so by `__getbatch__(indices)`; a loader
with the default collate function asks for that instead of looping over items.
"""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

import numpy as np

from ..core.bind import Box
from ..core.generator import Generator
from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from ..functional.face import FUNCTIONS, wrap
from ..tensor import Tensor

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base of datasets with items by number: write `__getitem__` and `__len__`.

    >>> class Squares(Dataset):
    ...     def __getitem__(self, i):
    ...         return i * i
    ...     def __len__(self):
    ...         return 4
    >>> (Squares() + Squares())[5]
    1
    """

    def __getitem__(self, index) -> T_co:
        raise NotImplementedError(
            f"{type(self).__name__} needs __getitem__(index): the item of that number"
        )

    def __add__(self, other) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base of datasets that are streams: write `__iter__`.

    With several workers each iterates its own copy: `get_worker_info()` says which part of
    the stream is whose.

    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(3))
    >>> list(Count())
    [0, 1, 2]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} needs __iter__()")

    def __add__(self, other) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple]):
    """Rows of one or several tensors (or arrays, lists, frames) of equal length.

    >>> from adjoint.data import TensorDataset
    >>> rows = TensorDataset(tensor([[1., 2.], [3., 4.]]), tensor([0, 1]))
    >>> rows[1]
    (tensor([3., 4.]), tensor(1))
    """

    tensors: tuple

    def __init__(self, *tensors):
        if not tensors:
            raise ArgumentError("TensorDataset: expected at least one tensor, got none")
        self.tensors = tuple(as_rows(x, "TensorDataset") for x in tensors)
        _check_lengths("TensorDataset", self.tensors)

    def __getitem__(self, index):
        return tuple(x[index] for x in self.tensors)

    def __getbatch__(self, indices):
        return [rows(x, indices) for x in self.tensors]

    def __len__(self):
        return self.tensors[0].shape[0]


class StackDataset(Dataset):
    """Datasets of equal length side by side: an item is a tuple, or a dict, of theirs.

    >>> StackDataset(x=[1, 2], y=["a", "b"])[1]
    {'x': 2, 'y': 'b'}
    """

    def __init__(self, *args, **kwargs):
        if bool(args) == bool(kwargs):
            raise ArgumentError(
                "StackDataset: expected datasets either by position or by name, got "
                f"{len(args)} and {len(kwargs)}"
            )
        self.datasets: Any = kwargs or args
        _check_lengths("StackDataset", self._parts())

    def _parts(self) -> tuple:
        named = isinstance(self.datasets, dict)
        return tuple(self.datasets.values() if named else self.datasets)

    def _joined(self, items: list):
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, items, strict=True))
        return tuple(items)

    def __getitem__(self, index):
        return self._joined([d[index] for d in self._parts()])

    def __getitems__(self, indices: list) -> list:
        columns = [items_of(d, indices) for d in self._parts()]
        return [self._joined(list(row)) for row in zip(*columns, strict=True)]

    def __getbatch__(self, indices):
        columns = [batch_of(d, indices) for d in self._parts()]
        if any(c is NotImplemented for c in columns):
            return NotImplemented
        batch = self._joined(columns)
        return list(batch) if isinstance(batch, tuple) else batch

    def __len__(self):
        return len(self._parts()[0])


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other.

    >>> d = ConcatDataset([[1, 2], [3]])
    >>> len(d), d[2], d[-1], d.cumulative_sizes
    (3, 3, 3, [2, 3])
    """

    def __init__(self, datasets: Iterable):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: datasets should not be an empty list")
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise ArgumentTypeError(
                    "ConcatDataset: streams have no items by number",
                    hint="ChainDataset puts streams one after the other",
                )
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index):
        i = _in_range(index, len(self), "ConcatDataset")
        which = bisect.bisect_right(self.cumulative_sizes, i)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][i - before]

    def __len__(self):
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset):
    """Streams one after the other.

    >>> list(ChainDataset([[1, 2], [3]]))
    [1, 2, 3]
    """

    def __init__(self, datasets: Iterable):
        self.datasets = datasets

    def __iter__(self):
        return chain.from_iterable(self.datasets)

    def __len__(self):
        return sum(map(len, self.datasets))


class Subset(Dataset[T_co]):
    """Some items of a dataset, by their numbers.

    >>> Subset(["a", "b", "c"], [2, 0])[0]
    'c'
    """

    def __init__(self, dataset, indices: Sequence[int]):
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index):
        if isinstance(index, list):
            return [self.dataset[self.indices[i]] for i in index]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list) -> list:
        return items_of(self.dataset, [self.indices[i] for i in indices])

    def __getbatch__(self, indices):
        table = self.indices
        table = table.numpy_of() if isinstance(table, Box) else table
        if isinstance(table, np.ndarray) or isinstance(indices, slice):
            chosen = table[indices]
        else:
            chosen = [table[i] for i in indices.tolist()]
        return batch_of(self.dataset, np.asarray(chosen, np.intp))

    def __len__(self):
        return len(self.indices)


def random_split(
    dataset, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Parts of a dataset, chosen at random, of these lengths or fractions.

    >>> g = Generator().manual_seed(0)
    >>> train, test = random_split(range(10), [0.8, 0.2], g)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    sizes = _split_sizes(len(dataset), list(lengths))
    order = FUNCTIONS["randperm"](sum(sizes), generator=generator).numpy()
    ends = list(accumulate(sizes))
    return [
        Subset(dataset, order[e - n : e].tolist())
        for n, e in zip(sizes, ends, strict=True)
    ]


def _split_sizes(total: int, lengths: list) -> list[int]:
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _from_fractions(total, lengths)
    if sum(lengths) != total:
        raise ArgumentError(
            f"random_split: the lengths {lengths} sum to {sum(lengths)}, "
            f"the dataset has {total} items",
            hint="lengths that sum to the size of the dataset, or fractions that sum to 1",
        )
    if any(n != int(n) or n < 0 for n in lengths):
        raise ArgumentError(
            f"random_split: lengths must be whole and not negative: {lengths}"
        )
    return [int(n) for n in lengths]


def _from_fractions(total: int, fractions: list) -> list[int]:
    """Rounded down; what is left over goes to the first parts, one item each."""
    for i, f in enumerate(fractions):
        if not 0 <= f <= 1:
            raise ArgumentError(
                f"random_split: fraction at index {i} is not between 0 and 1: {f}"
            )
    sizes = [math.floor(total * f) for f in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, n in enumerate(sizes):
        if n == 0:
            warnings.warn(
                f"random_split: part {i} is empty, fraction {fractions[i]}",
                stacklevel=4,
            )
    return sizes


# ---------------------------------------------------------------- items and batches


def as_rows(x, name: str):
    """A tensor with rows: of a tensor itself, of an array or a frame on its memory."""
    if not isinstance(x, Box):
        array = x.to_numpy() if hasattr(x, "to_numpy") else x
        x = FUNCTIONS["as_tensor"](array)
    if x.ndim == 0:
        raise ShapeError(f"{name}: a 0-d tensor has no rows")
    return x


def _check_lengths(name: str, parts: tuple) -> None:
    """Datasets side by side must be equally long."""
    sizes = [len(p) for p in parts]
    if len(set(sizes)) > 1:
        raise ShapeError(
            f"{name}: all parts must have equal lengths, got {sizes}: "
            "Size mismatch between tensors"
        )


def _in_range(index, n: int, name: str) -> int:
    i = index.__index__()
    if not -n <= i < n:
        raise DimError(f"{name}: index {i} is out of range for {n} items")
    return i % n


def rows(x: Tensor, indices) -> Tensor:
    """A copy of the rows of `x` that a slice or an array of numbers names.

    >>> rows(tensor([[1], [2], [3]]), np.array([2, 0])).tolist()
    [[3], [1]]
    """
    if x.requires_grad:
        return x[indices]
    a = x.numpy_of()
    if isinstance(indices, slice):
        return wrap(a[indices].copy())
    try:
        # take is twice as fast as a[indices], but would first copy an array with gaps
        return wrap(a.take(indices, 0) if a.flags.c_contiguous else a[indices])
    except IndexError:
        raise DimError(
            f"the sampler gave index {_worst(indices)} for {a.shape[0]} rows"
        ) from None


def _worst(indices) -> int:
    i = np.asarray(indices)
    return int(i[np.abs(i).argmax()])


def batch_of(dataset, indices):
    """The collated items at `indices`, had at once; NotImplemented where that is not offered."""
    if isinstance(dataset, Tensor):
        return rows(dataset, indices)
    if isinstance(dataset, np.ndarray) and dataset.ndim:
        return rows(FUNCTIONS["as_tensor"](dataset), indices)
    whole = getattr(dataset, "__getbatch__", None)
    return NotImplemented if whole is None else whole(indices)


def items_of(dataset, indices: list) -> list:
    """The items at `indices`, by the dataset's own way for many where it has one."""
    many = getattr(dataset, "__getitems__", None)
    if many is None:
        return [dataset[i] for i in indices]
    items = many(indices)
    if len(items) != len(indices):
        raise ArgumentError(
            f"{type(dataset).__name__}.__getitems__ gave {len(items)} items for "
            f"{len(indices)} indices"
        )
    return items
