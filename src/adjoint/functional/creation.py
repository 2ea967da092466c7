"""Functions that make tensors of numbers, shapes and other arrays."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.tape import Leaf
from ..core import dtype as dt
from ..core.bind import Box, dtype_of, quiet
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, sound
from .face import (
    SCALARS,
    cast,
    function,
    give,
    method,
    need_tensor,
    np_dtype,
    only_method,
    result_dtype,
    wrap,
)
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
        d = dt.get_default_dtype().np if dtype is None else dtype
        return np.array(data, d) if -1e4 < data < 1e4 else quiet.run(_array, data, d)
    if isinstance(data, Box):
        data = data.numpy_of()
    given = isinstance(data, (np.ndarray, np.generic))
    if not given and isinstance(data, (list, tuple)):
        leaf = _first(data)
        given = isinstance(leaf, (np.generic, np.ndarray))
        if dtype is None and isinstance(leaf, Box) and dt.is_inexact(dtype_of(leaf)):
            dtype = dtype_of(leaf)
        data = _unboxed(data)
    value = quiet.run(_array, data, dtype)
    if dtype is None and not given:
        value = quiet.run(value.astype, _inferred(value), copy=False)
    if value.dtype == object and all(isinstance(v, int) for v in value.flat):
        raise _too_large(None, f"{max(value.flat, key=abs)} needs more than 64 bits")
    if value.dtype.kind in "OUSmM" or value.dtype.newbyteorder("=") not in dt._TABLE:
        raise ArgumentTypeError(
            f"tensor(): cannot hold {value.dtype} values",
            hint=f"given was a {type(data).__name__}",
        )
    return value


def _array(data, dtype) -> np.ndarray:
    try:
        return np.array(data, dtype=dtype)
    except OverflowError as error:
        raise _too_large(dtype, error) from None
    except (ValueError, TypeError) as error:
        uneven = "sequence" in str(error)
        hint = "rows must have equal lengths and hold numbers" if uneven else ""
        raise ArgumentError(f"tensor(): {error}", hint=hint) from None


def _too_large(dtype, why) -> ArgumentError:
    held = "int64" if dtype is None else dtype.name
    return ArgumentError(
        f"tensor(): value cannot be converted to type {held} without overflow: {why}"
    )


def _inferred(value) -> np.dtype:
    """The dtype of Python numbers: the default one of floats, int64."""
    kind = value.dtype.kind
    if kind == "f":
        return dt.get_default_dtype().np
    if kind == "c":
        return dt.to_complex(dt.get_default_dtype().np)
    return np.dtype("int64") if kind in "iu" else value.dtype


def _first(data):
    """What nested lists hold first; NumPy's numbers and tensors keep their dtype."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def _unboxed(data):
    if isinstance(data, (list, tuple)):
        return [_unboxed(x) for x in data]
    return data.numpy_of() if isinstance(data, Box) else data


def _shape(size, name) -> tuple[int, ...]:
    """Sizes, none of them negative."""
    shape = sizes(size)
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: a size must be non-negative, got {shape}")
    return shape


def _room(shape, d, name, value) -> np.ndarray:
    """A new array, all `value`, or the error that no memory is that large."""
    try:
        return np.full(shape, value, d)
    except (ValueError, MemoryError):
        raise ShapeError(
            f"{name}: no room for shape {shape}: {math.prod(shape) * d.itemsize} bytes"
        ) from None


def _count(n, name, what) -> int:
    """A number of things: an integer that is not negative."""
    if isinstance(n, float) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"{name}: {what} must be an integer, got {n!r}")
    if n.__index__() < 0:
        raise ArgumentError(f"{name}: {what} must be non-negative, got {n}")
    return n.__index__()


def _number(x):
    """A Python number of a number or a tensor with one element."""
    return x.item() if isinstance(x, (Box, np.generic)) else x


