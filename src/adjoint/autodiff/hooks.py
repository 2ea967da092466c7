"""What becomes of tensors that operations save for backward: hooks that pack and unpack them."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from ..errors import ArgumentTypeError, GradError
from .modes import Hooks, Switch, packing

_refusal: ContextVar[str | None] = ContextVar("refusal", default=None)


class saved_tensors_hooks(Switch):
    """pack(tensor) when an operation saves one, unpack(packed) when its rule reads it.

    >>> x = tensor(3., requires_grad=True)
    >>> with autograd.graph.saved_tensors_hooks(lambda t: t.item(), tensor):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor(6.)
    """

    var = packing

    def __init__(self, pack_hook, unpack_hook):
        if not (callable(pack_hook) and callable(unpack_hook)):
            raise ArgumentTypeError("saved_tensors_hooks: both hooks must be callable")
        self.value = Hooks(pack_hook, unpack_hook)

    def __enter__(self):
        if _refusal.get() is not None:
            raise GradError(_refusal.get())
        return super().__enter__()


class save_on_cpu(saved_tensors_hooks):
    """Keep copies of what operations save, as `torch.autograd.graph.save_on_cpu` does.

    The CPU is where everything is here: what it changes is that later writes in place do
    not reach what was saved.

    >>> x = tensor(3., requires_grad=True)
    >>> with autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self, pin_memory=False, device_type="cpu"):
        super().__init__(_copied, _as_it_is)


class allow_mutation_on_saved_tensors(saved_tensors_hooks):
    """In this block what operations save may be overwritten: they keep copies.

    >>> x = tensor(3., requires_grad=True)
    >>> y = x * 1
    >>> with autograd.graph.allow_mutation_on_saved_tensors():
    ...     z = y * y
    ...     _ = y.zero_()
    >>> z.backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self):
        super().__init__(_copied, _as_it_is)


def _copied(x):
    value = x.value.copy() if isinstance(x.value, np.ndarray) else x.value
    return x.level.wrap(value)


def _as_it_is(x):
    return x


@contextmanager
def disable_saved_tensors_hooks(error_message: str):
    """In this block, using saved-tensor hooks is an error with this message.

    >>> with autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     y = tensor(1., requires_grad=True) * 2
    """
    if not isinstance(error_message, str):
        raise ArgumentTypeError(
            "disable_saved_tensors_hooks: the message must be a str"
        )
    if packing.get() is not None:
        raise GradError(error_message)
    token = _refusal.set(error_message)
    try:
        yield
    finally:
        _refusal.reset(token)
