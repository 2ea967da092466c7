"""Pooling layers: maxima, means and norms of windows; unpooling; sizes given in advance."""

from __future__ import annotations

from ..errors import ArgumentError
from ..functional.convolution import per_dim
from . import functional as F
from .applied import REQUIRED, Applied

# ---------------------------------------------------------------- sliding windows


class _Sliding(Applied):
    """A kernel, and a stride that is the kernel's size if not given."""

    n = 0
    lows = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
    tuples = False  # options kept as a tuple of n integers

    def prepare(self) -> None:
        """The stride, and a check of all sizes."""
        if self.stride in (None, ()):
            self.stride = self.kernel_size
        for name, low in self.lows.items():
            if name in self.options:
                where = f"{type(self).__name__}: {name}"
                size = per_dim(getattr(self, name), self.n, where, low)
                if self.tuples:
                    setattr(self, name, size)


class _MaxPool(_Sliding):
    options = {
        "kernel_size": REQUIRED,
        "stride": None,
        "padding": 0,
        "dilation": 1,
        "return_indices": False,
        "ceil_mode": False,
    }
    shows = (
        "kernel_size={kernel_size}, stride={stride}, padding={padding}, "
        "dilation={dilation}, ceil_mode={ceil_mode}"
    )


class MaxPool1d(_MaxPool):
    """The largest element of each window of (N,C,L).

    >>> nn.MaxPool1d(2)(tensor([[1., 4., 2., 3.]]))
    tensor([[4., 3.]])
    """

    n = 1
    call = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window of (N,C,H,W).

    >>> nn.MaxPool2d(2)(tensor([[[1., 4.], [2., 3.]]]))
    tensor([[[4.]]])
    """

    n = 2
    call = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of (N,C,D,H,W).

    >>> nn.MaxPool3d(2)(ones(1, 1, 4, 4, 4)).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """

    n = 3
    call = staticmethod(F.max_pool3d)


class _MaxUnpool(_Sliding):
    options = {"kernel_size": REQUIRED, "stride": None, "padding": 0}
    tuples = True

    def forward(self, input, indices, output_size=None):
        """Maxima at the places `indices`, in zeros of the size that they came from."""
        sizes = (self.kernel_size, self.stride, self.padding)
        return self.call(input, indices, *sizes, output_size)


class MaxUnpool1d(_MaxUnpool):
    """Maxima put back where MaxPool1d found them, zeros elsewhere.

    >>> nn.MaxUnpool1d(2)(tensor([[4., 3.]]), tensor([[1, 3]]))
    tensor([[0., 4., 0., 3.]])
    """

    n = 1
    call = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Maxima put back where MaxPool2d found them, zeros elsewhere.

    >>> pool = nn.MaxPool2d(2, return_indices=True)
    >>> nn.MaxUnpool2d(2)(*pool(tensor([[[1., 4.], [2., 3.]]])))
    tensor([[[0., 4.],
             [0., 0.]]])
    """

    n = 2
    call = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Maxima put back where MaxPool3d found them, zeros elsewhere.

    >>> pool = nn.MaxPool3d(2, return_indices=True)
    >>> nn.MaxUnpool3d(2)(*pool(ones(1, 1, 2, 2, 2))).sum()
    tensor(1.)
    """

    n = 3
    call = staticmethod(F.max_unpool3d)


class _AvgPool(_Sliding):
    options = {
        "kernel_size": REQUIRED,
        "stride": None,
        "padding": 0,
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor_override": None,
    }
    shows = "kernel_size={kernel_size}, stride={stride}, padding={padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of (N,C,L).

    >>> nn.AvgPool1d(2)(tensor([[1., 3., 2., 4.]]))
    tensor([[2., 3.]])
    """

    n = 1
    tuples = True
    call = staticmethod(F.avg_pool1d)
    options = {k: v for k, v in _AvgPool.options.items() if k != "divisor_override"}


class AvgPool2d(_AvgPool):
    """The mean of each window of (N,C,H,W).

    >>> nn.AvgPool2d(2)(tensor([[[1., 3.], [2., 4.]]]))
    tensor([[[2.5000]]])
    """

    n = 2
    call = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of (N,C,D,H,W).

    >>> nn.AvgPool3d(2)(ones(1, 1, 4, 4, 4)).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """

    n = 3
    call = staticmethod(F.avg_pool3d)


