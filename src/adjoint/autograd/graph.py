"""`adjoint.autograd.graph`: the recorded graph, and hooks on what it keeps."""

from ..autodiff.arrivals import register_multi_grad_hook
from ..autodiff.hooks import (
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from ..autodiff.node import GradientEdge, Node, get_gradient_edge
from ..autodiff.versions import versioned

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
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
