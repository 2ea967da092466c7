"""Hooks of optimizers: around steps and around saved state, of one optimizer or of all."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from ..autodiff.node import Handle
from ..core.bind import floor
from ..errors import ArgumentError

_EVERYWHERE: dict = {"step_pre": OrderedDict(), "step_post": OrderedDict()}


class Hooked:
    """What calls hooks: each kind has a table of its own, made when the first comes."""

    _stepping = _opt_called = False
    _hooks: Mapping[str, OrderedDict] = MappingProxyType({})

    def _hooks_of(self, kind):
        """Its hooks and those of all optimizers, which come around its own."""
        own, shared = self._hooks.get(kind, {}), _EVERYWHERE.get(kind)
        if not shared:
            return tuple(own.values())
        first, second = (shared, own) if kind.endswith("pre") else (own, shared)
        return (*first.values(), *second.values())

    def _registered(self, kind, hook, prepend=False):
        hooks = self.__dict__.setdefault("_hooks", {})
        handle = Handle(hooks.setdefault(kind, OrderedDict()), hook, lasting=True)
        if prepend:
            hooks[kind].move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook):
        """hook(optimizer, args, kwargs) before each step; may return new (args, kwargs)."""
        return self._registered("step_pre", hook)

    def register_step_post_hook(self, hook):
        """hook(optimizer, args, kwargs) after each step."""
        return self._registered("step_post", hook)

    def register_state_dict_pre_hook(self, hook, prepend: bool = False):
        """hook(optimizer) before `state_dict` is taken."""
        return self._registered("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend: bool = False):
        """hook(optimizer, state_dict) -> state_dict or None, when it is taken."""
        return self._registered("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend: bool = False):
        """hook(optimizer, state_dict) -> state_dict or None, before it is loaded."""
        return self._registered("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend: bool = False):
        """hook(optimizer) when a state_dict was loaded."""
        return self._registered("load_state_dict_post", hook, prepend)


def with_hooks(step):
    """The method `step`, counted and with the hooks around it, once where steps nest."""

    @functools.wraps(step)
    def wrapper(self, *args, **kwargs):
        if self._stepping:
            return step(self, *args, **kwargs)
        floor.get().steps(self.param_groups)
        self._stepping = self._opt_called = True
        try:
            args = (self, *args)
            for hook in self._hooks_of("step_pre"):
                args, kwargs = _changed(hook(self, args, kwargs), args, kwargs)
            out = step(*args, **kwargs)
            for hook in self._hooks_of("step_post"):
                hook(self, args, kwargs)
            return out
        finally:
            self._stepping = False

    return wrapper


def _changed(result, args, kwargs):
    """The arguments of a step after a hook gave `result`."""
    if result is None:
        return args, kwargs
    if isinstance(result, tuple) and len(result) == 2:
        return result
    raise ArgumentError(
        "a step pre-hook must return None or a tuple (new_args, new_kwargs), "
        f"not {result!r}"
    )


def register_optimizer_step_pre_hook(hook):
    """hook(optimizer, args, kwargs) before each step of every optimizer.

    >>> from adjoint import optim
    >>> with optim.register_optimizer_step_pre_hook(lambda *args: print("a step")):
    ...     optim.SGD([ones(1, requires_grad=True)]).step()
    a step
    """
    return Handle(_EVERYWHERE["step_pre"], hook, lasting=True)


def register_optimizer_step_post_hook(hook):
    """hook(optimizer, args, kwargs) after each step of every optimizer.

    >>> from adjoint import optim
    >>> with optim.register_optimizer_step_post_hook(lambda *args: print("done")):
    ...     optim.SGD([ones(1, requires_grad=True)]).step()
    done
    """
    return Handle(_EVERYWHERE["step_post"], hook, lasting=True)
