"""All parameters as one vector, and back."""

from __future__ import annotations

from ...core.bind import Box
from ...errors import ArgumentTypeError, ShapeError
from ...functional.face import FUNCTIONS


def parameters_to_vector(parameters):
    """The elements of all parameters in one vector.

    >>> nn.utils.parameters_to_vector([tensor([1., 2.]), tensor([[3.]])])
    tensor([1., 2., 3.])
    """
    return FUNCTIONS["cat"]([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters) -> None:
    """Parameters become slices of the vector.

    >>> w, b = zeros(2), zeros(1)
    >>> nn.utils.vector_to_parameters(tensor([1., 2., 3.]), [w, b])
    >>> w, b
    (tensor([1., 2.]), tensor([3.]))
    """
    if not isinstance(vec, Box):
        raise ArgumentTypeError(f"expected a Tensor, but got: {type(vec).__name__}")
    parameters, at = list(parameters), 0
    count = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or len(vec) < count:
        raise ShapeError(
            f"vector_to_parameters: the parameters have {count} elements, the vector has "
            f"shape {tuple(vec.shape)}"
        )
    for p in parameters:
        n = p.numel()
        p.data = vec[at : at + n].reshape(p.shape).data
        at += n
