"""`adjoint.autograd.graph`: the recorded graph, and hooks on what it keeps."""

from ..autodiff.hooks import (
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from ..autodiff.tape import Node, versioned

__all__ = [
    "Node",
    "disable_saved_tensors_hooks",
    "increment_version",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def increment_version(tensor) -> None:
    """Say that the memory of a tensor, or of several, was written by other means.

    >>> x = ones(2)
    >>> autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for x in tensor if isinstance(tensor, (tuple, list)) else (tensor,):
        versioned(x).n += 1
