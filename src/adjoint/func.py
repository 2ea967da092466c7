"""`adjoint.func`: function transforms, as `torch.func` names them."""

from .autodiff.jacobians import hessian, hvp, jacfwd, jacrev
from .autodiff.jet import jet
from .autodiff.transforms import (
    grad,
    grad_and_value,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from .autodiff.vmap import vmap
from .core.bind import Box
from .functional.face import FUNCTIONS
from .functional.stateless import (
    functional_call,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
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
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jet",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "trace",
    "value_and_grad",
    "vjp",
    "vmap",
]
