"""`adjoint.autograd.forward_ad`: tangents carried by hand, inside a level of forward mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from ..autodiff.forward import Forward
from ..autodiff.tape import BASE
from ..core.bind import Box, dtype_of, new_level
from ..errors import GradError

_level: ContextVar[Forward | None] = ContextVar("_level", default=None)
_entered: ContextVar[tuple] = ContextVar("_entered", default=())


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent (None: it does not move)."""

    primal: Any
    tangent: Any


@contextmanager
def dual_level() -> Iterator[None]:
    """The block in which dual tensors live.

    >>> from adjoint.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(tensor(3.), tensor(1.))
    ...     print(forward_ad.unpack_dual(x * x).tangent)
    tensor(6.)
    """
    if _level.get() is not None:
        raise GradError("Nested forward mode AD is not supported at the moment")
    with new_level(Forward()) as level:
        token = _level.set(level)
        try:
            yield
        finally:
            _level.reset(token)


def enter_dual_level() -> None:
    """Begin a dual level that lasts until `exit_dual_level`."""
    block = dual_level()
    block.__enter__()
    _entered.set((*_entered.get(), block))


def exit_dual_level() -> None:
    """End what `enter_dual_level` has begun."""
    if not _entered.get():
        raise GradError("exit_dual_level: no level was entered")
    *rest, block = _entered.get()
    _entered.set(tuple(rest))
    block.__exit__(None, None, None)


def make_dual(tensor, tangent):
    """`tensor` with a tangent."""
    level = _level.get()
    if level is None:
        raise GradError(
            "Trying to create a dual Tensor but no level exists, make sure to "
            "enter_dual_level() first",
            hint="with forward_ad.dual_level(): ...",
        )
    if tuple(tensor.shape) != tuple(tangent.shape) or dtype_of(tensor) != dtype_of(
        tangent
    ):
        raise GradError(
            f"make_dual: the tensor is {tensor.dtype}{list(tensor.shape)}, its tangent "
            f"{tangent.dtype}{list(tangent.shape)}: they must be alike"
        )
    return level.dual(tensor, tangent)


def unpack_dual(tensor) -> UnpackedDualTensor:
    """The value and the tangent of a dual tensor."""
    level = _level.get()
    tensor.sync()
    if level is None or tensor.level is not level:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(_face(tensor.value), _face(tensor.tangent))


def _face(x):
    return x if x is None or isinstance(x, Box) else BASE.wrap(x)


__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]
