"""Collating: a list of samples becomes one batch of tensors, whatever the samples' form."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np

from ..core import tree
from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.face import FUNCTIONS
from ..tensor import Tensor


def default_convert(data):
    """Arrays inside `data` become tensors; other things stay as they are.

    >>> default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    try:
        return _converted(data)
    except RecursionError:
        tree.need_end(data)
        raise


def _converted(data):
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else FUNCTIONS["as_tensor"](data)
    if isinstance(data, Mapping):
        return _mapping(data, {k: _converted(v) for k, v in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(_converted, data))
    if isinstance(data, tuple):
        return [_converted(x) for x in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence(data, [_converted(x) for x in data])
    return data


def default_collate(batch):
    """Samples, side by side: tensors are stacked, numbers become a tensor, containers stay.

    >>> default_collate([(tensor([1., 2.]), 0), (tensor([3., 4.]), 1)])
    [tensor([[1., 2.],
             [3., 4.]]), tensor([0, 1])]
    >>> default_collate([{"x": 1., "name": "a"}, {"x": 2., "name": "b"}])
    {'x': tensor([1., 2.], dtype=adjoint.float64), 'name': ['a', 'b']}
    """
    try:
        return _collated(batch)
    except RecursionError:
        tree.need_end(batch)
        raise


def _collated(batch):
    batch = batch if isinstance(batch, (list, tuple)) else list(batch)
    if not batch:
        raise ArgumentError("default_collate: the batch has no samples")
    first = batch[0]
    for kind, rule in _RULES:
        if isinstance(first, kind):
            return rule(batch)
    raise ArgumentTypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or "
        f"lists; found {type(first).__name__}",
        hint="a collate_fn of your own takes the list of samples and returns the batch",
    )


def _tensors(batch):
    _check_all(batch, Box, "tensor")
    if any(x.requires_grad or not isinstance(x, Tensor) for x in batch):
        return FUNCTIONS["stack"](batch)
    return _stacked([x.numpy_of() for x in batch])


def _arrays(batch):
    _check_all(batch, np.ndarray, "array")
    if batch[0].dtype.kind in "SUO":
        raise ArgumentTypeError(
            f"default_collate: an array of {batch[0].dtype} values cannot be a tensor"
        )
    return _stacked(batch)


def _stacked(arrays):
    shape, d = arrays[0].shape, arrays[0].dtype
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise ShapeError(
                "default_collate: samples of one batch must have one shape, "
                f"got {list(shape)} at sample 0 and {list(a.shape)} at sample {i}",
                hint="a collate_fn that pads them, or batch_size=None",
            )
        if a.dtype != d:
            return FUNCTIONS["stack"]([FUNCTIONS["as_tensor"](a) for a in arrays])
    return FUNCTIONS["from_numpy"](np.stack(arrays))


def _numbers(batch):
    if isinstance(batch[0], np.generic):
        return FUNCTIONS["as_tensor"](np.stack([np.asarray(x) for x in batch]))
    d = "float64" if isinstance(batch[0], float) else None
    return FUNCTIONS["tensor"](batch, dtype=d)


def _dicts(batch):
    first = batch[0]
    for i, sample in enumerate(batch):
        if sample.keys() != first.keys():
            raise ArgumentError(
                f"default_collate: sample 0 has the keys {list(first)}, "
                f"sample {i} has {list(sample)}"
            )
    return _mapping(
        first, {k: _collated([sample[k] for sample in batch]) for k in first}
    )


def _sequences(batch):
    first = batch[0]
    _check_all(batch, Sequence, "list")
    sizes = [len(x) for x in batch]
    if len(set(sizes)) > 1:
        raise ArgumentError(
            "default_collate: each element in list of batch should be of equal size, "
            f"got sizes {sorted(set(sizes))}",
            hint="a collate_fn that pads them, or batch_size=None",
        )
    columns = [_collated(c) for c in zip(*batch, strict=True)]
    if hasattr(first, "_fields"):
        return type(first)(*columns)
    return columns if isinstance(first, tuple) else _sequence(first, columns)


def _check_all(batch, kind, name) -> None:
    for i, x in enumerate(batch):
        if not isinstance(x, kind):
            raise ArgumentTypeError(
                f"default_collate: sample 0 is a {name}, sample {i} is a "
                f"{type(x).__name__}"
            )


def _mapping(like, values: dict):
    """`values` in the mapping type of `like` where that can be made."""
    if type(like) is dict:
        return values
    try:
        if not isinstance(like, MutableMapping):
            return type(like)(values)
        out = copy.copy(like)  # what the type is made with may be more than its items
        out.update(values)
        return out
    except TypeError:
        return values


def _sequence(like, values: list):
    if type(like) is list:
        return values
    try:
        return type(like)(values)
    except TypeError:
        return values


_RULES = (
    (Box, _tensors),
    (np.ndarray, _arrays),
    ((np.generic, bool, int, float), _numbers),
    ((str, bytes), lambda batch: batch),
    (Mapping, _dicts),
    (Sequence, _sequences),
)
__all__ = ["default_collate", "default_convert"]
