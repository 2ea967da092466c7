"""Signature: what of arguments makes another program."""

from __future__ import annotations

from ..core.bind import Box
from ..core.primitive import spec_of


def key_of(x):
    """What of an argument makes another program."""
    if isinstance(x, Box):
        g = None if x._grad is None else spec_of(x._grad)
        rows = () if x.value.flags.c_contiguous else ("not row by row",)
        return x.shape, x.value.dtype, x.requires_grad, x.is_leaf, *rows, g
    return type(x), repr(x) if type(x) in (float, complex) else x


def twice(leaves):
    """Which of the arguments are the same tensor: for each its first place; None if none are."""
    ids = [id(x) for x in leaves if isinstance(x, Box)]
    return None if len(set(ids)) == len(ids) else tuple(map(ids.index, ids))


def difference(old, new) -> str:
    if old[0] != new[0]:
        return "other containers or numbers of arguments"
    for i, (a, b) in enumerate(zip(old[1], new[1], strict=True)):
        if a != b:
            return f"argument {i + 1} is {_shown(b)}, was {_shown(a)}"
    return "another mode"


def _shown(key) -> str:
    """What `key_of` noted, in words."""
    if isinstance(key[0], type):
        return repr(key[1])
    shape, dtype, requires_grad, is_leaf, *rows, g = key
    more = [*rows, *["requires grad"] * requires_grad, *["no leaf"] * (not is_leaf)]
    more += [] if g is None else [f"with a .grad of {g}"]
    return ", ".join([f"{dtype.name}{list(shape)}", *more])
