"""Padding layers: a constant, mirrors, edges or the other end around the last dims."""

from __future__ import annotations

from ..functional.convolution import per_dim
from . import functional as F
from .applied import REQUIRED, Applied


class _Pad(Applied):
    n = 0  # padded dims, the last one first
    mode = "constant"
    options = {"padding": REQUIRED}
    shows = "{padding}"

    def prepare(self) -> None:
        """An amount before and after each dim."""
        where = f"{type(self).__name__}: padding"
        self.padding = per_dim(self.padding, 2 * self.n, where, -(2**62))

    def forward(self, input):
        """The padded input."""
        return F.pad(input, self.padding, self.mode)


class _ConstantPad(_Pad):
    options = {"padding": REQUIRED, "value": REQUIRED}
    shows = "padding={padding}, value={value}"

    def forward(self, input):
        """The padded input."""
        return F.pad(input, self.padding, self.mode, self.value)


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """One number around the last dim; negative amounts cut.

    >>> nn.ConstantPad1d((1, 2), 9.)(tensor([[1., 2.]]))
    tensor([[9., 1., 2., 9., 9.]])
    """

    n = 1


class ConstantPad2d(_ConstantPad):
    """One number around the last two dims; negative amounts cut.

    >>> nn.ConstantPad2d(1, 5.)(zeros(1, 1, 1)).sum()
    tensor(40.)
    """

    n = 2


class ConstantPad3d(_ConstantPad):
    """One number around the last three dims; negative amounts cut.

    >>> nn.ConstantPad3d(1, 1.)(zeros(1, 1, 1, 1)).sum()
    tensor(26.)
    """

    n = 3


class ZeroPad1d(_Pad):
    """Zeros around the last dim.

    >>> nn.ZeroPad1d(1)(tensor([[1., 2.]]))
    tensor([[0., 1., 2., 0.]])
    """

    n = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two dims: (left, right, top, bottom).

    >>> nn.ZeroPad2d((1, 0, 0, 0))(ones(1, 1, 1))
    tensor([[[0., 1.]]])
    """

    n = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dims.

    >>> nn.ZeroPad3d(1)(ones(1, 1, 1, 1)).shape
    adjoint.Size([1, 3, 3, 3])
    """

    n = 3


class ReflectionPad1d(_ReflectionPad):
    """The last dim mirrored at its ends, without them.

    >>> nn.ReflectionPad1d(2)(tensor([[1., 2., 3.]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    n = 1


class ReflectionPad2d(_ReflectionPad):
    """The last two dims mirrored at their ends, without them.

    >>> nn.ReflectionPad2d((1, 0, 0, 0))(tensor([[[1., 2.]]]))
    tensor([[[2., 1., 2.]]])
    """

    n = 2


class ReflectionPad3d(_ReflectionPad):
    """The last three dims mirrored at their ends, without them.

    >>> nn.ReflectionPad3d(1)(ones(1, 2, 2, 2)).shape
    adjoint.Size([1, 4, 4, 4])
    """

    n = 3


class ReplicationPad1d(_ReplicationPad):
    """The ends of the last dim repeated.

    >>> nn.ReplicationPad1d(2)(tensor([[1., 2.]]))
    tensor([[1., 1., 1., 2., 2., 2.]])
    """

    n = 1


class ReplicationPad2d(_ReplicationPad):
    """The ends of the last two dims repeated.

    >>> nn.ReplicationPad2d((1, 0, 0, 0))(tensor([[[1., 2.]]]))
    tensor([[[1., 1., 2.]]])
    """

    n = 2


class ReplicationPad3d(_ReplicationPad):
    """The ends of the last three dims repeated.

    >>> nn.ReplicationPad3d(1)(ones(1, 1, 1, 1)).sum()
    tensor(27.)
    """

    n = 3


class CircularPad1d(_CircularPad):
    """The last dim continued from its other end.

    >>> nn.CircularPad1d(1)(tensor([[1., 2., 3.]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    n = 1


class CircularPad2d(_CircularPad):
    """The last two dims continued from their other ends.

    >>> nn.CircularPad2d((1, 0, 0, 0))(tensor([[[1., 2.]]]))
    tensor([[[2., 1., 2.]]])
    """

    n = 2


class CircularPad3d(_CircularPad):
    """The last three dims continued from their other ends.

    >>> nn.CircularPad3d(1)(ones(1, 2, 2, 2)).shape
    adjoint.Size([1, 4, 4, 4])
    """

    n = 3
