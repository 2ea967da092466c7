"""Modules made without first numbers."""

from __future__ import annotations

from ...errors import ArgumentTypeError
from ..module import Module


def skip_init(module_cls, *args, **kwargs):
    """A module whose parameters are still to be filled: what they hold means nothing.

    >>> nn.utils.skip_init(nn.Linear, 2, 3)
    Linear(in_features=2, out_features=3, bias=True)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise ArgumentTypeError(f"Expected a Module class; got {module_cls!r}")
    return module_cls(*args, **kwargs)
