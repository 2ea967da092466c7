"""What works on networks from outside."""

from . import rnn

__all__ = ["rnn"]
