"""Layers that change shapes: flat and back, blocks as columns, pixels and channels, sizes."""

from __future__ import annotations

from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import FUNCTIONS
from . import functional as F
from .applied import REQUIRED, Applied


class Flatten(Applied):
    """The dims from start_dim to end_dim as one.

    >>> nn.Flatten()(zeros(5, 2, 3)).shape
    adjoint.Size([5, 6])
    """

    call = staticmethod(FUNCTIONS["flatten"])
    options = {"start_dim": 1, "end_dim": -1}


class Unflatten(Applied):
    """One dim as several.

    >>> nn.Unflatten(1, (2, 3))(zeros(5, 6)).shape
    adjoint.Size([5, 2, 3])
    """

    options = {"dim": REQUIRED, "unflattened_size": REQUIRED}

    def prepare(self) -> None:
        """A dim by its number, sizes as integers."""
        sizes = self.unflattened_size
        if not isinstance(self.dim, int):
            raise ArgumentTypeError(
                f"Unflatten: dim must be an integer, got {self.dim!r}",
                hint="dims have no names here",
            )
        whole = isinstance(sizes, (tuple, list)) and all(
            isinstance(n, int) for n in sizes
        )
        if not whole:
            raise ArgumentTypeError(
                f"Unflatten: unflattened_size must be a tuple of integers, got {sizes!r}"
            )

    def forward(self, input):
        """The input with that dim split."""
        return FUNCTIONS["unflatten"](input, self.dim, tuple(self.unflattened_size))


_WINDOW = {"kernel_size": REQUIRED, "dilation": 1, "padding": 0, "stride": 1}


class Unfold(Applied):
    """The blocks under a sliding kernel as columns: (N,C,H,W) to (N,C·K,L).

    >>> nn.Unfold(2)(ones(1, 2, 3, 3)).shape
    adjoint.Size([1, 8, 4])
    """

    call = staticmethod(F.unfold)
    options = _WINDOW


class Fold(Applied):
    """Columns added where `Unfold` took them from: (N,C·K,L) to (N,C,H,W).

    >>> nn.Fold(3, 2)(ones(1, 4, 4)).shape
    adjoint.Size([1, 1, 3, 3])
    """

    call = staticmethod(F.fold)
    options = {"output_size": REQUIRED, **_WINDOW}


class PixelShuffle(Applied):
    """(·,C r²,H,W) to (·,C,H r,W r): channels become pixels.

    >>> nn.PixelShuffle(2)(ones(4, 1, 1)).shape
    adjoint.Size([1, 2, 2])
    """

    call = staticmethod(F.pixel_shuffle)
    options = {"upscale_factor": REQUIRED}

    def prepare(self) -> None:
        """A positive factor."""
        _need_positive(self, *self.options)


class PixelUnshuffle(Applied):
    """(·,C,H r,W r) to (·,C r²,H,W): pixels become channels.

    >>> nn.PixelUnshuffle(2)(ones(1, 4, 4)).shape
    adjoint.Size([4, 2, 2])
    """

    call = staticmethod(F.pixel_unshuffle)
    options = {"downscale_factor": REQUIRED}

    def prepare(self) -> None:
        """A positive factor."""
        _need_positive(self, *self.options)


class ChannelShuffle(Applied):
    """Channels of (N,C,·) dealt out one group after the other.

    >>> x = tensor([[[1.], [2.], [3.], [4.]]])
    >>> nn.ChannelShuffle(2)(x).flatten()
    tensor([1., 3., 2., 4.])
    """

    call = staticmethod(F.channel_shuffle)
    options = {"groups": REQUIRED}

    def prepare(self) -> None:
        """A positive number of groups."""
        _need_positive(self, *self.options)


def _need_positive(module, name):
    value = getattr(module, name)
    if not isinstance(value, int) or value < 1:
        raise ArgumentError(
            f"{type(module).__name__}: {name} must be a positive integer, got {value!r}"
        )


class Upsample(Applied):
    """Images of another size, or a multiple of it, by interpolation.

    >>> nn.Upsample(scale_factor=2)(tensor([[[1., 3.]]]))
    tensor([[[1., 1., 3., 3.]]])
    """

    call = staticmethod(F.interpolate)
    options = {
        "size": None,
        "scale_factor": None,
        "mode": "nearest",
        "align_corners": None,
        "recompute_scale_factor": None,
    }

    def prepare(self) -> None:
        """The factor as floats."""
        factor = self.scale_factor
        if isinstance(factor, (tuple, list)):
            self.scale_factor = tuple(float(f) for f in factor)
        elif factor is not None:
            self.scale_factor = float(factor)

    def extra_repr(self) -> str:
        """The factor or the size, and the mode."""
        by = "size" if self.scale_factor is None else "scale_factor"
        return f"{by}={getattr(self, by)!r}, mode={self.mode!r}"


class _Upsampling(Upsample):
    """Upsample of one mode."""

    options = {"size": None, "scale_factor": None}
    passed = tuple(Upsample.options)
    mode, align_corners = "nearest", None

    def prepare(self) -> None:
        """The mode of the class."""
        super().prepare()
        self.mode, self.align_corners = type(self).mode, type(self).align_corners
        self.recompute_scale_factor = None


class UpsamplingNearest2d(_Upsampling):
    """Each pixel repeated.

    >>> nn.UpsamplingNearest2d(scale_factor=2)(ones(1, 1, 2, 2)).shape
    adjoint.Size([1, 1, 4, 4])
    """


class UpsamplingBilinear2d(_Upsampling):
    """Linear between pixels, the corners kept.

    >>> nn.UpsamplingBilinear2d(size=(1, 3))(tensor([[[[1., 3.]]]]))
    tensor([[[[1., 2., 3.]]]])
    """

    mode, align_corners = "bilinear", True
