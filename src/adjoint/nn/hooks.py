"""Hooks of a module: what is called before and after its forward, and on the way back."""

from __future__ import annotations

import warnings
from collections import OrderedDict

from ..autodiff.function import Function
from ..autodiff.node import Handle
from ..core.bind import Box
from ..errors import ArgumentError


def hook_into(module, kind, entry, prepend=False):
    """Add a hook of this kind; the result removes it."""
    if module._hooks is None:
        module._hooks = {}
    hooks = module._hooks.setdefault(kind, OrderedDict())
    handle = Handle(hooks, entry, lasting=True)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


EVERYWHERE: dict[str, OrderedDict] = {}  # hooks of all modules, by kind


def hook_everywhere(kind, entry):
    """Add a hook of this kind to all modules; the result removes it."""
    return Handle(EVERYWHERE.setdefault(kind, OrderedDict()), entry, lasting=True)


def hooks_of(module, kind) -> tuple:
    """The hooks of this kind, in the order in which they are called."""
    own = (module._hooks or {}).get(kind, {}).values()
    if not EVERYWHERE:
        return tuple(own)
    return (*EVERYWHERE.get(kind, {}).values(), *own)


def registered(module, name, x, kind):
    """What hooks of all modules make of a parameter, buffer or module that is put in."""
    for hook in EVERYWHERE.get(kind, {}).values():
        got = hook(module, name, x)
        x = x if got is None else got
    return x


def call_with_hooks(module, args, kwargs):
    """module.forward between its hooks; those that are always called see an error too."""
    waiting = [h for h in hooks_of(module, "forward") if h[2]]
    y = None
    try:
        args, kwargs = _before(module, args, kwargs)
        watch = _Watch.of(module)
        if watch is not None:
            args = watch.inputs(args)
        y = module.forward(*args, **kwargs)
        for entry in hooks_of(module, "forward"):
            if entry in waiting:
                waiting.remove(entry)
            got = _after(entry, module, args, kwargs, y)
            y = y if got is None else got
        return y if watch is None else watch.outputs(y)
    except Exception:
        for entry in waiting:
            _after_failure(entry, module, args, kwargs, y)
        raise


def _before(module, args, kwargs):
    for hook, with_kwargs in hooks_of(module, "forward_pre"):
        got = hook(module, args, kwargs) if with_kwargs else hook(module, args)
        if got is None:
            continue
        if not with_kwargs:
            args = got if isinstance(got, tuple) else (got,)
        elif isinstance(got, tuple) and len(got) == 2:
            args, kwargs = got
        else:
            raise ArgumentError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but got {got}"
            )
    return args, kwargs


def _after(entry, module, args, kwargs, y):
    hook, with_kwargs, _ = entry
    return hook(module, args, kwargs, y) if with_kwargs else hook(module, args, y)


def _after_failure(entry, module, args, kwargs, y) -> None:
    try:
        _after(entry, module, args, kwargs, y)
    except Exception as error:
        warnings.warn(
            "module forward hook with always_call=True raised an exception that was "
            f"silenced as another error was raised in forward: {error}",
            stacklevel=2,
        )


# ---------------------------------------------------------------- on the way back


class _Gate(Function):
    """Tensors as they are; their cotangents pass through a function, None as zeros if so."""

    @staticmethod
    def forward(ctx, turn, zeros, *xs):
        ctx.set_materialize_grads(zeros)
        ctx.turn = turn
        return tuple(x.view_as(x) for x in xs)

    @staticmethod
    def backward(ctx, *grad_outputs):
        return None, None, *ctx.turn(grad_outputs)


class _Watch:
    """One call of a module with backward hooks: a gate before it, and one behind it."""

    def __init__(self, module, hooks, pre):
        self.module, self.hooks, self.pre = module, hooks, pre
        self.count, self.at = 0, []  # how many inputs, and which of them have gradients
        self.width, self.out = 0, []  # and outputs
        self.grad_output = ()

    @classmethod
    def of(cls, module):
        """The watch of a call now; None if no hook asks for it."""
        hooks, pre = (hooks_of(module, k) for k in ("backward", "backward_pre"))
        return cls(module, hooks, pre) if hooks or pre else None

    def inputs(self, args):
        """The inputs through a gate."""
        self.count = len(args)
        self.at = [
            i for i, x in enumerate(args) if isinstance(x, Box) and x.requires_grad
        ]
        if not self.at:
            return args
        args = list(args)
        new = _Gate.apply(self.leave, True, *(args[i] for i in self.at))
        for i, x in zip(self.at, new, strict=True):
            args[i] = x
        return tuple(args)

    def outputs(self, y):
        """The outputs through a gate."""
        if not isinstance(y, (Box, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a "
                f"tuple of Tensors but received {type(y)}",
                stacklevel=2,
            )
            return y
        ys = list(y) if isinstance(y, tuple) else [y]
        at = [i for i, x in enumerate(ys) if isinstance(x, Box) and x.requires_grad]
        if not at:
            return y
        self.width, self.out = len(ys), at
        new = _Gate.apply(self.enter, False, *(ys[i] for i in at))
        for i, x in zip(at, new, strict=True):
            ys[i] = x
        return ys[0] if isinstance(y, Box) else tuple(ys)

    def enter(self, gs):
        """The cotangents of the outputs, as the pre-hooks leave them."""
        found = _spread(gs, self.out, self.width)
        for hook in self.pre:
            found = _replaced(found, hook(self.module, found))
        self.grad_output = found
        if not self.at:
            for hook in self.hooks:
                self._alone(hook(self.module, (None,) * self.count, found))
        return [found[i] for i in self.out]

    def leave(self, gs):
        """The cotangents of the inputs, as the hooks leave them."""
        found = _spread(gs, self.at, self.count)
        for hook in self.hooks:
            found = _replaced(found, hook(self.module, found, self.grad_output))
        return [found[i] for i in self.at]

    def _alone(self, got):
        if got is not None and any(g is not None for g in _tupled(got)):
            raise ArgumentError(
                "Backward hook for Modules where no input requires gradient should "
                "always return None or None for all gradients"
            )


def _spread(gs, at, count) -> tuple:
    """Cotangents at their places, None elsewhere."""
    by_place = dict(zip(at, gs, strict=True))
    return tuple(by_place.get(i) for i in range(count))


def _replaced(gs, got) -> tuple:
    if got is None:
        return gs
    got = _tupled(got)
    if len(got) != len(gs):
        raise ArgumentError(
            f"Backward hook returned an invalid number of grad_input, got {len(got)}, but "
            f"expected {len(gs)}"
        )
    return got


def _tupled(x) -> tuple:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)
