"""Module, and hooks that all modules have: for profilers and debuggers."""

from __future__ import annotations

from ..hooks import hook_everywhere
from ..module import Module

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


def register_module_forward_pre_hook(hook):
    """hook(module, args) -> None or new args, before forward and the module's own hooks.

    >>> from adjoint.nn.modules.module import register_module_forward_pre_hook
    >>> net = nn.Sequential(nn.Linear(1, 1), nn.Tanh())
    >>> with register_module_forward_pre_hook(lambda m, args: print(m._get_name())):
    ...     y = net(ones(1, 1))
    Sequential
    Linear
    Tanh
    """
    return hook_everywhere("forward_pre", (hook, False))


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """hook(module, args, output) -> None or new output, before the module's own hooks.

    >>> from adjoint.nn.modules.module import register_module_forward_hook
    >>> with register_module_forward_hook(lambda m, args, y: 2 * y):
    ...     print(nn.Identity()(ones(1)))
    tensor([2.])
    """
    return hook_everywhere("forward", (hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook):
    """hook(module, grad_output) -> None or new grad_output."""
    return hook_everywhere("backward_pre", hook)


def register_module_full_backward_hook(hook):
    """hook(module, grad_input, grad_output) -> None or new grad_input.

    >>> from adjoint.nn.modules.module import register_module_full_backward_hook
    >>> x = ones(1, requires_grad=True)
    >>> with register_module_full_backward_hook(lambda m, gx, gy: (3 * gx[0],)):
    ...     nn.Identity()(x).backward()
    >>> x.grad
    tensor([3.])
    """
    return hook_everywhere("backward", hook)


register_module_backward_hook = register_module_full_backward_hook


def register_module_parameter_registration_hook(hook):
    """hook(module, name, parameter) -> None or another, when one is put into a module."""
    return hook_everywhere("register_parameter", hook)


def register_module_buffer_registration_hook(hook):
    """hook(module, name, buffer) -> None or another, when one is put into a module."""
    return hook_everywhere("register_buffer", hook)


def register_module_module_registration_hook(hook):
    """hook(module, name, submodule) -> None or another, when one is put into a module."""
    return hook_everywhere("register_module", hook)
