"""Lazy layers: the size of their input is found at the first call, then they are ordinary.

Until then their parameters have a dtype but no shape.
"""

from __future__ import annotations

import inspect

from ..autodiff.modes import no_grad
from ..errors import ArgumentError, ShapeError
from ..functional.face import need_tensor
from . import convolution, normalization
from .applied import Asked, bound
from .linear import Linear
from .module import Module
from .parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
    is_lazy,
)


def _shapeless(x):
    """An uninitialized tensor in the place of a parameter or buffer."""
    if isinstance(x, Parameter):
        return UninitializedParameter(x.requires_grad, dtype=x.dtype)
    return UninitializedBuffer(dtype=x.dtype, persistent=x.persistent)


def _without_size(kind) -> inspect.Signature:
    """The arguments of the class that a layer becomes, but for the first."""
    whole = inspect.signature(kind.cls_to_become)
    given = [
        p.replace(default=kind.defaults.get(p.name, p.default))
        for p in list(whole.parameters.values())[1:]
    ]
    return whole.replace(parameters=given)


class _Lazy(Module):
    """A layer made without the size of its input; at the first call it takes its own class.

    `size` names the attribute, `dim` is where an input has it, counted from the end if there
    may be an example dim or not.
    """

    cls_to_become: type
    size = "in_channels"
    defaults: dict = {}  # that differ from those of the class it becomes
    __signature__ = Asked(_without_size)

    def __init__(self, *args, **kwargs):
        given = bound(type(self), args, kwargs)
        self._given = (given.args, given.kwargs)
        super().__init__(0, *given.args, **given.kwargs)
        for name, x in list(vars(self).items()):
            if isinstance(x, (Parameter, Buffer)) and x.ndim:
                setattr(self, name, _shapeless(x))
        self.register_load_state_dict_pre_hook(_make_room)

    def reset_parameters(self) -> None:
        """The law of the ordinary layer, once there is something to fill."""
        if getattr(self, self.size) and not self.has_uninitialized_params():
            super().reset_parameters()

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(x) for x in vars(self).values())

    def initialize_parameters(self, input) -> None:
        """Take the size from an input, and first numbers from a fresh layer of that size."""
        if not self.has_uninitialized_params():
            return
        size = self._size_of(input)
        args, kwargs = self._given
        fresh = self.cls_to_become(size, *args, **kwargs)
        setattr(self, self.size, size)
        with no_grad():
            for name, x in list(vars(self).items()):
                if is_lazy(x):
                    new = getattr(fresh, name)
                    x.materialize(new.shape)
                    x.copy_(new)

    def forward(self, *args, **kwargs):
        """Become the ordinary layer, and do as it does."""
        if args:
            self.initialize_parameters(args[0])
        self._become()
        return self.forward(*args, **kwargs)

    def _become(self) -> None:
        """Leave all that is lazy behind."""
        if not getattr(self, self.size):
            setattr(self, self.size, self._loaded_size())
        kinds = self._hooks or {}
        hooks = kinds["load_state_dict_pre"]
        for key in [k for k, hook in hooks.items() if hook is _make_room]:
            del hooks[key]
        if not any(kinds.values()):
            del self._hooks
        del self._given
        self.__class__ = self.cls_to_become

    def _loaded_size(self) -> int:
        """The size that loaded parameters say."""
        return self.weight.shape[1]

    def _size_of(self, x) -> int:
        return need_tensor(x, type(self).__name__).shape[-1]


def _make_room(module, state, prefix, *_):
    """Shapes for what is about to be loaded."""
    for name, x in vars(module).items():
        new = state.get(prefix + name)
        if not is_lazy(x) or new is None:
            continue
        if is_lazy(new):
            raise ArgumentError(
                f"{prefix}{name}: the state_dict has no numbers for it: it was taken from "
                "a lazy module before its first call"
            )
        x.materialize(new.shape)


