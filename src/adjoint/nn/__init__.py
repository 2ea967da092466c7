"""Networks: modules, their containers and layers, and the functions they are made of."""

from . import functional
from .containers import (
    Identity,
    ModuleDict,
    ModuleList,
    ParameterDict,
    ParameterList,
    Sequential,
)
from .module import Module
from .parameter import Buffer, Parameter

__all__ = [
    "Buffer",
    "Identity",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "functional",
]
