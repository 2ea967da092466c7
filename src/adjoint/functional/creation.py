"""Functions that make tensors of numbers, shapes and other arrays."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.tape import Leaf
from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from .face import FUNCTIONS, function, need_tensor, np_dtype, only_method, wrap
from .shapes import sizes


def finish(value, requires_grad=False):
    """A tensor around a fresh array, a leaf if asked."""
    out = wrap(value)
    if requires_grad:
        demand_grad(out)
    return out


def demand_grad(x) -> None:
    """Make `x` a leaf that gradients arrive at."""
    if x.value.dtype.kind not in "fVc":
        raise DtypeError(
            "only Tensors of floating point and complex dtype can require gradients, "
            f"not {dt.dtype(x.value.dtype)}"
        )
    x.node = Leaf(x)


def need_cpu(device) -> None:
    """Only the CPU is here."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise ArgumentError(
            f"device {str(device)!r} is not available: this build computes on 'cpu'"
        )


def array_of(data, dtype=None) -> np.ndarray:
    """A new array of nested lists, numbers, arrays or tensors, in PyTorch's dtype for them."""
    if type(data) is float:
        return np.array(data, dt.get_default_dtype().np if dtype is None else dtype)
    if isinstance(data, Box):
        data = data.numpy_of()
    given = isinstance(data, (np.ndarray, np.generic))
    if not given and isinstance(data, (list, tuple)):
        data = _unboxed(data)
    try:
        value = np.array(data, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ArgumentError(
            f"tensor(): {error}", hint="rows must have equal lengths and hold numbers"
        ) from None
    if dtype is None and not given:
        if value.dtype.kind == "f":
            value = value.astype(dt.get_default_dtype().np)
        elif value.dtype.kind == "c":
            value = value.astype(dt.to_complex(dt.get_default_dtype().np))
        elif value.dtype.kind in "iu" and value.dtype != np.int64:
            value = value.astype(np.int64)
    if value.dtype == np.float64 and value.size == 0 and not given and dtype is None:
        value = value.astype(dt.get_default_dtype().np)
    if value.dtype.kind in "OUSmM" or value.dtype.newbyteorder("=") not in dt._TABLE:
        raise ArgumentTypeError(f"tensor(): cannot hold {value.dtype} values")
    return value


def _unboxed(data):
    if isinstance(data, (list, tuple)):
        return [_unboxed(x) for x in data]
    return data.numpy_of() if isinstance(data, Box) else data


@function
def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor that copies numbers, nested lists, arrays or tensors.

    >>> tensor([[1., 2.], [3., 4.]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if device is not None:
        need_cpu(device)
    return finish(array_of(data, np_dtype(dtype)), requires_grad)


@function
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where it can.

    >>> as_tensor([1, 2])
    tensor([1, 2])
    """
    need_cpu(device)
    if isinstance(data, Box):
        return data if dtype is None else op.cast(data, dtype=np_dtype(dtype))
    if isinstance(data, np.ndarray) and (
        dtype is None or data.dtype == np_dtype(dtype)
    ):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


@function
def from_numpy(ndarray):
    """A tensor on the memory of an array.

    >>> import numpy as np
    >>> from_numpy(np.array([1., 2.]))
    tensor([1., 2.], dtype=adjoint.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentTypeError(
            f"from_numpy: expected np.ndarray, got {type(ndarray).__name__}"
        )
    if ndarray.dtype not in dt._TABLE:
        raise DtypeError(f"from_numpy: no tensor dtype for {ndarray.dtype}")
    return wrap(ndarray.view(np.ndarray))


def _filled(name, value, docs):
    def f(*size, out=None, dtype=None, device=None, requires_grad=False):
        need_cpu(device)
        d = np_dtype(dtype) or dt.get_default_dtype().np
        return finish(np.full(sizes(size), value, d), requires_grad)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = docs
    return function(f)


zeros = _filled("zeros", 0, "Zeros of a shape.\n\n>>> zeros(2)\ntensor([0., 0.])")
ones = _filled("ones", 1, "Ones of a shape.\n\n>>> ones(2)\ntensor([1., 1.])")
empty = _filled(
    "empty",
    0,
    "Room of a shape; its content is not to be relied on.\n\n>>> empty(2).shape\nadjoint.Size([2])",
)


@function
def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """One number in every place of a shape.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    need_cpu(device)
    fill = fill_value.item() if isinstance(fill_value, Box) else fill_value
    d = np_dtype(dtype) or dt.weak(type(fill), None)
    return finish(
        np.full(sizes((size,)), fill, d),
        requires_grad,
    )


def _like(name, value, docs):
    def f(input, *, dtype=None, device=None, requires_grad=False):
        need_cpu(device)
        x = need_tensor(input, name)
        d = np_dtype(dtype) or dtype_of(x)
        out = op.zeros_like(x) if value == 0 else op.ones_like(x)
        out = out if dtype_of(out) == d else op.cast(out, dtype=d)
        return out.requires_grad_() if requires_grad else out

    f.__name__ = f.__qualname__ = name
    f.__doc__ = docs
    return function(f)


zeros_like = _like(
    "zeros_like",
    0,
    "Zeros like `input`.\n\n>>> zeros_like(tensor([1, 2]))\ntensor([0, 0])",
)
ones_like = _like(
    "ones_like",
    1,
    "Ones like `input`.\n\n>>> ones_like(tensor([1, 2]))\ntensor([1, 1])",
)
empty_like = _like(
    "empty_like",
    0,
    "Room like `input`.\n\n>>> empty_like(tensor([1, 2])).shape\nadjoint.Size([2])",
)


@function
def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False):
    """One number in every place of the shape of `input`.

    >>> full_like(tensor([1., 2.]), 7)
    tensor([7., 7.])
    """
    x = need_tensor(input, "full_like")
    return full(
        tuple(x.shape),
        fill_value,
        dtype=dtype or dtype_of(x),
        device=device,
        requires_grad=requires_grad,
    )


@function
def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """Numbers from start to end (not included) by step.

    >>> arange(3), arange(0, 1, 0.5)
    (tensor([0, 1, 2]), tensor([0.0000, 0.5000]))
    """
    need_cpu(device)
    start, end, step = (
        v.item() if isinstance(v, Box) else v for v in (start, end, step)
    )
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise ArgumentError(
            "arange: upper bound and lower bound inconsistent with step sign: "
            f"{start}, {end}, {step}"
        )
    whole = builtins_all_int(start, end, step)
    d = np_dtype(dtype) or (np.dtype("int64") if whole else dt.get_default_dtype().np)
    count = math.ceil((end - start) / step)
    return finish((start + step * np.arange(count)).astype(d), requires_grad)


def builtins_all_int(*xs) -> bool:
    """All are Python integers."""
    return not [x for x in xs if not isinstance(x, int)]


@function
def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers evenly from start to end, both included.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    need_cpu(device)
    if steps < 0:
        raise ArgumentError(
            f"linspace: number of steps must be non-negative, got {steps}"
        )
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return finish(np.linspace(start, end, steps).astype(d), requires_grad)


@function
def logspace(
    start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False
):
    """`steps` numbers from base^start to base^end, evenly in the exponent.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return finish(np.logspace(start, end, steps, base=base).astype(d), requires_grad)


@function
def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """The identity matrix, n × m.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    need_cpu(device)
    return finish(
        np.eye(n, m, dtype=np_dtype(dtype) or dt.get_default_dtype().np), requires_grad
    )


def _new(name, make):
    def f(self, *size, dtype=None, device=None, requires_grad=False):
        return make(
            *size,
            dtype=dtype or dtype_of(self),
            device=device,
            requires_grad=requires_grad,
        )

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"`{name[4:]}` with this tensor's dtype."
    return only_method(f)


_new("new_zeros", zeros)
_new("new_ones", ones)
_new("new_empty", empty)


@only_method
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """`full` with this tensor's dtype."""
    return full(
        size, fill_value, dtype=dtype or dtype_of(self), requires_grad=requires_grad
    )


@only_method
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """`tensor` with this tensor's dtype."""
    return tensor(data, dtype=dtype or dtype_of(self), requires_grad=requires_grad)


FUNCTIONS["asarray"] = as_tensor