class LazyLinear(_Lazy, Linear):
    """`Linear` whose in_features is the last size of its first input.

    >>> layer = nn.LazyLinear(2)
    >>> layer(zeros(5, 3)).shape, layer
    (adjoint.Size([5, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    cls_to_become = Linear
    size = "in_features"


class _LazyWindows(_Lazy):
    def _size_of(self, x) -> int:
        name = type(self).__name__
        if need_tensor(x, name).ndim not in (self.n + 1, self.n + 2):
            raise ShapeError(
                f"{name}: expected {self.n + 1}-D (unbatched) or {self.n + 2}-D (batched) "
                f"input, got shape {tuple(x.shape)}"
            )
        return x.shape[-self.n - 1]

    def _loaded_size(self) -> int:
        if self.transposed:
            return self.weight.shape[0]
        return self.weight.shape[1] * self.groups


class _LazyNorm(_Lazy):
    size = "num_features"

    def _size_of(self, x) -> int:
        self._need_dims(x)
        alone = self.dims[0] == x.ndim and isinstance(self, normalization._InstanceNorm)
        return x.shape[0 if alone else 1]

    def _loaded_size(self) -> int:
        held = (self.running_mean, self.weight)
        return next((len(x) for x in held if x is not None), 0)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, once there are channels."""
        if self.num_features and not self.has_uninitialized_params():
            super().reset_running_stats()


def _lazy(base, kind, example):
    """The lazy form of a layer."""
    name = f"Lazy{base.__name__}"
    what = "num_features" if kind is _LazyNorm else "in_channels"
    doc = (
        f"`{base.__name__}` whose {what} is the number of channels of its first input.\n\n"
        f"    >>> type(nn.{name}({example[0]})({example[1]})).__name__\n    'Tensor'\n    "
    )
    body = {"cls_to_become": base, "__doc__": doc, "__module__": __name__}
    if issubclass(base, normalization._InstanceNorm):
        body["defaults"] = {"affine": True, "track_running_stats": True}
    return type(name, (kind, base), body)


LazyConv1d = _lazy(convolution.Conv1d, _LazyWindows, ("2, 3", "ones(1, 4, 5)"))
LazyConv2d = _lazy(convolution.Conv2d, _LazyWindows, ("2, 3", "ones(1, 4, 5, 5)"))
LazyConv3d = _lazy(convolution.Conv3d, _LazyWindows, ("2, 3", "ones(1, 4, 5, 5, 5)"))
LazyConvTranspose1d = _lazy(
    convolution.ConvTranspose1d, _LazyWindows, ("2, 3", "ones(1, 4, 5)")
)
LazyConvTranspose2d = _lazy(
    convolution.ConvTranspose2d, _LazyWindows, ("2, 3", "ones(1, 4, 5, 5)")
)
LazyConvTranspose3d = _lazy(
    convolution.ConvTranspose3d, _LazyWindows, ("2, 3", "ones(1, 4, 3, 3, 3)")
)
LazyBatchNorm1d = _lazy(normalization.BatchNorm1d, _LazyNorm, ("", "ones(2, 4)"))
LazyBatchNorm2d = _lazy(normalization.BatchNorm2d, _LazyNorm, ("", "ones(2, 4, 2, 2)"))
LazyBatchNorm3d = _lazy(
    normalization.BatchNorm3d, _LazyNorm, ("", "ones(2, 4, 2, 2, 2)")
)
LazyInstanceNorm1d = _lazy(
    normalization.InstanceNorm1d, _LazyNorm, ("", "ones(2, 4, 2)")
)
LazyInstanceNorm2d = _lazy(
    normalization.InstanceNorm2d, _LazyNorm, ("", "ones(2, 4, 2, 2)")
)
LazyInstanceNorm3d = _lazy(
    normalization.InstanceNorm3d, _LazyNorm, ("", "ones(2, 4, 2, 2, 2)")
)
