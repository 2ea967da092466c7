"""Signature: what of arguments makes another program."""

from __future__ import annotations

import functools
from numbers import Number

import numpy as np

from ..autodiff.tape import BASE
from ..core import tree
from ..core.bind import Box
from ..core.dtype import BY_NUMPY, other_order
from ..core.primitive import spec_of


def leaves_of(args, kwargs):
    """(the leaves of arguments, arrays as tensors, and what they are leaves of)."""
    if not kwargs and all(isinstance(x, Box) for x in args):
        return list(args), _flat(len(args))
    leaves, shape = tree.flatten((args, kwargs))
    return list(map(tensor_of, leaves)), shape


@functools.cache
def _flat(count):
    """What so many tensors are leaves of that are arguments themselves."""
    return tree.flatten(((0,) * count, {}))[1]


def tensor_of(x):
    """An array of NumPy as a tensor on its memory; anything else as it is.

    So are arrays of texts, of objects, of another byte order: no tensor holds them.
    """
    holds = isinstance(x, np.ndarray) and x.dtype in BY_NUMPY
    return BASE.wrap(x) if holds else x


def key_of(x):
    """What of an argument makes another program."""
    if isinstance(x, Box):
        g = None if x._grad is None else spec_of(x._grad)
        rows = () if x.value.flags.c_contiguous else ("not row by row",)
        return x.shape, x.value.dtype, x.requires_grad, x.is_leaf, *rows, g
    return type(x), _apart(x)


def same_statics(leaves, kinds) -> bool:
    """Whether what is no tensor among arguments is what these keys were made of."""
    pairs = zip(leaves, kinds, strict=True)
    return all(isinstance(x, Box) or key_of(x) == kind for x, kind in pairs)


def _apart(x):
    """What stands for a static value in a key, and is equal for those that are the same.

    Numbers are the same to the bit: 0.0 is not -0.0, NaN is NaN. Some have no hash themselves.
    """
    if type(x) is slice:
        return x.start, x.stop, x.step
    if isinstance(x, (set, frozenset)):
        return frozenset(map(key_of, x))
    number = isinstance(x, (Number, np.generic)) and not isinstance(x, int)
    return _Said(repr(x)) if number else x


def unkeyed(kinds) -> str:
    """Why there is no key of arguments of these kinds."""
    for kind in kinds:
        try:
            hash(kind)
        except TypeError as error:
            if isinstance(kind[1], np.ndarray):
                d = kind[1].dtype
                return f"no tensor holds an array of {d}, which it is given{other_order(d)}"
            return f"{error}; pass tuples and frozensets for lists and sets"
    return "its arguments have no hash"


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
    return next((n.format(b, a) for n, a, b in modes if a != b), "another mode")


_MODES = (
    "recording is {}, was {}",
    "inference mode is {}, was {}",
    "modules were switched between train() and eval()",
    "the default dtype is {}, was {}",
    "autocast is to {}, was {}",
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
    slice: lambda key: f"slice{key}",
    set: lambda key: repr({x for _, x in key}),
    frozenset: lambda key: repr(frozenset(x for _, x in key)),
}
_TRAITS = ("that requires grad", "without requires grad"), ("a leaf", "no leaf")
