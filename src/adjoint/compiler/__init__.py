"""The compiler: a function of tensors captured whole and run as one program."""

from . import cache
from .face import compile

__all__ = ["cache", "compile"]
