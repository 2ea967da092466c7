"""The compiler: a function of tensors captured whole and run as one program."""

from . import inner
from .step import compile

__all__ = ["compile", "inner"]