@function
@sound
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor that copies numbers, nested lists, arrays or tensors.

    >>> tensor([[1., 2.], [3., 4.]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if device is not None:
        need_cpu(device)
    return finish(array_of(data, np_dtype(dtype)), requires_grad)


@function
def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    """A number as a tensor, in the default dtype if none is given.

    >>> scalar_tensor(3)
    tensor(3.)
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return full((), s, dtype=d, requires_grad=requires_grad)


@function
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where it can.

    >>> as_tensor([1, 2])
    tensor([1, 2])
    """
    need_cpu(device)
    if isinstance(data, Box):
        return data if dtype is None else cast(data, np_dtype(dtype))
    if isinstance(data, np.ndarray) and (
        dtype is None or data.dtype == np_dtype(dtype)
    ):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


@function
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=None):
    """`obj` (a tensor, an array, a buffer, what speaks DLPack, a list) as a tensor.

    `copy` True always copies, False never does, None does where it must. A tensor keeps its
    place in the graph unless `requires_grad` is False.

    >>> asarray([1, 2])
    tensor([1, 2])
    """
    need_cpu(device)
    shared = isinstance(obj, (Box, np.ndarray))
    if not shared and hasattr(obj, "__dlpack__"):
        obj, shared = from_dlpack(obj), True
    same = shared and (dtype is None or np_dtype(dtype) == dtype_of(obj))
    if copy is False and not same:
        raise ArgumentError(
            f"asarray: can't alias {type(obj).__name__} into a tensor"
            + (f" of dtype {dt.dtype(dtype).name}" if dtype else "")
        )
    if isinstance(obj, Box):
        x = obj if requires_grad is not False else obj.detach()
        x = x if same else cast(x, np_dtype(dtype))
        x = x.clone() if copy and same else x
    else:
        x = as_tensor(obj) if same and not copy else tensor(obj, dtype=dtype)
    return x.requires_grad_() if requires_grad else x


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


@function
def from_dlpack(ext_tensor):
    """A tensor on the memory of what speaks DLPack, such as tensors of other libraries.

    >>> import numpy as np
    >>> from_dlpack(np.array([1, 2]))
    tensor([1, 2])
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise ArgumentTypeError(
            f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__"
        )
    try:
        return from_numpy(np.from_dlpack(ext_tensor))
    except (BufferError, RuntimeError) as error:
        raise ArgumentError(f"from_dlpack: {error}") from None


@function
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector on the memory of a buffer, from byte `offset` on.

    >>> frombuffer(bytearray([1, 2, 3]), dtype=uint8, offset=1)
    tensor([2, 3], dtype=adjoint.uint8)
    """
    d = np_dtype(dtype)
    length = memoryview(buffer).nbytes
    if length == 0 or count == 0:
        raise ArgumentError(
            f"frombuffer: both buffer length ({length}) and count ({count}) must not be 0"
        )
    if not 0 <= offset < length:
        raise ArgumentError(
            f"frombuffer: offset ({offset} bytes) must be non-negative and no greater than "
            f"buffer length ({length} bytes) minus 1"
        )
    if count < 0 and (length - offset) % d.itemsize:
        raise ArgumentError(
            f"frombuffer: buffer length ({length} bytes) after offset ({offset} bytes) must be "
            f"a multiple of element size ({d.itemsize})"
        )
    if count * d.itemsize > length - offset:
        raise ArgumentError(
            f"frombuffer: requested buffer length ({count} * {d.itemsize} bytes) after offset "
            f"({offset} bytes) must not be greater than actual buffer length ({length} bytes)"
        )
    return finish(np.frombuffer(buffer, d, count, offset), requires_grad)


def _filled(name, value, docs):
    def f(
        *size,
        out=None,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        memory_format=None,
        **named,
    ):
        if device is not None:
            need_cpu(device)
        if set(named) - {"size"} or not (size or named):
            raise ArgumentTypeError(f"{name}() takes the argument 'size', got {named}")
        shape = _shape(size or (named["size"],), name)
        d = np_dtype(dtype) or dt.get_default_dtype().np
        return give(finish(_room(shape, d, name, value), requires_grad), out)

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
def full(
    size,
    fill_value,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """One number in every place of a shape.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    if device is not None:
        need_cpu(device)
    if not isinstance(size, (tuple, list)):
        raise ArgumentTypeError(
            f"full(): argument 'size' must be tuple of ints, not {type(size).__name__}"
        )
    fill = _number(fill_value)
    if not isinstance(fill, SCALARS):
        raise ArgumentTypeError(
            f"full(): argument 'fill_value' must be a number, not {type(fill).__name__}"
        )
    d = np_dtype(dtype) or dt.weak(type(fill), None)
    fill = _fitting(fill, d, "full")
    value = _room(_shape((size,), "full"), d, "full", fill)
    return give(finish(value, requires_grad), out)


def _fitting(number, d, name):
    """A number in dtype `d`, or the error that it has no such value."""
    lost = isinstance(number, complex) and number.imag and d.kind != "c"
    try:
        if lost:
            raise OverflowError
        return (
            np.array(number if d.kind != "b" else bool(number)).astype(d)[()]
            if (d.kind in "bfVc")
            else np.array(int(getattr(number, "real", number)), d)[()]
        )
    except (OverflowError, ValueError):
        raise DtypeError(
            f"{name}: value {number} cannot be converted to type {d.name} without overflow"
        ) from None


@function
def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False
):
    """Room of a shape with given steps in memory, in elements.

    >>> empty_strided((2, 2), (1, 2)).stride()
    (1, 2)
    """
    need_cpu(device)
    size, stride = _shape((size,), "empty_strided"), _shape((stride,), "empty_strided")
    if len(size) != len(stride):
        raise ShapeError(
            f"empty_strided: size {size} and stride {stride} must have equal lengths"
        )
    d = np_dtype(dtype) or dt.get_default_dtype().np
    last = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    room = np.zeros(last + 1 if math.prod(size) else 0, d)
    steps = [s * d.itemsize for s in stride]
    value = np.ndarray(size, d, room, strides=steps) if room.size else np.zeros(size, d)
    return finish(value, requires_grad)


@function
def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False
):
    """Room of a shape whose dims lie in memory in the order `physical_layout`.

    >>> empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    need_cpu(device)
    size, order = _shape((size,), "empty_permuted"), tuple(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise ShapeError(f"empty_permuted: {order} is not an order of {len(size)} dims")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    room = np.zeros([size[i] for i in order], d)
    return finish(room.transpose(np.argsort(order)), requires_grad)


def _like(name, value, docs):
    def f(
        input,
        *,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        memory_format=None,
    ):
        if device is not None:
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
def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
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
def arange(
    start=0,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """Numbers from start to end (not included) by step.

    >>> arange(3), arange(0, 1, 0.5)
    (tensor([0, 1, 2]), tensor([0.0000, 0.5000]))
    """
    need_cpu(device)
    start, end, step = (_number(v) for v in (start, end, step))
    if end is None:
        start, end = 0, start
    whole = _all_int(start, end, step)
    d = np_dtype(dtype) or (np.dtype("int64") if whole else dt.get_default_dtype().np)
    _need_range("arange", start, end, step, d)
    if d.kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise ArgumentError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise ArgumentError(
            "arange: upper bound and lower bound inconsistent with step sign: "
            f"{start}, {end}, {step}"
        )
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    d = (
        d
        if out is None or dtype is not None
        else dtype_of(need_tensor(out, "arange", "out"))
    )
    return give(finish((start + step * np.arange(count)).astype(d), requires_grad), out)


def _range(start=0, end=None, step=1, **options):
    """Numbers from start to end, which is included; `arange` leaves it out, as Python does.

    >>> ad.range(1, 3)
    tensor([1., 2., 3.])
    """
    start, end = (0, start) if end is None else (start, end)
    options.setdefault("dtype", dt.get_default_dtype())
    count = math.floor((_number(end) - _number(start)) / _number(step)) + 1
    if count <= 0:
        raise ArgumentError(
            "range: upper bound and lower bound inconsistent with step sign"
        )
    return arange(count, **options) * step + start


_range.__name__ = _range.__qualname__ = "range"  # not to hide Python's in this file
function(_range)


def _need_range(name, start, end, step, d):
    """Finite real numbers, and a dtype that counts."""
    for v in (start, end, step):
        if isinstance(v, complex) or not isinstance(v, SCALARS):
            raise ArgumentTypeError(f"{name}: expects real numbers, got {v!r}")
        if not math.isfinite(v):
            raise ArgumentError(
                f"{name}: unsupported range: {start} -> {end} by {step}"
            )
    if d.kind in "bc":
        raise DtypeError(f"{name}: not defined for {d.name}")


def _all_int(*xs) -> bool:
    """All are Python integers."""
    return not [x for x in xs if not isinstance(x, int)]


def _between(name, start, end, steps, dtype):
    """`steps` numbers in double precision, from both ends inwards, and their dtype."""
    steps = _count(steps, name, "number of steps")
    start, end = _number(start), _number(end)
    for v in (start, end):
        if not isinstance(v, SCALARS):
            raise ArgumentTypeError(f"{name}: expects numbers, got {v!r}")
    d = dt.get_default_dtype().np
    if isinstance(start, complex) or isinstance(end, complex):
        d = dt.to_complex(d)
    i = np.arange(steps)
    step = (end - start) / (steps - 1) if steps > 1 else 0
    rising, falling = start + step * i, end - step * (steps - 1 - i)
    first = i < max(steps // 2, 1)
    return np.where(first, rising, falling), np_dtype(dtype) or d


@function
def linspace(
    start,
    end,
    steps,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """`steps` numbers evenly from start to end, both included.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    need_cpu(device)
    value, d = _between("linspace", start, end, steps, dtype)
    return give(finish(_narrowed(value, d, "linspace"), requires_grad), out)


def _narrowed(value, d, name):
    """The array in dtype `d`, unless that loses the imaginary part."""
    if value.dtype.kind == "c" and d.kind != "c":
        raise DtypeError(f"{name}: complex numbers do not fit {d.name}")
    return value.astype(d)


@function
def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """`steps` numbers from base^start to base^end, evenly in the exponent.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    need_cpu(device)
    value, d = _between("logspace", start, end, steps, dtype)
    with np.errstate(all="ignore"):
        value = np.asarray(base) ** value
    return give(finish(_narrowed(value, d, "logspace"), requires_grad), out)


@function
def eye(
    n,
    m=None,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """The identity matrix, n × m.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    need_cpu(device)
    n = _count(n, "eye", "n")
    m = n if m is None else _count(m, "eye", "m")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return give(finish(np.eye(n, m, dtype=d), requires_grad), out)


# ---------------------------------------------------------------- windows


def _window(name, length, periodic, options, make):
    """The values of `make` for a window that is symmetric, or one that repeats."""
    need_cpu(options.pop("device", None))
    dtype, grad = options.pop("dtype", None), options.pop("requires_grad", False)
    options.pop("layout", None)
    if options:
        raise ArgumentTypeError(f"{name}() has no argument {next(iter(options))!r}")
    length = _count(length, name, "window_length")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    if dt.rank(d) != 2:
        raise DtypeError(f"{name} expects floating point dtypes, got: {d.name}")
    if length < 2:
        return finish(np.ones(length, d), grad)
    n = length + bool(periodic)
    return finish(make(n)[:length].astype(d), grad)


def _cosines(*weights):
    """Σ_k (−1)^k w_k cos(2πkj / (n − 1))."""

    def make(n):
        t = 2 * np.pi * np.arange(n) / (n - 1)
        return sum((-1) ** k * w * np.cos(k * t) for k, w in enumerate(weights))

    return make


@function
def hann_window(window_length, periodic=True, **options):
    """½ − ½ cos(2πj / (n − 1)); n is one more if the window is to repeat.

    >>> hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("hann_window", window_length, periodic, options, _cosines(0.5, 0.5))


@function
def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, **options):
    """α − β cos(2πj / (n − 1)); n is one more if the window is to repeat.

    >>> hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    make = _cosines(alpha, beta)
    return _window("hamming_window", window_length, periodic, options, make)


@function
def blackman_window(window_length, periodic=True, **options):
    """0.42 − 0.5 cos(2πj / (n − 1)) + 0.08 cos(4πj / (n − 1)).

    >>> blackman_window(4).round(decimals=4).abs()
    tensor([0.0000, 0.3400, 1.0000, 0.3400])
    """
    make = _cosines(0.42, 0.5, 0.08)
    return _window("blackman_window", window_length, periodic, options, make)


@function
def bartlett_window(window_length, periodic=True, **options):
    """The triangle 1 − |2j / (n − 1) − 1|.

    >>> bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("bartlett_window", window_length, periodic, options, np.bartlett)


@function
def kaiser_window(window_length, periodic=True, beta=12.0, **options):
    """I₀(β √(1 − (2j / (n − 1) − 1)²)) / I₀(β).

    >>> kaiser_window(4, beta=5.)
    tensor([0.0367, 0.5529, 1.0000, 0.5529])
    """

    def make(n):
        return np.kaiser(n, beta)

    return _window("kaiser_window", window_length, periodic, options, make)


# ---------------------------------------------------------------- dtypes asked about


@function
class finfo:
    """Limits of a floating dtype (the default one): bits, eps, max, min, tiny, resolution.

    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type=None):
        d = np_dtype(type) or dt.get_default_dtype().np
        if dt.rank(d) < 2:
            raise ArgumentTypeError(
                f"finfo() requires a floating point input type, not {d.name}",
                hint="iinfo is for integers",
            )
        d = dt.to_real(d)
        info = dt.ml_dtypes.finfo(d) if d.kind == "V" else np.finfo(d)
        self.bits, self.dtype = d.itemsize * 8, d.name
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, float(getattr(info, name)))

    def __repr__(self):
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = ", ".join(f"{n}={getattr(self, n):g}" for n in names)
        return f"finfo({shown}, dtype={self.dtype})"


@function
class iinfo:
    """Limits of an integer dtype: bits, max, min.

    >>> iinfo(int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    def __init__(self, type):
        d = np_dtype(type)
        if d.kind not in "iu":
            raise ArgumentTypeError(
                f"iinfo() requires an integer input type, not {d.name}",
                hint="finfo is for floating dtypes" if dt.rank(d) > 1 else "",
            )
        self.bits, self.dtype = d.itemsize * 8, d.name
        self.min, self.max = int(np.iinfo(d).min), int(np.iinfo(d).max)

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


@function
def result_type(tensor1, tensor2):
    """The dtype in which two tensors or numbers are computed with.

    >>> result_type(tensor([1, 2], dtype=int8), 1.0)
    adjoint.float32
    """
    return dt.dtype(result_dtype(tensor1, tensor2))


@function
def promote_types(type1, type2):
    """The smallest dtype that both dtypes promote to.

    >>> promote_types(int32, float16)
    adjoint.float16
    """
    return dt.dtype(dt.promote(np_dtype(type1), np_dtype(type2)))


@function
def can_cast(from_, to) -> bool:
    """Whether writing one dtype into another keeps its category.

    >>> can_cast(float64, float32), can_cast(float32, int64)
    (True, False)
    """
    return dt.rank(np_dtype(from_)) <= dt.rank(np_dtype(to))


@function
def is_storage(obj) -> bool:
    """False: the memory of a tensor is no object of its own.

    >>> is_storage(tensor(1.))
    False
    """
    return False


@function
def is_tensor(obj) -> bool:
    """Whether `obj` is a tensor.

    >>> is_tensor(tensor(1.)), is_tensor(1.)
    (True, False)
    """
    return isinstance(obj, Box)


@function
def numel(input) -> int:
    """How many elements.

    >>> numel(zeros(2, 3))
    6
    """
    return math.prod(need_tensor(input, "numel").shape)


@function
def is_signed(input) -> bool:
    """Whether the dtype has negative numbers.

    >>> is_signed(tensor([1]))
    True
    """
    return dtype_of(need_tensor(input, "is_signed")).kind not in "bu"


@method
def is_same_size(input, other) -> bool:
    """Whether both have the same shape.

    >>> is_same_size(zeros(2, 3), ones(2, 3))
    True
    """
    return tuple(input.shape) == tuple(need_tensor(other, "is_same_size").shape)


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
def new(self, *data, device=None):
    """A tensor with this one's dtype: of these numbers, or of this shape.

    >>> tensor([1, 2]).new([3])
    tensor([3])
    """
    need_cpu(device)
    if len(data) == 1 and isinstance(data[0], (list, np.ndarray, Box)):
        return tensor(data[0], dtype=dtype_of(self))
    return zeros(*(data or (0,)), dtype=dtype_of(self))


@only_method
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """`full` with this tensor's dtype."""
    return full(
        size,
        fill_value,
        dtype=dtype or dtype_of(self),
        device=device,
        requires_grad=requires_grad,
    )


@only_method
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """`tensor` with this tensor's dtype."""
    need_cpu(device)
    return tensor(data, dtype=dtype or dtype_of(self), requires_grad=requires_grad)
