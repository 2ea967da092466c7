"""Mixed precision: a network computed in half precision, trained in single.

The parameters stay as they are (the master weights); each step computes with copies in half
precision, made by a cast that gradients pass through: all of it here, or what `autocast` casts.
Small float16 gradients would round to zero, so the loss is scaled up and the gradients down
again (Micikevicius et al., 2018).
"""

from __future__ import annotations

import cmath
import functools
import operator
from collections.abc import Iterable

import numpy as np

from ..autodiff.modes import no_grad
from ..core import tree
from ..core.bind import NUMPY, Box, floor, hushed
from ..errors import ArgumentError, ArgumentTypeError, TraceError
from ..functional.face import FUNCTIONS, np_dtype
from ..functional.stateless import functional_call

READY, UNSCALED, STEPPED = "ready", "unscaled", "stepped"
_NOTHING = READY, False  # of an optimizer, since the last update
_DECIDES = "GradScaler decides by numbers whether a closure is called"
_LARGEST = float(np.finfo(np.float32).max)  # scale, beyond which losses overflow


class GradScaler:
    """Scales the loss so that float16 gradients do not vanish, with PyTorch's arguments.

    A step whose gradients overflowed is left out and the scale shrinks; after
    `growth_interval` good steps it grows. In a compiled function with all of it, from `scale`
    to `update`, the program decides.

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
        self._scale = FUNCTIONS["tensor"](float(init_scale), dtype="float64")
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good = FUNCTIONS["tensor"](0)  # steps since the scale last changed
        self._seen: dict[int, tuple] = {}  # id of an optimizer -> stage, overflow

    def scale(self, outputs):
        """The loss, or a list or tuple of losses, times the scale."""
        if not self._enabled:
            return outputs
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
        stage, _ = self._stage(optimizer)
        if stage == UNSCALED:
            raise ArgumentError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if stage == STEPPED:
            raise ArgumentError("unscale_() is being called after step().")
        self._note(id(optimizer), UNSCALED, _divided(optimizer, self._scale))

    def step(self, optimizer, *args, **kwargs):
        """optimizer.step(), unless a gradient overflowed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if self._stage(optimizer)[0] == STEPPED:
            raise ArgumentError(
                "step() has already been called since the last update()."
            )
        if self._stage(optimizer)[0] == READY:
            self.unscale_(optimizer)
        overflow = self._stage(optimizer)[1]
        self._note(id(optimizer), STEPPED, overflow)
        if not isinstance(overflow, Box):
            return None if overflow else optimizer.step(*args, **kwargs)
        if args or kwargs:
            floor.get().needs_python(_DECIDES)
        step_where(overflow.logical_not(), optimizer)
        return None

    def update(self, new_scale: float | None = None) -> None:
        """Adjust the scale by what the steps since the last update met."""
        if not self._enabled:
            return
        found = [y for key in self._seen if (y := self._at(key))[0] != READY]
        if new_scale is None and not found:
            raise ArgumentError("No inf checks were recorded prior to update.")
        with no_grad():
            if new_scale is not None:
                self._scale.fill_(float(new_scale))
            else:
                self._adjust(functools.reduce(operator.or_, [y for _, y in found]))
        for key in self._seen:
            self._note(key, *_NOTHING)

    def _adjust(self, overflow):
        """Shrink the scale where a gradient overflowed; grow it after enough good steps."""
        for name in ("_growth_factor", "_backoff_factor", "_growth_interval"):
            floor.get().reads(vars(self), name)
        where, scale, good = FUNCTIONS["where"], self._scale, self._good + 1
        grows = good == self._growth_interval
        larger = scale * self._growth_factor
        larger = where(grows & (larger <= _LARGEST), larger, scale)
        overflow = FUNCTIONS["as_tensor"](overflow)
        good = where(overflow | grows, 0, good)
        scale.copy_(where(overflow, scale * self._backoff_factor, larger))
        self._good.copy_(good)

    def _stage(self, optimizer):
        return self._at(id(optimizer))

    def _at(self, key):
        floor.get().reads(self._seen, key)
        return self._seen.get(key, _NOTHING)

    def _note(self, key, stage, overflow) -> None:
        floor.get().replaces(self._seen, key)
        self._seen[key] = stage, overflow

    def stepped(self, optimizer, overflow: bool) -> None:
        """Take note of a step that a program made, or left out because of an overflow."""
        if self._enabled:
            self._note(id(optimizer), STEPPED, overflow)

    def overflowed(self, optimizer) -> bool:
        """Whether the gradients that `unscale_` or `step` last saw had Inf or NaN."""
        found = self._stage(optimizer)[1]
        if isinstance(found, Box):
            floor.get().needs_python("GradScaler.overflowed() asks for a number")
        return bool(found)

    def get_scale(self) -> float:
        """The scale."""
        if not self._enabled:
            return 1.0
        try:
            return self._scale.item()
        except TraceError:
            floor.get().needs_python("GradScaler.get_scale() asks for a number")
            raise

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
            "scale": self._scale.item(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good.item(),
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
        self._scale.fill_(float(state_dict["scale"]))
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good.fill_(int(state_dict["_growth_tracker"]))


def _divided(optimizer, scale):
    """Whether a gradient has Inf or NaN, all of them divided by the scale."""
    grads = [p.grad for p in trained(optimizer) if p.grad is not None]
    with no_grad():
        for g in grads:
            g.mul_(1.0 / scale)
        if floor.get() is NUMPY:
            return not finite(*grads)
        fine = [FUNCTIONS["isfinite"](g.detach()).all() for g in grads]
        return bool(fine) and functools.reduce(operator.and_, fine).logical_not()


def step_where(fine, optimizer) -> None:
    """A step of an optimizer that changes nothing where `fine` is false, as numbers decide."""
    held = [p for p in trained(optimizer) if p.grad is not None]
    held += [x for s in optimizer.state.values() for x in tensors_in(dict(s))]
    before = copies(held)
    optimizer.step()
    keep_unless(fine, held, before)


def tensors_in(x) -> list:
    """The tensors in a container."""
    return [y for y in tree.flatten(x)[0] if isinstance(y, Box)]


def copies(tensors) -> list:
    """What tensors hold now, to be given back."""
    return [x.detach().clone() for x in tensors]


def keep_unless(fine, tensors, before) -> None:
    """Where `fine` is false, give tensors back what they held."""
    with no_grad():
        for x, old in zip(tensors, before, strict=True):
            x.copy_(FUNCTIONS["where"](fine, x, old))


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
    if isinstance(name, str) and name in MIXED:
        return MIXED[name]
    given = name if isinstance(name, str) else np_dtype(name).name
    if given in ("float32", "single"):
        return None
    if given not in HALVES:
        raise ArgumentError(
            "precision must be None, 'float16', 'bfloat16', '16-mixed' or 'bf16-mixed', "
            f"got {name!r}"
        )
    return given


MIXED = {"16-mixed": "float16", "bf16-mixed": "bfloat16"}


def in_half(model, inputs, precision: str):
    """model(*inputs), computed in half precision, its outputs in single.

    >>> from adjoint.train.amp import in_half
    >>> y = in_half(nn.Linear(2, 1), (ones(1, 2),), "bfloat16")
    >>> y.dtype
    adjoint.float32
    """
    halves = {k: _cast(p, precision) for k, p in model.named_parameters()}
    y = functional_call(model, halves, tree.map_leaves(_caster(precision), inputs))
    return in_single(y)


def in_single(y):
    """Outputs in single precision."""
    return tree.map_leaves(_caster("float32"), y)


def _caster(dtype):
    return lambda x: _cast(x, dtype)


def _cast(x, dtype):
    real = isinstance(x, Box) and x.is_floating_point()
    return x.to(np_dtype(dtype)) if real else x
