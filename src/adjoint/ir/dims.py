"""Dims: where a dim of an operand is in the result, and where its places meet.

An operation that computes every place of some dim apart carries that dim over into its result.
Loops are cut along such dims, and batches padded.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise
from ..ops.contract import letters_of
from ..ops.matrix import OfMatrix

MET = "met"  # all places of the dim are summed, multiplied or compared


def carried(o, i: int, d: int) -> int | str | None:
    """The dim of the result that dim d of input i is, MET, or None where places are mixed."""
    rule = _RULES.get(o.prim.name)
    if rule is not None:
        return rule(o, i, d)
    if isinstance(o.prim, Elementwise):
        return _aligned(o, i, d)
    if isinstance(o.prim, OfMatrix):
        return d if d < _rank(o, i) - 2 else None
    return None


def source(o, i: int, d: int) -> int | None:
    """The dim of input i that is dim d of the result."""
    return next((e for e in range(_rank(o, i)) if carried(o, i, e) == d), None)


def counted(x: np.ndarray) -> int | None:
    """The dim along which an array counts 0, 1, 2..., being one in the others; or None."""
    wide = [d for d, n in enumerate(x.shape) if n != 1]
    if len(wide) != 1 or not np.array_equal(x.ravel(), np.arange(x.size)):
        return None
    return wide[0]


def _rank(o, i) -> int:
    return len(o.inputs[i].spec.shape)


def _aligned(o, i, d):
    """Counted from the last dim, as broadcasting does."""
    if o.inputs[i].spec.shape[d] == 1 != o.outputs[0].spec.shape[d - _rank(o, i)]:
        return None
    return d - _rank(o, i) + len(o.outputs[0].spec.shape)


def _same(o, i, d):
    return d if o.inputs[i].spec.shape[d] == o.outputs[0].spec.shape[d] else None


def _without(dims, d, keep=False):
    """Where dim d is when these are taken away."""
    return d if keep else d - sum(e < d for e in dims)


def _reduced(o, i, d):
    dims = o.params["dim"]
    return MET if d in dims else _without(dims, d, o.params["keepdim"])


def _along(o, i, d):
    return None if d == o.params["dim"] else d


def _across(o, i, d):
    return None if d in o.params["dims"] else d


def _contract(o, i, d):
    *operands, out = letters_of(o.params["spec"])
    letter = operands[i][d]
    return out.index(letter) if letter in out else MET


def _permute(o, i, d):
    return o.params["dims"].index(d)


def _reshape(o, i, d):
    """A dim that is still one, with as many places before it."""
    x, y = o.inputs[0].spec.shape, o.outputs[0].spec.shape
    before = math.prod(x[:d])
    same = (e for e, n in enumerate(y) if n == x[d] and math.prod(y[:e]) == before)
    return next(same, None)


def _slice(o, i, d):
    """A dim that is taken whole."""
    place = -1
    for at, k in enumerate(o.params["key"]):
        place += k is not None
        if place == d and k is not None:
            if k != (0, o.inputs[0].spec.shape[d], 1):
                return None
            return sum(not isinstance(k, int) for k in o.params["key"][:at])
    left = sum(isinstance(k, int) for k in o.params["key"])
    return d - left + sum(k is None for k in o.params["key"])


def _unslice(o, i, d):
    """A dim that fills that of the result; numbers of the key are dims that x lacks."""
    at, mine = 0, -1
    for k in o.params["key"]:
        mine += not isinstance(k, int)
        if mine == d and not isinstance(k, int):
            shape = o.outputs[0].spec.shape
            return at if k and k == (0, shape[at], 1) else None
        at += k is not None
    return at + d - mine - 1


def _select(o, i, d):
    return None if d == o.params["dim"] else _without((o.params["dim"],), d)


def _stack(o, i, d):
    return d + (o.params["dim"] <= d)


def _images(o, i, d):
    return 0 if i == d == 0 else None


def _weights(o, i, d):
    return MET if d == 0 else None


def _planes(o, i, d):
    return _same(o, i, d) if d < 2 else None


def _index(o, i, d):
    """Dims of what is read that positions do not lead into; those of the positions."""
    at, positions = o.params["dim"], o.inputs[1:]
    rank = max(len(v.spec.shape) for v in positions)
    if i:
        end = at + rank - _rank(o, i) + d
        same = o.inputs[i].spec.shape[d] == o.outputs[0].spec.shape[end]
        return end if same else None
    if at <= d < at + len(positions):
        return None
    return d if d < at else d - len(positions) + rank


def _unindex(o, i, d):
    at, positions = o.params["dim"], o.inputs[1:]
    rank = max(len(v.spec.shape) for v in positions)
    if i or at <= d < at + rank:
        return MET
    return d if d < at else d - rank + len(positions)


def _diagonal(o, i, d):
    ends = o.params["dim1"], o.params["dim2"]
    return None if d in ends else _without(ends, d)


def _undiagonal(o, i, d):
    ends = o.params["dim1"], o.params["dim2"]
    rest = [e for e in range(len(o.outputs[0].spec.shape)) if e not in ends]
    return rest[d] if d < len(rest) else None


def _overlap_add(o, i, d):
    return None if d == _rank(o, 0) - 1 else _along(o, i, d)


_RULES = {
    "contract": _contract,
    "conv": _images,
    "conv_data": _images,
    "conv_weight": _weights,
    "diagonal": _diagonal,
    "expand": _aligned,
    "index": _index,
    "overlap_add": _overlap_add,
    "permute": _permute,
    "pick": _planes,
    "put": _planes,
    "reshape": _reshape,
    "searchsorted": lambda o, i, d: d if i else None,
    "select": _select,
    "slice": _slice,
    "stack": _stack,
    "undiagonal": _undiagonal,
    "unindex": _unindex,
    "unslice": _unslice,
    "view_as_complex": lambda o, i, d: d if d < _rank(o, i) - 1 else None,
}
_ALIKE = (
    "cast contiguous real imag bits stop_gradient zeros_like ones_like tril triu bounded "
    "view_as_real"
)
_RUNS = "cumsum cumprod logcumsumexp recurrence cummax_index cummin_index"
_PLACES = "cat frames argsort topk_index kth_index mode_index rfft irfft"
_RULES |= dict.fromkeys(_ALIKE.split(), _same)
_RULES |= dict.fromkeys(["sum", "mean", "prod", "amax", "amin"], _reduced)
_RULES |= dict.fromkeys([*_RUNS.split(), *_PLACES.split()], _along)
_RULES |= dict.fromkeys(["flip", "roll", "fft"], _across)

__all__ = ["MET", "carried", "counted", "source"]
