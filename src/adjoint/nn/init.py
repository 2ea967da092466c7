"""First numbers for parameters: the laws of `torch.nn.init`, written in place."""

from __future__ import annotations

import functools
import math
import warnings

from ..autodiff.modes import no_grad
from ..errors import ArgumentError, ShapeError
from ..functional import creation, linalg, special
from ..functional.face import FUNCTIONS, need_tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param=None) -> float:
    """How much a layer before this activation must enlarge for variances to stay.

    `param` is the slope of "leaky_relu".

    >>> nn.init.calculate_gain("leaky_relu", 1.)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"negative_slope {slope!r} not a valid number")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: unsupported nonlinearity {nonlinearity!r}",
            hint=f"there are {', '.join([*_GAINS, 'leaky_relu'])}",
        )
    return _GAINS[nonlinearity]


# ---------------------------------------------------------------- one law for all elements


@no_grad()
def uniform_(tensor, a: float = 0.0, b: float = 1.0, generator=None):
    """Evenly from [a, b).

    >>> w = nn.init.uniform_(empty(100), 2., 3.)
    >>> ((w >= 2) & (w < 3)).all().item()
    True
    """
    return need_tensor(tensor, "uniform_", "tensor").uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor, mean: float = 0.0, std: float = 1.0, generator=None):
    """By the normal law of this mean and standard deviation.

    >>> nn.init.normal_(empty(2), 3., 0.)
    tensor([3., 3.])
    """
    return need_tensor(tensor, "normal_", "tensor").normal_(
        mean, std, generator=generator
    )


@no_grad()
def trunc_normal_(
    tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator=None,
):
    """By the normal law within [a, b] alone: the inverse of its distribution function.

    >>> nn.init.trunc_normal_(empty(100)).abs().max().item() <= 2
    True
    """
    x = need_tensor(tensor, "trunc_normal_", "tensor")
    if std < 0 or a > b:
        raise ArgumentError(
            f"trunc_normal_: needs std >= 0 and a <= b, got std={std}, a={a}, b={b}"
        )
    if std == 0:
        return x.fill_(min(max(mean, a), b))
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            f"trunc_normal_: mean {mean} is more than 2 std from [{a}, {b}]: the "
            "distribution of values may be incorrect",
            stacklevel=3,
        )
    low, high = (math.erf((v - mean) / (std * math.sqrt(2))) for v in (a, b))
    u = creation.zeros(x.shape, dtype="float64").uniform_(
        low, high, generator=generator
    )
    return x.copy_((special.erfinv(u) * (std * math.sqrt(2)) + mean).clamp(a, b))


@no_grad()
def constant_(tensor, val: float):
    """One number everywhere.

    >>> nn.init.constant_(empty(2), 0.3)
    tensor([0.3000, 0.3000])
    """
    return need_tensor(tensor, "constant_", "tensor").fill_(val)


def ones_(tensor):
    """Ones.

    >>> nn.init.ones_(empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Zeros.

    >>> nn.init.zeros_(empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


# ---------------------------------------------------------------- identities


@no_grad()
def eye_(tensor):
    """The unit matrix, as far as it goes.

    >>> nn.init.eye_(empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    x = _need_dims(tensor, (2,), "eye_")
    return x.copy_(creation.eye(*x.shape))


@no_grad()
def dirac_(tensor, groups: int = 1):
    """A convolution weight that passes its channels on: 1 in the middle of the kernel.

    >>> nn.init.dirac_(empty(2, 1, 3))
    tensor([[[0., 1., 0.]],
            [[0., 0., 0.]]])
    """
    x = _need_dims(tensor, (3, 4, 5), "dirac_")
    out, channels, *kernel = x.shape
    if groups < 1 or out % groups:
        raise ArgumentError(
            f"dirac_: dim 0 ({out}) must be divisible by groups ({groups})"
        )
    x.zero_()
    each = out // groups
    middle = tuple(k // 2 for k in kernel)
    for start in range(0, out, each or 1):
        for i in range(min(each, channels)):
            x[(start + i, i, *middle)] = 1
    return x


def _need_dims(x, dims, name):
    if need_tensor(x, name, "tensor").ndim not in dims:
        raise ShapeError(
            f"{name}: needs a tensor of {', '.join(map(str, dims))} dimensions, got "
            f"shape {tuple(x.shape)}"
        )
    return x


# ---------------------------------------------------------------- by fan-in and fan-out


def _calculate_fan_in_and_fan_out(tensor) -> tuple[int, int]:
    """Inputs that each output reads, and outputs that each input reaches."""
    if tensor.ndim < 2:
        raise ShapeError(
            "fan in and fan out need a weight of 2 dims or more, got shape "
            f"{tuple(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


@no_grad()
def xavier_uniform_(tensor, gain: float = 1.0, generator=None):
    """Evenly within ±gain √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> nn.init.xavier_uniform_(empty(3, 3)).abs().max().item() <= 1
    True
    """
    std = _xavier(tensor, gain, "xavier_uniform_")
    return _even(tensor, std, generator)


@no_grad()
def xavier_normal_(tensor, gain: float = 1.0, generator=None):
    """By the normal law of deviation gain √(2 / (fan_in + fan_out)).

    >>> nn.init.xavier_normal_(empty(3, 3), gain=0.).sum()
    tensor(0.)
    """
    std = _xavier(tensor, gain, "xavier_normal_")
    return tensor.normal_(0.0, std, generator=generator)


def _xavier(x, gain, name) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(need_tensor(x, name, "tensor"))
    return gain * math.sqrt(2.0 / float(max(fan_in + fan_out, 1)))


def _even(x, std, generator):
    """The even law around 0 of standard deviation `std`."""
    bound = math.sqrt(3.0) * std
    return x.uniform_(-bound, bound, generator=generator)


@no_grad()
def kaiming_uniform_(
    tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator=None,
):
    """Evenly within ±gain √(3 / fan), for an activation after the layer (He, 2015).

    `a` is the slope of "leaky_relu", `mode` the fan that keeps its variance.

    >>> nn.init.kaiming_uniform_(empty(3, 6)).abs().max().item() <= 1
    True
    """
    std = _kaiming(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return tensor if std is None else _even(tensor, std, generator)


@no_grad()
def kaiming_normal_(
    tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator=None,
):
    """By the normal law of deviation gain / √fan.

    >>> nn.init.kaiming_normal_(empty(3, 6), mode="fan_out").shape
    adjoint.Size([3, 6])
    """
    std = _kaiming(tensor, a, mode, nonlinearity, "kaiming_normal_")
    return tensor if std is None else tensor.normal_(0.0, std, generator=generator)


def _kaiming(x, a, mode, nonlinearity, name) -> float | None:
    """The deviation; None where there is nothing to fill."""
    need_tensor(x, name, "tensor")
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ArgumentError(f"{name}: mode must be one of {modes}, got {mode!r}")
    if 0 in x.shape:
        warnings.warn(
            "Initializing zero-element tensors is a no-op", UserWarning, stacklevel=4
        )
        return None
    fan = _calculate_fan_in_and_fan_out(x)[modes.index(mode)]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


# ---------------------------------------------------------------- matrices


@no_grad()
def orthogonal_(tensor, gain: float = 1, generator=None):
    """Rows (or columns, of a tall matrix) at right angles and of length `gain`.

    >>> w = nn.init.orthogonal_(empty(2, 3))
    >>> (w @ w.T).allclose(nn.init.eye_(empty(2, 2)), atol=1e-5)
    True
    """
    x = need_tensor(tensor, "orthogonal_", "tensor")
    if x.ndim < 2:
        raise ShapeError(
            f"orthogonal_: needs 2 dims or more, got shape {tuple(x.shape)}"
        )
    if x.numel() == 0:
        return x
    rows, columns = x.shape[0], x.numel() // x.shape[0]
    tall = (max(rows, columns), min(rows, columns))
    d = "float64" if x.dtype.name == "float64" else "float32"
    q, r = linalg.qr(creation.zeros(tall, dtype=d).normal_(generator=generator))
    q = q * FUNCTIONS["diagonal"](r).sgn()  # so that all such matrices are as likely
    q = q if rows >= columns else q.T
    return x.copy_(q.reshape(x.shape) * gain)


@no_grad()
def sparse_(tensor, sparsity: float, std: float = 0.01, generator=None):
    """Normal numbers, of which a part `sparsity` of each column is zero (Martens, 2010).

    >>> (nn.init.sparse_(empty(4, 3), 0.5) == 0).sum(0)
    tensor([2, 2, 2])
    """
    x = _need_dims(tensor, (2,), "sparse_")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity must lie in [0, 1], got {sparsity}")
    zeros = math.ceil(sparsity * x.shape[0])
    x.normal_(0, std, generator=generator)
    order = creation.zeros(x.shape, dtype="float64").uniform_(generator=generator)
    return x.scatter_(0, order.argsort(0)[:zeros], 0)


# ---------------------------------------------------------------- older names


def _older(f):
    """`f` without its last underscore, as it was once called."""

    @functools.wraps(f)
    def older(*args, **kwargs):
        name = f.__name__
        words = f"`nn.init.{name[:-1]}` is now deprecated in favor of `nn.init.{name}`."
        warnings.warn(words, FutureWarning, stacklevel=2)
        return f(*args, **kwargs)

    older.__name__, older.__doc__ = (
        f.__name__[:-1],
        f"`{f.__name__}`, as it was called.",
    )
    return older


constant, dirac, eye = map(_older, (constant_, dirac_, eye_))
kaiming_normal, kaiming_uniform = map(_older, (kaiming_normal_, kaiming_uniform_))
normal, orthogonal, sparse = map(_older, (normal_, orthogonal_, sparse_))
uniform = _older(uniform_)
xavier_normal, xavier_uniform = map(_older, (xavier_normal_, xavier_uniform_))
