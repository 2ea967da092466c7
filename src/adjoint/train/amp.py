"""Mixed precision: a network computed in half precision, trained in single.

The parameters stay as they are (the master weights); each step computes with copies in half
precision, made by a cast that gradients pass through. Small float16 gradients would round to
zero, so the loss is scaled up and the gradients down again (Micikevicius et al., 2018).
"""

from __future__ import annotations

import cmath
from collections.abc import Iterable

import numpy as np

from ..autodiff.modes import no_grad
from ..core import tree
from ..core.bind import Box, floor, hushed
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import np_dtype
from ..functional.stateless import functional_call

READY, UNSCALED, STEPPED = "ready", "unscaled", "stepped"
_DECIDES = "GradScaler decides by numbers whether a step is made"


class GradScaler:
    """Scales the loss so that float16 gradients do not vanish, with PyTorch's arguments.

    A step whose gradients overflowed is left out and the scale shrinks; after
    `growth_interval` good steps it grows.

    >>> scaler = train.GradScaler(init_scale=8.)
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = optim.SGD([w], lr=0.5)
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(opt)
    >>> scaler.update()
    >>> w
    tensor([0.], requires_grad=True)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled and not growth_factor > 1:
            raise ArgumentError("GradScaler: the growth factor must be > 1.0.")
        if enabled and not backoff_factor < 1:
            raise ArgumentError("GradScaler: the backoff factor must be < 1.0.")
        self._enabled = enabled
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good = 0  # steps since the scale last changed
        self._seen: dict[int, tuple[str, bool]] = {}  # optimizer -> stage, overflow

    def scale(self, outputs):
        """The loss, or a list or tuple of losses, times the scale."""
        if not self._enabled:
            return outputs
        floor.get().reads(vars(self), "_scale")
        if isinstance(outputs, Box):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = [self.scale(y) for y in outputs]
            return (
                type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
            )
        raise ArgumentTypeError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer) -> None:
        """Divide the gradients of an optimizer by the scale, before clipping them."""
        if not self._enabled:
            return
        floor.get().needs_python(_DECIDES)
        stage, _ = self._stage(optimizer)
        if stage is UNSCALED:
            raise ArgumentError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if stage is STEPPED:
            raise ArgumentError("unscale_() is being called after step().")
        overflow = _divided(optimizer, self._scale)
        self._seen[id(optimizer)] = (UNSCALED, overflow)

    def step(self, optimizer, *args, **kwargs):
        """optimizer.step(), unless a gradient overflowed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        floor.get().needs_python(_DECIDES)
        if self._stage(optimizer)[0] is STEPPED:
            raise ArgumentError(
                "step() has already been called since the last update()."
            )
        if self._stage(optimizer)[0] is READY:
            self.unscale_(optimizer)
        overflow = self._stage(optimizer)[1]
        self._seen[id(optimizer)] = (STEPPED, overflow)
        return None if overflow else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Adjust the scale by what the steps since the last update met."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._seen:
            raise ArgumentError("No inf checks were recorded prior to update.")
        elif any(overflow for _, overflow in self._seen.values()):
            self._scale, self._good = self._scale * self._backoff_factor, 0
        else:
            self._grow()
        self._seen.clear()

    def _grow(self):
        self._good += 1
        if self._good == self._growth_interval:
            larger = self._scale * self._growth_factor
            self._scale = larger if np.isfinite(np.float32(larger)) else self._scale
            self._good = 0

    def _stage(self, optimizer):
        return self._seen.get(id(optimizer), (READY, False))

    def stepped(self, optimizer, overflow: bool) -> None:
        """Take note of a step that a program made, or left out because of an overflow."""
        if self._enabled:
            self._seen[id(optimizer)] = (STEPPED, overflow)

    def overflowed(self, optimizer) -> bool:
        """Whether the gradients that `unscale_` or `step` last saw had Inf or NaN."""
        return self._stage(optimizer)[1]

    def get_scale(self) -> float:
        """The scale."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """By what the scale grows."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """By what it shrinks."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """After how many good steps it grows."""
        return self._growth_interval

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def state_dict(self) -> dict:
        """Its numbers, under PyTorch's names."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Take back what `state_dict` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise ArgumentError(
                "The source state dict is empty, possibly because it was saved from a "
                "disabled instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good = int(state_dict["_growth_tracker"])


def _divided(optimizer, scale) -> bool:
    """Whether a gradient has Inf or NaN, all of them divided by the scale."""
    overflow = False
    with no_grad():
        for p in trained(optimizer):
            if p.grad is not None:
                p.grad.mul_(1.0 / scale)
                overflow = overflow or not finite(p.grad)
    return overflow


def trained(optimizer) -> list:
    """The parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def finite(*tensors) -> bool:
    """Whether none of the tensors has Inf or NaN."""
    with hushed():
        return all(_is_finite(x.detach().numpy_of().ravel()) for x in tensors)


def _is_finite(a) -> bool:
    """Of a sum of squares, one pass that BLAS makes, all can be told unless it overflows."""
    if a.dtype.itemsize >= 4 and cmath.isfinite(a.dot(a)):
        return True
    return bool(np.isfinite(a).all())


HALVES = ("float16", "bfloat16")


def precision_of(name) -> str | None:
    """The half precision that is meant: None, "float16" or "bfloat16"."""
    if name is None:
        return None
    given = name if isinstance(name, str) else np_dtype(name).name
    if given in ("float32", "single"):
        return None
    if given not in HALVES:
        raise ArgumentError(
            f"precision must be None, 'float16' or 'bfloat16', got {name!r}"
        )
    return given


def in_half(model, inputs, precision: str):
    """model(*inputs), computed in half precision, its outputs in single.

    >>> from adjoint.train.amp import in_half
    >>> y = in_half(nn.Linear(2, 1), (ones(1, 2),), "bfloat16")
    >>> y.dtype
    adjoint.float32
    """
    halves = {k: _cast(p, precision) for k, p in model.named_parameters()}
    y = functional_call(model, halves, tree.map_leaves(_caster(precision), inputs))
    return tree.map_leaves(_caster("float32"), y)


def _caster(dtype):
    return lambda x: _cast(x, dtype)


def _cast(x, dtype):
    real = isinstance(x, Box) and x.is_floating_point()
    return x.to(np_dtype(dtype)) if real else x