class _LPPool(Applied):
    n = 0
    options = {
        "norm_type": REQUIRED,
        "kernel_size": REQUIRED,
        "stride": None,
        "ceil_mode": False,
    }

    def prepare(self) -> None:
        """A check of all sizes."""
        per_dim(self.kernel_size, self.n, f"{type(self).__name__}: kernel_size", 1)
        if self.norm_type == 0:
            raise ArgumentError(f"{type(self).__name__}: norm_type must not be 0")


class LPPool1d(_LPPool):
    """The p-norm of each window of (N,C,L), (Σ xᵖ)^(1/p).

    >>> nn.LPPool1d(2, 2)(tensor([[3., 4.]]))
    tensor([[5.]])
    """

    n = 1
    call = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The p-norm of each window of (N,C,H,W), (Σ xᵖ)^(1/p).

    >>> nn.LPPool2d(2, 2)(ones(1, 2, 2))
    tensor([[[2.]]])
    """

    n = 2
    call = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The p-norm of each window of (N,C,D,H,W), (Σ xᵖ)^(1/p).

    >>> nn.LPPool3d(3, 2)(ones(1, 2, 2, 2))
    tensor([[[[2.]]]])
    """

    n = 3
    call = staticmethod(F.lp_pool3d)


# ---------------------------------------------------------------- as many as asked for


class _AdaptiveAvgPool(Applied):
    options = {"output_size": REQUIRED}


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` even windows of (N,C,L).

    >>> nn.AdaptiveAvgPool1d(2)(tensor([[1., 3., 2., 4.]]))
    tensor([[2., 3.]])
    """

    call = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of even windows of (N,C,H,W); None keeps a dim.

    >>> nn.AdaptiveAvgPool2d((1, None))(tensor([[[1., 3.], [2., 4.]]]))
    tensor([[[1.5000, 3.5000]]])
    """

    call = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of even windows of (N,C,D,H,W).

    >>> nn.AdaptiveAvgPool3d(1)(ones(1, 1, 4, 4, 4)).flatten()
    tensor([1.])
    """

    call = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Applied):
    options = {"output_size": REQUIRED, "return_indices": False}
    shows = "output_size={output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of `output_size` even windows of (N,C,L).

    >>> nn.AdaptiveMaxPool1d(2)(tensor([[1., 3., 2., 4.]]))
    tensor([[3., 4.]])
    """

    call = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of even windows of (N,C,H,W).

    >>> nn.AdaptiveMaxPool2d(1, return_indices=True)(tensor([[[1., 4.], [2., 3.]]]))
    (tensor([[[4.]]]), tensor([[[1]]]))
    """

    call = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of even windows of (N,C,D,H,W).

    >>> nn.AdaptiveMaxPool3d(2)(ones(1, 1, 4, 4, 4)).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """

    call = staticmethod(F.adaptive_max_pool3d)


class _FractionalMaxPool(Applied):
    n = 0
    options = {
        "kernel_size": REQUIRED,
        "output_size": None,
        "output_ratio": None,
        "return_indices": False,
        "_random_samples": None,
    }
    shows = ""

    def prepare(self) -> None:
        """One of output size and ratio, and numbers of them that fit."""
        n, name = self.n, type(self).__name__
        self.kernel_size = per_dim(self.kernel_size, n, f"{name}: kernel_size", 1)
        self.register_buffer("_random_samples", vars(self).pop("_random_samples"))
        if (self.output_size is None) == (self.output_ratio is None):
            raise ArgumentError(
                f"{name}: give one of output_size and output_ratio, got "
                f"{self.output_size} and {self.output_ratio}"
            )
        if self.output_size is not None:
            self.output_size = per_dim(self.output_size, n, f"{name}: output_size", 1)
            return
        ratio = self.output_ratio
        self.output_ratio = ratio if isinstance(ratio, tuple) else (ratio,) * n
        if not all(0 < r < 1 for r in self.output_ratio):
            raise ArgumentError(
                f"{name}: output_ratio must be between 0 and 1, got {ratio}"
            )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Maxima of windows at random places, so many as the output has (Graham, 2014).

    >>> nn.FractionalMaxPool2d(2, output_ratio=0.5)(ones(1, 1, 8, 8)).shape
    adjoint.Size([1, 1, 4, 4])
    """

    n = 2
    call = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """Maxima of windows of (N,C,D,H,W) at random places.

    >>> nn.FractionalMaxPool3d(2, output_size=3)(ones(1, 1, 6, 6, 6)).shape
    adjoint.Size([1, 1, 3, 3, 3])
    """

    n = 3
    call = staticmethod(F.fractional_max_pool3d)
