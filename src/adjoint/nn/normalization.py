"""Normalization layers: over the batch, the layer, groups, instances; by root mean square."""

from __future__ import annotations

import warnings

import numpy as np

from ..autodiff.inplace import assign
from ..autodiff.modes import no_grad
from ..core.primitive import op
from ..errors import ArgumentError, ShapeError
from ..functional import creation
from ..functional.face import need_tensor
from . import functional as F
from . import init
from .applied import REQUIRED, Applied
from .module import Module
from .parameter import Parameter

_ONE = np.array(1)


class _Affine(Module):
    """A layer whose result is multiplied by a weight, and a bias added, both trained."""

    def _make(self, shape, affine, bias, device, dtype) -> None:
        kind = {"device": device, "dtype": dtype}
        for name, there in (("weight", affine), ("bias", affine and bias)):
            x = Parameter(creation.empty(shape, **kind)) if there else None
            self.register_parameter(name, x)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


# ---------------------------------------------------------------- with running statistics


class _Running(_Affine):
    """Statistics of each channel, and running ones that follow them in training."""

    dims: tuple[int, ...] = ()  # that an input may have
    _version = 2  # which counts batches

    def _build(self, num_features, eps, momentum, affine, track, bias, device, dtype):
        if num_features < 0:
            raise ArgumentError(
                f"{type(self).__name__}: num_features must not be negative, got "
                f"{num_features}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track
        self._make((num_features,), affine, bias, device, dtype)
        kind = {"device": device, "dtype": dtype}
        statistics = {
            "running_mean": creation.zeros(num_features, **kind),
            "running_var": creation.ones(num_features, **kind),
            "num_batches_tracked": creation.zeros((), dtype="int64"),
        }
        for name, x in statistics.items():
            self.register_buffer(name, x if track else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            with no_grad():
                self.running_mean.zero_()
                self.running_var.fill_(1)
                self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, no batch seen."""
        self.reset_running_stats()
        super().reset_parameters()

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *lists):
        """Files from before batches were counted say nothing of their number."""
        key = f"{prefix}num_batches_tracked"
        old = (local_metadata.get("version") or 1) < self._version
        if old and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *lists)

    def _need_dims(self, x) -> None:
        name = type(self).__name__
        if need_tensor(x, name).ndim not in self.dims:
            wanted = " or ".join(f"{n}-D" for n in self.dims)
            raise ShapeError(
                f"{name}: expected {wanted} input, got {x.ndim}-D of shape "
                f"{tuple(x.shape)}"
            )

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        options = (eps, momentum, affine, track_running_stats, bias, device, dtype)
        self._build(num_features, *options)

    def forward(self, input):
        """By the batch's statistics in training, by the running ones in evaluation."""
        self._need_dims(input)
        mean, var = self.running_mean, self.running_var
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            counted = self.num_batches_tracked
            assign(counted, op.add(counted, _ONE), "batch_norm")
            if self.momentum is None:  # the plain average over all batches
                momentum = 1.0 / self.num_batches_tracked.double()
        own = self.training or (mean is None and var is None)
        if own and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(
            input, mean, var, self.weight, self.bias, own, momentum, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """γ (x − mean) / √(var + eps) + β of each channel of (N,C) or (N,C,L), over the rest.

    In training by the batch's statistics, which the running ones follow by `momentum`.

    >>> nn.BatchNorm1d(2)(tensor([[1., 5.], [3., 5.]])).tolist()
    [[-0.99999, 0.0], [0.99999, 0.0]]
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """γ (x − mean) / √(var + eps) + β of each channel of (N,C,H,W), over the rest.

    >>> nn.BatchNorm2d(3).eval()(zeros(1, 3, 2, 2)).abs().sum().item()
    0.0
    """

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """γ (x − mean) / √(var + eps) + β of each channel of (N,C,D,H,W), over the rest.

    >>> nn.BatchNorm3d(3)(ones(2, 3, 2, 2, 2)).shape
    adjoint.Size([2, 3, 2, 2, 2])
    """

    dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch norm of (N,C,·) of any dims, with the statistics of all processes: here of one.

    >>> net = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))
    >>> net[0]  # doctest: +ELLIPSIS
    SyncBatchNorm(2, eps=1e-05, momentum=0.1, ...)
    """

    dims = tuple(range(2, 8))

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        options = (eps, momentum, affine, track_running_stats, device, dtype)
        super().__init__(num_features, *options, bias=bias)
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """The module with SyncBatchNorm in the place of every batch norm in it."""
        for name, child in module.named_children():
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        if not isinstance(module, _BatchNorm) or isinstance(module, cls):
            return module
        names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        out = cls(*(getattr(module, n) for n in names), process_group)
        for name, x in (*module._parameters.items(), *module._buffers.items()):
            setattr(out, name, x)
        return out.train(module.training)


class _InstanceNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        options = (eps, momentum, affine, track_running_stats, bias, device, dtype)
        self._build(num_features, *options)

    def forward(self, input):
        """By the statistics of each example, or the running ones in evaluation."""
        self._need_dims(input)
        alone = input.ndim == self.dims[0]
        self._need_channels(input, 0 if alone else 1)
        y = F.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if alone else y

    def _need_channels(self, x, dim) -> None:
        found = x.shape[dim]
        if found == self.num_features:
            return
        text = (
            f"{type(self).__name__}: expected dim {dim} of the input to have "
            f"{self.num_features} channels, got {found}"
        )
        if self.affine or self.track_running_stats:
            raise ShapeError(text)
        warnings.warn(
            f"{text}; without affine and running statistics it is not used",
            stacklevel=2,
        )


class InstanceNorm1d(_InstanceNorm):
    """(x − mean) / √(var + eps) of each channel of each example of (N,C,L), over its length.

    >>> nn.InstanceNorm1d(1)(tensor([[[1., 3.]]])).tolist()
    [[[-0.99999, 0.99999]]]
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """(x − mean) / √(var + eps) of each channel of each image of (N,C,H,W).

    >>> nn.InstanceNorm2d(3, affine=True)(ones(2, 3, 4, 4)).abs().sum().item()
    0.0
    """

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """(x − mean) / √(var + eps) of each channel of each example of (N,C,D,H,W).

    >>> nn.InstanceNorm3d(3)(ones(2, 3, 2, 2, 2)).shape
    adjoint.Size([2, 3, 2, 2, 2])
    """

    dims = (4, 5)


# ---------------------------------------------------------------- each example for itself


class LayerNorm(_Affine):
    """γ (x − mean) / √(var + eps) + β over the last dims, those of `normalized_shape`.

    >>> nn.LayerNorm(2)(tensor([[1., 3.]])).tolist()
    [[-0.99999, 0.99999]]
    """

    def __init__(
        self,
        normalized_shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = _shape(normalized_shape, "LayerNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input):
        """The normalized input."""
        return F.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """γ x / √(mean x² + eps) over the last dims; eps None is the dtype's machine epsilon.

    >>> nn.RMSNorm(2)(tensor([3., 4.])).tolist()
    [0.84853, 1.13137]
    """

    def __init__(
        self,
        normalized_shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = _shape(normalized_shape, "RMSNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        kind = {"device": device, "dtype": dtype}
        self.register_parameter("weight", None)
        if elementwise_affine:
            self.weight = Parameter(creation.empty(self.normalized_shape, **kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input):
        """The normalized input."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


def _shape(given, name) -> tuple[int, ...]:
    shape = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not shape or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ShapeError(
            f"{name}: normalized_shape must be an integer or several, got {given!r}"
        )
    return shape


class GroupNorm(_Affine):
    """γ (x − mean) / √(var + eps) + β over each of `num_groups` groups of channels.

    >>> nn.GroupNorm(2, 4)(tensor([[1., 3., 5., 5.]])).tolist()
    [[-0.99999, 0.99999, 0.0, 0.0]]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels ({num_channels}) must be divisible by "
                f"num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make((num_channels,), affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input):
        """The normalized input."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class LocalResponseNorm(Applied):
    """x / (k + α · mean of the squares of `size` channels around)^β.

    >>> nn.LocalResponseNorm(2, alpha=1., beta=1.)(tensor([[[1.], [2.]]])).flatten()
    tensor([0.6667, 0.5714])
    """

    call = staticmethod(F.local_response_norm)
    options = {"size": REQUIRED, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    shows = "{size}, alpha={alpha}, beta={beta}, k={k}"

    def prepare(self) -> None:
        """A positive number of channels."""
        if self.size < 1:
            raise ArgumentError(
                f"LocalResponseNorm: size must be at least 1, got {self.size}"
            )
