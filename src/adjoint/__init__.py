"""adjoint: a differentiable program is a graph you can see and a gradient you can check.

>>> import adjoint as ad
>>> x = ad.tensor(3., requires_grad=True)
>>> (x ** 2).backward()
>>> x.grad
tensor(6.)
"""

from importlib import import_module as _import_module
from math import e, inf, nan, pi

from . import accelerator, autograd, backends, cuda, func, ops
from .autodiff.calculus import cvec, derivative, rvec, second_derivative, vec
from .autodiff.casting import (
    autocast,
    clear_autocast_cache,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from .autodiff.check import GradcheckError, gradcheck, gradgradcheck
from .autodiff.checkpoint import checkpoint, checkpoint_sequential
from .autodiff.listing import tape
from .autodiff.modes import (
    enable_grad,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .core.device import device, get_default_device
from .core.dtype import (
    DType,
    bfloat16,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .core.dtype import bool_ as bool
from .core.dtype import dtype as dtype
from .core.dtype import float_ as float
from .core.dtype import int_ as int
from .core.generator import Generator, default_generator
from .core.lasting import lasting as _lasting
from .core.lasting import seldom_swept as _seldom_swept
from .core.primitive import op
from .core.shape import Size
from .func import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jet,
    jvp,
    linearize,
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from .functional import FUNCTIONS, debug, fft, linalg, random, special
from .ir.program import Program
from .ir.text import parse
from .legacy import TYPES as _TYPES
from .printing import set_printoptions
from .tensor import Tensor

__version__ = "0.1.0"
globals().update(
    {k: f for k, f in FUNCTIONS.items() if not k.startswith("_") and k != "trace"}
)
globals().update(_TYPES)
newaxis = None
strided = "strided"
contiguous_format, preserve_format = "contiguous_format", "preserve_format"

# What a program that only differentiates does not need is imported when first named.
_LATER = {
    "amp": "amp",
    "compile": "compiler",
    "compiler": "compiler",
    "data": "data",
    "io": "io",
    "load": "io",
    "metrics": "metrics",
    "nn": "nn",
    "optim": "optim",
    "plot": "plot",
    "save": "io",
    "train": "train",
    "utils": "utils",
}


def __getattr__(name):
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module 'adjoint' has no attribute {name!r}")
    with _seldom_swept():
        module = _import_module(f".{home}", __name__)
        _lasting()
    value = globals()[name] = module if name == home else getattr(module, name)
    return value


def __dir__():
    return sorted({*globals(), *_LATER})


_lasting()
