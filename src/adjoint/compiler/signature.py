"""Signature: what of arguments makes another program."""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE
from ..core import tree
from ..core.bind import Box
from ..core.primitive import spec_of


def leaves_of(args, kwargs):
    """(the leaves of arguments, arrays as tensors, and what they are leaves of)."""
    leaves, shape = tree.flatten((args, kwargs))
    return list(map(tensor_of, leaves)), shape


def tensor_of(x):
    """An array of NumPy as a tensor on its memory; anything else as it is."""
    return BASE.wrap(x) if isinstance(x, np.ndarray) else x


def key_of(x):
    """What of an argument makes another program."""
    if isinstance(x, Box):
        g = None if x._grad is None else spec_of(x._grad)
        rows = () if x.value.flags.c_contiguous else ("not row by row",)
        return x.shape, x.value.dtype, x.requires_grad, x.is_leaf, *rows, g
    return type(x), _HASHED[type(x)](x) if type(x) in _HASHED else x


# What stands for static values in keys: numbers to the bit, and what has no hash itself.
_HASHED = {
    float: repr,
    complex: repr,
    slice: lambda x: (x.start, x.stop, x.step),
    set: lambda x: frozenset(map(key_of, x)),
}


def twice(leaves):
    """Which of the arguments are the same tensor: for each its first place; None if none are."""
    ids = [id(x) for x in leaves if isinstance(x, Box)]
    return None if len(set(ids)) == len(ids) else tuple(map(ids.index, ids))


def samples(leaves):
    """Plain tensors like these, which take no memory yet, by a function; None if there are none."""
    tensors = [x for x in leaves if isinstance(x, Box)]
    if not all(x.is_leaf and x._grad is None and x.base is None for x in tensors):
        return None
    like = [(spec_of(x), x.requires_grad) if isinstance(x, Box) else x for x in leaves]
    tensor = [isinstance(x, Box) for x in leaves]
    return lambda: [_sample(*x) if t else x for x, t in zip(like, tensor, strict=True)]


def _sample(spec, requires_grad):
    x = BASE.wrap(np.zeros(*spec))
    x.requires_grad = requires_grad
    return x


# ---------------------------------------------------------------- why another program


def difference(old, new) -> str:
    """What of these arguments is not as it was, for people."""
    if old[0] != new[0]:
        return f"it was given {_given(new)}, before {_given(old)}"
    for i, (a, b) in enumerate(zip(old[1], new[1], strict=True)):
        if a != b:
            return f"argument {i + 1} is {_told(b, a)}, was {_told(a, b)}"
    if old[2] != new[2]:
        return "other arguments are the same tensor"
    modes = zip(_MODES, old[3:], new[3:], strict=True)
    return next((f"{n} {b}, was {a}" for n, a, b in modes if a != b), "another mode")


_MODES = (
    "recording is",
    "inference mode is",
    "modes are",
    "the default dtype is",
    "autocast is to",
)


class _Said(str):
    """A text that prints as it is."""

    __repr__ = str.__str__


def _given(key) -> str:
    """The kinds of all arguments, as in a call."""
    args, kwargs = tree.unflatten(key[0], [_Said(_told(k)) for k in key[1]])
    named = (f"{name}={x!r}" for name, x in kwargs.items())
    return f"({', '.join([*map(repr, args), *named])})"


def _told(kind, other=None) -> str:
    """An argument, with what else than its shape and dtype makes it unlike the other."""
    if isinstance(kind[0], type):
        return _SHOWN.get(kind[0], repr)(kind[1])
    shape, dtype, *traits = kind
    text = f"{getattr(dtype, 'name', dtype)}{list(shape)}"
    if other is None or kind[:2] != other[:2]:
        return text
    if len(kind) != len(other):
        return f"{text}, {traits[2] if len(traits) > 3 else 'row by row'}"
    pairs = zip(_TRAITS, traits, other[2:], strict=False)
    found = [yes if b else no for (yes, no), b, c in pairs if b != c]
    g = f"with .grad {traits[-1]}" if traits[-1] else "without .grad"
    return " ".join([text, *(found or [g])])


_SHOWN = {
    float: str,
    complex: str,
    slice: lambda key: f"slice{key}",
    set: lambda key: repr({x for _, x in key}),
}
_TRAITS = ("that requires grad", "without requires grad"), ("a leaf", "no leaf")
