"""Nested data as JSON beside tensors: what `adjoint.save` writes, and nothing that runs code.

Texts, whole numbers, finite floats, True, False, None and lists are themselves; all else is an
object with one member that says what it is, such as {"tuple": [...]} or {"tensor": name}.
"""

from __future__ import annotations

import base64
import math
from collections import OrderedDict
from typing import Any

import numpy as np

from ..core import dtype as dt
from ..core.bind import Box
from ..core.dtype import DType
from ..core.generator import Generator
from ..core.shape import Size
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import wrap
from ..nn.parameter import Parameter
from .header import METADATA, NAME, Bad

DEEPEST = 100  # containers within each other


# ---------------------------------------------------------------- writing


class Writer:
    """Data -> JSON, with the arrays met on the way in `arrays`, by readable names."""

    def __init__(self):
        self.arrays: dict[str, np.ndarray] = {}
        self._path: list[str] = []
        self._around: list[int] = []

    def write(self, x) -> Any:
        """What stands for `x` in the JSON."""
        rule = _WRITE.get(type(x))
        if rule is not None:
            return rule(self, x)
        if isinstance(x, Box):
            return _write_tensor(self, x)
        if isinstance(x, np.generic):
            return {"scalar": self.keep(np.asarray(x))}
        raise ArgumentTypeError(
            f"save: {self.place()} is a {type(x).__name__}, which cannot be saved",
            hint=_advice(x),
        )

    def place(self) -> str:
        """Where in the data the writer is."""
        return repr(".".join(self._path)) if self._path else "the data"

    def within(self, x, key, value) -> Any:
        """What stands for `value`, which is the member `key` of the container `x`."""
        if id(x) in self._around:
            raise ArgumentError(f"save: {self.place()} contains itself")
        if len(self._around) >= DEEPEST:
            raise ArgumentError(f"save: {self.place()} is nested deeper than {DEEPEST}")
        self._around.append(id(x))
        self._path.append(str(key))
        out = self.write(value)
        self._around.pop()
        self._path.pop()
        return out

    def keep(self, a: np.ndarray) -> Any:
        """The name of an array; complex128, which the format lacks, goes as pairs."""
        pairs = a.dtype == np.complex128
        if pairs:
            a = np.stack([a.real, a.imag], -1)
        if a.dtype.newbyteorder("=") not in NAME:
            raise ArgumentTypeError(
                f"save: {self.place()} is an array of {a.dtype}, which cannot be saved"
            )
        name = ".".join(self._path).encode(errors="replace").decode()
        name = free = "data" if name in ("", METADATA) else name
        count = 1
        while free in self.arrays:
            count += 1
            free = f"{name}#{count}"
        self.arrays[free] = a
        return {"pairs": free} if pairs else free


def _write_float(_, x):
    return x if math.isfinite(x) else {"float": str(x)}


def _write_int(_, x):
    return x if abs(x) < 1 << 1000 else {"int": hex(x)}


def _write_tensor(w: Writer, x):
    if isinstance(x, Parameter):
        kind = "parameter" if x.requires_grad else "frozen"
    else:
        kind = "trained" if x.requires_grad else "tensor"
    return {kind: w.keep(x.detach().numpy_of())}


def _write_many(kind):
    def write(w: Writer, x):
        items = [w.within(x, i, v) for i, v in enumerate(x)]
        return {kind: items} if kind else items

    return write


def _write_dict(kind):
    def write(w: Writer, x):
        return {kind: [[w.within(x, k, k), w.within(x, k, v)] for k, v in x.items()]}

    return write


_WRITE = {
    type(None): lambda w, x: x,
    bool: lambda w, x: x,
    str: lambda w, x: x,
    int: _write_int,
    float: _write_float,
    complex: lambda w, x: {"complex": [_write_float(w, p) for p in (x.real, x.imag)]},
    bytes: lambda w, x: {"bytes": base64.b64encode(x).decode()},
    list: _write_many(""),
    tuple: _write_many("tuple"),
    set: _write_many("set"),
    frozenset: _write_many("frozenset"),
    Size: lambda w, x: {"Size": list(x)},
    dict: _write_dict("dict"),
    OrderedDict: _write_dict("OrderedDict"),
    np.ndarray: lambda w, x: {"array": w.keep(x)},
    np.memmap: lambda w, x: {"array": w.keep(np.asarray(x))},
    DType: lambda w, x: {"dtype": x.name},
    Generator: lambda w, x: {"generator": list(x.position())},
}


