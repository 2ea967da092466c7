"""Activations as modules: bent lines, smooth ones, and those over a dim."""

from __future__ import annotations

import warnings

from ..errors import ArgumentError, ShapeError
from ..functional import creation
from ..functional.face import need_tensor
from . import functional as F
from . import init
from .applied import REQUIRED, Applied
from .module import Module
from .parameter import Parameter

# ---------------------------------------------------------------- bent lines


class ReLU(Applied):
    """max(x, 0).

    >>> nn.ReLU()(tensor([-1., 2.]))
    tensor([0., 2.])
    """

    call = staticmethod(F.relu)
    options = {"inplace": False}


class Hardtanh(Applied):
    """x limited to [min_val, max_val].

    >>> nn.Hardtanh(-2., 2.)(tensor([-3., 1., 3.]))
    tensor([-2.,  1.,  2.])
    """

    call = staticmethod(F.hardtanh)
    options = {
        "min_val": -1.0,
        "max_val": 1.0,
        "inplace": False,
        "min_value": None,
        "max_value": None,
    }
    passed = ("min_val", "max_val", "inplace")
    shows = "min_val={min_val}, max_val={max_val}"

    def prepare(self) -> None:
        """The limits, which PyTorch once called min_value and max_value."""
        for new, old in (("min_val", "min_value"), ("max_val", "max_value")):
            value = vars(self).pop(old)
            if value is not None:
                warnings.warn(
                    f"Hardtanh: {old} is deprecated, use {new}",
                    FutureWarning,
                    stacklevel=3,
                )
                setattr(self, new, value)
        if not self.max_val > self.min_val:
            raise ArgumentError(
                f"Hardtanh: max_val must be larger than min_val, got {self.max_val} "
                f"and {self.min_val}"
            )


class ReLU6(Applied):
    """min(max(x, 0), 6).

    >>> nn.ReLU6()(tensor([-1., 3., 8.]))
    tensor([0., 3., 6.])
    """

    call = staticmethod(F.relu6)
    options = {"inplace": False}


class LeakyReLU(Applied):
    """x where x > 0, negative_slope · x elsewhere.

    >>> nn.LeakyReLU(0.5)(tensor([-1., 2.]))
    tensor([-0.5000,  2.0000])
    """

    call = staticmethod(F.leaky_relu)
    options = {"negative_slope": 0.01, "inplace": False}


