"""The forms of functions that write their result into their first argument: `x.exp_()`.

They are derived: f_(x, ...) is x ← f(x, ...). Which functions have one is PyTorch's list;
where memory is not all that changes (shapes, indexed writes, draws) they are written by hand.
"""

from __future__ import annotations

import math
from functools import wraps

import numpy as np

from ..autodiff.inplace import assign, updated
from ..autodiff.versions import versioned
from ..core.bind import dtype_of, moved
from ..errors import DtypeError, GradError, ShapeError
from .face import FUNCTIONS, METHODS, function, method, need_tensor, only_method
from .face import wrap as wrapped
from .shapes import sizes

_METHODS = """
    addbmm addcdiv addcmul addmm addr atan2 arctan2 baddbmm bitwise_and bitwise_left_shift
    bitwise_not bitwise_or bitwise_right_shift bitwise_xor copysign cumprod cumsum digamma
    absolute add div divide eq erfinv float_power floor_divide fmod ge greater greater_equal gt
    heaviside hypot igamma igammac index_reduce le lerp less less_equal lgamma logical_and
    logical_not logical_or logical_xor lt masked_fill masked_scatter mul multiply mvlgamma ne
    nextafter not_equal polygamma pow put remainder renorm scatter_reduce sgn sign sub subtract
    tril triu true_divide
"""
_METHODS_AND_FUNCTIONS = """
    abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh
    ceil clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad erf erfc exp exp2 expm1
    fix floor frac gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg
    reciprocal relu round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy
"""


def in_place(name: str, f):
    """x ← f(x, ...) under the name `name`, in the precision of x."""
    f = getattr(f, "as_given", f)

    @wraps(f)
    def method(self, *args, **kwargs):
        return updated(need_tensor(self, name), lambda x: f(x, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name.rstrip('_')}` written into this tensor."
    return method


for _name in _METHODS.split():
    only_method(in_place(_name + "_", METHODS[_name]))
for _name in _METHODS_AND_FUNCTIONS.split():
    FUNCTIONS[_name + "_"] = only_method(in_place(_name + "_", METHODS[_name]))


@only_method
def fill_diagonal_(self, fill_value, wrap=False):
    """Write a number on the main diagonal; with `wrap` a tall matrix has it again, a row on.

    >>> zeros(2, 2).fill_diagonal_(1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    shape = tuple(need_tensor(self, "fill_diagonal_").shape)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeError(
            "fill_diagonal_: the tensor must be a matrix or have dims of one length, got "
            f"shape {list(shape)}"
        )
    end = math.prod(shape) if wrap or len(shape) > 2 else shape[1] ** 2
    on = np.zeros(math.prod(shape), bool)
    on[: end : 1 + sum(math.prod(shape[i:]) for i in range(1, len(shape)))] = True
    on = wrapped(on.reshape(shape))
    fill = METHODS["masked_fill"]
    return updated(self, lambda x: fill(x, on, fill_value), "fill_diagonal_")


def _each(self, f, others, name):
    """Python's `f` of each element, and of the others' in its place, written into `self`."""
    if self.requires_grad:
        raise GradError(
            f"Can't call {name}() on Variable that requires grad",
            hint=f"use detach().{name}(...)",
        )
    columns = [FUNCTIONS["broadcast_to"](x, self.shape).flatten() for x in others]
    rows = zip(self.flatten().tolist(), *(c.tolist() for c in columns), strict=True)
    values = np.array([f(*row) for row in rows]).reshape(tuple(self.shape))
    return assign(self, wrapped(values.astype(dtype_of(self))), name)


@only_method
def apply_(self, callable):
    """Each element replaced by what a Python function makes of it: slow.

    >>> tensor([1., 2.]).apply_(lambda x: x + 1)
    tensor([2., 3.])
    """
    return _each(self, callable, (), "apply_")


@only_method
def map_(self, tensor, callable):
    """Each element replaced by f(element, the other's element): slow.

    >>> tensor([1., 2.]).map_(tensor([3., 4.]), lambda a, b: a * b)
    tensor([3., 8.])
    """
    return _each(self, callable, (tensor,), "map_")


@only_method
def map2_(self, x, y, callable):
    """Each element replaced by f(element, element of x, element of y): slow.

    >>> tensor([1.]).map2_(tensor([3.]), tensor([4.]), lambda a, b, c: a + b * c)
    tensor([13.])
    """
    return _each(self, callable, (x, y), "map2_")


def _owned(x, name: str):
    """`x`, whose memory may be another's from now on."""
    if need_tensor(x, name).requires_grad:
        raise GradError(f"{name}: cannot resize variables that require grad")
    if x.base is not None or not isinstance(x.value, np.ndarray):
        raise GradError(
            f"{name}: a view's memory belongs to its base", hint="clone() it"
        )
    return x


@only_method
def resize_(self, *shape, size=None, memory_format=None):
    """Give this tensor another shape: its elements one after another, what is new unset.

    >>> tensor([1., 2., 3.]).resize_(2)
    tensor([1., 2.])
    """
    x, shape = _owned(self, "resize_"), sizes(shape, size)
    n = math.prod(shape)
    if min(shape, default=0) < 0:
        raise ShapeError(f"resize_: sizes cannot be negative, got {shape}")
    value = x.value.reshape(-1)[:n]
    if n > value.size:
        value = np.zeros(n, value.dtype)
        value[: x.value.size] = x.value.reshape(-1)
    x.value = value.reshape(shape)
    moved.value += 1
    return x


@only_method
def resize_as_(self, the_template, memory_format=None):
    """`resize_` to the shape of another tensor.

    >>> tensor([1., 2., 3.]).resize_as_(ones(1, 2))
    tensor([[1., 2.]])
    """
    return resize_(self, need_tensor(the_template, "resize_as_", "the_template").shape)


@only_method
def set_(self, source=None):
    """Show the memory of `source` from now on; nothing without one.

    >>> tensor([1., 2.]).set_(tensor([3.]))
    tensor([3.])
    """
    x = _owned(self, "set_")
    if source is None:
        return resize_(x, 0)
    if dtype_of(need_tensor(source, "set_", "source")) != dtype_of(x):
        raise DtypeError(
            f"set_: the source has dtype {dtype_of(source).name}, this tensor "
            f"{dtype_of(x).name}"
        )
    x.value, x.version = _owned(source.detach(), "set_").value, versioned(source)
    moved.value += 1
    return x


# Methods that PyTorch has as functions too.
for _name in ("as_strided_", "index_put_", "resize_as_"):
    FUNCTIONS[_name] = METHODS[_name]


@function
def detach(input):
    """The same memory, outside the graph.

    >>> detach(tensor([1.], requires_grad=True)).requires_grad
    False
    """
    return need_tensor(input, "detach").detach()


@function
def zero_(input):
    """Zeros written into `input`.

    >>> zero_(tensor([1., 2.]))
    tensor([0., 0.])
    """
    return need_tensor(input, "zero_").zero_()


@function
def fill_(input, value):
    """One number written into `input` everywhere.

    >>> fill_(tensor([1., 2.]), 3)
    tensor([3., 3.])
    """
    return need_tensor(input, "fill_").fill_(value)


@method
def fill(input, value):
    """A copy with every element `value`.

    >>> fill(tensor([1., 2.]), 3)
    tensor([3., 3.])
    """
    return METHODS["clone"](need_tensor(input, "fill")).fill_(value)