def _advice(x) -> str:
    if hasattr(x, "state_dict"):
        return "save its state_dict()"
    if isinstance(x, dict):
        return "dict(x) can be saved"
    if isinstance(x, tuple):
        return "tuple(x) can be saved"
    return (
        "tensors, arrays, numbers, texts, None and dicts, lists, tuples of them can be"
    )


# ---------------------------------------------------------------- reading


def read(x: Any, arrays: dict, depth: int = 0) -> Any:
    """The data for which `x` stands, its arrays from `arrays`; raises Bad."""
    if depth > 2 * DEEPEST:
        raise Bad("the structure is nested too deeply")
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, list):
        return [read(v, arrays, depth + 1) for v in x]
    if not isinstance(x, dict) or len(x) != 1:
        raise Bad(f"the structure has {str(x)[:60]!r}, which stands for nothing")
    ((kind, value),) = x.items()
    if kind not in _READ:
        raise Bad(f"the structure has {kind[:60]!r}, which this version does not know")
    try:
        return _READ[kind](value, arrays, depth + 1)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise Bad(f"the structure has a wrong {kind!r}: {error}") from None


def _array(name, arrays) -> np.ndarray:
    if isinstance(name, dict):
        a = arrays[name["pairs"]]
        if a.dtype != np.float64 or a.ndim == 0 or a.shape[-1] != 2:
            raise ValueError("complex numbers must be pairs of F64")
        return np.ascontiguousarray(a).view(np.complex128)[..., 0]
    return arrays[name]


def _tensor(name, arrays, _):
    a = _array(name, arrays)
    if a.dtype not in dt.BY_NUMPY:
        raise ValueError(f"no tensor has dtype {a.dtype}")
    return wrap(a)


def _scalar(name, arrays, _):
    a = _array(name, arrays)
    if a.ndim:
        raise ValueError(f"a number must have shape [], got {list(a.shape)}")
    return a[()]


def _generator(position, *_):
    seed, block = position
    if not all(type(n) is int and 0 <= n < 2**64 for n in position):
        raise ValueError(f"a position is two whole numbers, got {position}")
    out = Generator()
    out.go_to((seed, block))
    return out


def _float(text, *_):
    if text not in ("nan", "inf", "-inf"):
        raise ValueError(f"{text!r} is not nan, inf or -inf")
    return float(text)


def _many(kind):
    return lambda items, arrays, depth: kind(read(v, arrays, depth) for v in items)


def _dict(kind):
    def make(pairs, arrays, depth):
        return kind((read(k, arrays, depth), read(v, arrays, depth)) for k, v in pairs)

    return make


_READ = {
    "float": _float,
    "int": lambda text, *_: int(text, 16),
    "complex": lambda p, arrays, d: complex(*(read(v, arrays, d) for v in p)),
    "bytes": lambda text, *_: base64.b64decode(text, validate=True),
    "tuple": _many(tuple),
    "set": _many(set),
    "frozenset": _many(frozenset),
    "Size": lambda sizes, *_: Size(int(n) for n in sizes),
    "dict": _dict(dict),
    "OrderedDict": _dict(OrderedDict),
    "array": lambda name, arrays, _: _array(name, arrays),
    "scalar": _scalar,
    "dtype": lambda name, *_: dt.BY_NAME[name],
    "generator": _generator,
    "tensor": _tensor,
    "trained": lambda *x: _tensor(*x).requires_grad_(),
    "parameter": lambda *x: Parameter(_tensor(*x)),
    "frozen": lambda *x: Parameter(_tensor(*x), requires_grad=False),
}