class PReLU(Module):
    """x where x > 0, w · x elsewhere, with a slope w that is trained: one, or one a channel.

    >>> nn.PReLU()(tensor([-1., 2.])).tolist()
    [-0.25, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device=None, dtype=None
    ):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(
            creation.empty(num_parameters, device=device, dtype=dtype)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All slopes to `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input):
        """max(x, 0) + w min(x, 0)."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Applied):
    """x where x > 0, a · x elsewhere, a random in [lower, upper], in evaluation their mean.

    >>> nn.RReLU(0.5, 0.5)(tensor([-1., 2.]))
    tensor([-0.5000,  2.0000])
    """

    call = staticmethod(F.rrelu)
    options = {"lower": 1 / 8, "upper": 1 / 3, "inplace": False}
    passed = ("lower", "upper", "training", "inplace")

    def forward(self, input):
        """Random slopes in training alone."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Threshold(Applied):
    """x where x > threshold, `value` elsewhere.

    >>> nn.Threshold(0.5, 9.)(tensor([-1., 2.]))
    tensor([9., 2.])
    """

    call = staticmethod(F.threshold)
    options = {"threshold": REQUIRED, "value": REQUIRED, "inplace": False}


class Hardshrink(Applied):
    """x outside [−λ, λ], 0 inside.

    >>> nn.Hardshrink()(tensor([-1., 0.3]))
    tensor([-1.,  0.])
    """

    call = staticmethod(F.hardshrink)
    options = {"lambd": 0.5}
    shows = "{lambd}"


class Softshrink(Applied):
    """x moved towards 0 by λ, 0 inside [−λ, λ].

    >>> nn.Softshrink()(tensor([-1., 0.3]))
    tensor([-0.5000,  0.0000])
    """

    call = staticmethod(F.softshrink)
    options = {"lambd": 0.5}
    shows = "{lambd}"


class Hardsigmoid(Applied):
    """(x + 3)/6 limited to [0, 1].

    >>> nn.Hardsigmoid()(tensor([-4., 0.]))
    tensor([0.0000, 0.5000])
    """

    call = staticmethod(F.hardsigmoid)
    options = {"inplace": False}
    shows = ""


class Hardswish(Applied):
    """x times the hard sigmoid of x.

    >>> nn.Hardswish()(tensor([-4., 4.])).abs()
    tensor([0., 4.])
    """

    call = staticmethod(F.hardswish)
    options = {"inplace": False}
    shows = ""


# ---------------------------------------------------------------- smooth


class ELU(Applied):
    """x where x > 0, α (eˣ − 1) elsewhere.

    >>> nn.ELU()(tensor([-1., 2.]))
    tensor([-0.6321,  2.0000])
    """

    call = staticmethod(F.elu)
    options = {"alpha": 1.0, "inplace": False}


class CELU(Applied):
    """x where x > 0, α (e^(x/α) − 1) elsewhere.

    >>> nn.CELU(2.)(tensor([-1., 2.]))
    tensor([-0.7869,  2.0000])
    """

    call = staticmethod(F.celu)
    options = {"alpha": 1.0, "inplace": False}


class SELU(Applied):
    """scale · (x, or α (eˣ − 1) where x ≤ 0), which keeps mean 0 and variance 1.

    >>> nn.SELU()(tensor([-1., 2.]))
    tensor([-1.1113,  2.1014])
    """

    call = staticmethod(F.selu)
    options = {"inplace": False}


class GELU(Applied):
    """x Φ(x), Φ the normal distribution function; "tanh" is the usual approximation.

    >>> nn.GELU()(tensor([0., 2.]))
    tensor([0.0000, 1.9545])
    """

    call = staticmethod(F.gelu)
    options = {"approximate": "none"}
    shows = "approximate={approximate!r}"

    def prepare(self) -> None:
        """The approximation must be known."""
        if self.approximate not in ("none", "tanh"):
            raise ArgumentError(
                f"GELU: approximate must be 'none' or 'tanh', got {self.approximate!r}"
            )


class SiLU(Applied):
    """x σ(x), "swish".

    >>> nn.SiLU()(tensor([0., 2.]))
    tensor([0.0000, 1.7616])
    """

    call = staticmethod(F.silu)
    options = {"inplace": False}


class Mish(Applied):
    """x tanh(softplus(x)).

    >>> nn.Mish()(tensor([0., 2.]))
    tensor([0.0000, 1.9440])
    """

    call = staticmethod(F.mish)
    options = {"inplace": False}


class Softplus(Applied):
    """ln(1 + e^(βx)) / β, linear where βx exceeds `threshold`.

    >>> nn.Softplus()(tensor([0., 3.]))
    tensor([0.6931, 3.0486])
    """

    call = staticmethod(F.softplus)
    options = {"beta": 1.0, "threshold": 20.0}


class Softsign(Applied):
    """x / (1 + |x|).

    >>> nn.Softsign()(tensor([-1., 3.]))
    tensor([-0.5000,  0.7500])
    """

    call = staticmethod(F.softsign)


class Tanhshrink(Applied):
    """x − tanh x.

    >>> nn.Tanhshrink()(tensor([0., 2.]))
    tensor([0.0000, 1.0360])
    """

    call = staticmethod(F.tanhshrink)


class LogSigmoid(Applied):
    """ln σ(x), exact for large |x|.

    >>> nn.LogSigmoid()(tensor([0., -9.]))
    tensor([-0.6931, -9.0001])
    """

    call = staticmethod(F.logsigmoid)


class _Steep(Applied):
    """f(slope · x): a curve made steeper or flatter around 0."""

    options = {"slope": 1.0}
    passed = ()

    def forward(self, input):
        """The curve at slope · x."""
        need_tensor(input, type(self).__name__)
        return self.call(input if self.slope == 1 else input * self.slope)

    def extra_repr(self) -> str:
        """The slope, if it is not 1."""
        return "" if self.slope == 1 else f"slope={self.slope}"


class Sigmoid(_Steep):
    """1 / (1 + e^(−slope · x)).

    >>> nn.Sigmoid()(tensor([0., 2.])), nn.Sigmoid(slope=2.)(tensor([1.]))
    (tensor([0.5000, 0.8808]), tensor([0.8808]))
    """

    call = staticmethod(F.sigmoid)


class Tanh(_Steep):
    """tanh(slope · x).

    >>> nn.Tanh()(tensor([0., 2.])), nn.Tanh(slope=2.)(tensor([1.]))
    (tensor([0.0000, 0.9640]), tensor([0.9640]))
    """

    call = staticmethod(F.tanh)


# ---------------------------------------------------------------- over a dim


class GLU(Applied):
    """a σ(b), for the halves a and b of `dim`.

    >>> nn.GLU()(tensor([3., 0.]))
    tensor([1.5000])
    """

    call = staticmethod(F.glu)
    options = {"dim": -1}


class Softmax(Applied):
    """eˣ / Σ eˣ along `dim`.

    >>> nn.Softmax(0)(tensor([0., 0.]))
    tensor([0.5000, 0.5000])
    """

    call = staticmethod(F.softmax)
    options = {"dim": None}


class Softmin(Applied):
    """e⁻ˣ / Σ e⁻ˣ along `dim`.

    >>> nn.Softmin(0)(tensor([0., 0.]))
    tensor([0.5000, 0.5000])
    """

    call = staticmethod(F.softmin)
    options = {"dim": None}


class LogSoftmax(Applied):
    """x − ln Σ eˣ along `dim`.

    >>> nn.LogSoftmax(0)(tensor([0., 0.]))
    tensor([-0.6931, -0.6931])
    """

    call = staticmethod(F.log_softmax)
    options = {"dim": None}


class Softmax2d(Applied):
    """The softmax over the channels of images (C,H,W) or (N,C,H,W).

    >>> nn.Softmax2d()(zeros(2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input):
        """The softmax of dim -3."""
        if need_tensor(input, "Softmax2d").ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d: expected 3-D or 4-D input, got {input.ndim}-D instead"
            )
        return F.softmax(input, -3)
