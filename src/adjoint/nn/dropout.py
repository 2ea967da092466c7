"""Dropout layers: random zeros in training, nothing in evaluation."""

from __future__ import annotations

from ..errors import ArgumentError
from . import functional as F
from .applied import Applied


class _DropoutNd(Applied):
    options = {"p": 0.5, "inplace": False}
    shows = "p={p}, inplace={inplace}"

    def prepare(self) -> None:
        """p is a probability."""
        if not 0 <= self.p <= 1:
            raise ArgumentError(
                f"{type(self).__name__}: dropout probability has to be between 0 and 1, "
                f"but got {self.p}"
            )

    def forward(self, input):
        """Zeros for a random part p in training."""
        return self.call(input, self.p, self.training, self.inplace)


class Dropout(_DropoutNd):
    """Zeros for a random part p of the elements; the others grow by 1 / (1 − p).

    >>> nn.Dropout(1.)(ones(3)), nn.Dropout().eval()(ones(2))
    (tensor([0., 0., 0.]), tensor([1., 1.]))
    """

    call = staticmethod(F.dropout)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels of (N,C,L).

    >>> nn.Dropout1d(1.)(ones(1, 2, 3)).sum()
    tensor(0.)
    """

    call = staticmethod(F.dropout1d)


class Dropout2d(_DropoutNd):
    """Dropout of whole channels of (N,C,H,W).

    >>> nn.Dropout2d(1.)(ones(1, 2, 3, 3)).sum()
    tensor(0.)
    """

    call = staticmethod(F.dropout2d)


class Dropout3d(_DropoutNd):
    """Dropout of whole channels of (N,C,D,H,W).

    >>> nn.Dropout3d(1.)(ones(1, 2, 3, 3, 3)).sum()
    tensor(0.)
    """

    call = staticmethod(F.dropout3d)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps the mean and variance of SELU's outputs.

    >>> nn.AlphaDropout(0.5).eval()(ones(2))
    tensor([1., 1.])
    """

    call = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels.

    >>> nn.FeatureAlphaDropout(0.5).eval()(ones(1, 2, 3)).sum()
    tensor(6.)
    """

    call = staticmethod(F.feature_alpha_dropout)
