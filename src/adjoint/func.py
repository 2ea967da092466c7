"""`adjoint.func`: function transforms, as `torch.func` names them."""

from .autodiff.jet import jet
from .autodiff.transforms import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)
from .core.bind import Box
from .functional.face import FUNCTIONS
from .functional.stateless import functional_call, stack_module_state
from .ir.trace import trace as program_of


def trace(input):
    """Of a function: args -> its straight-line program. Of a matrix: the sum of its diagonal.

    >>> print(trace(lambda x: x * x)(tensor(2.)))
    f(x: float32[]):
      z1 = x * x
      return z1
    >>> trace(tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    return FUNCTIONS["trace"](input) if isinstance(input, Box) else program_of(input)


__all__ = [
    "functional_call",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jet",
    "jvp",
    "linearize",
    "stack_module_state",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
