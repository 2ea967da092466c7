"""LLVM's language: modules, functions and instructions, written down as text at once.

Named as in llvmlite.ir, of which this has what the emitter needs, in a third of the time: a
type is one object, an instruction's line is made when it is, and pointers are not cast
(docs/decisions/0012-llvm-as-text.md).
"""

from __future__ import annotations

from .builder import IRBuilder
from .module import Block, Function, GlobalVariable, Instruction, Module
from .types import (
    ArrayType,
    BrainType,
    Constant,
    DoubleType,
    FloatType,
    FunctionType,
    HalfType,
    IntType,
    LiteralStructType,
    PointerType,
    Type,
    Undefined,
    Value,
    VectorType,
    VoidType,
)

__all__ = [
    "ArrayType",
    "Block",
    "BrainType",
    "Constant",
    "DoubleType",
    "FloatType",
    "Function",
    "FunctionType",
    "GlobalVariable",
    "HalfType",
    "IRBuilder",
    "Instruction",
    "IntType",
    "LiteralStructType",
    "Module",
    "PointerType",
    "Type",
    "Undefined",
    "Value",
    "VectorType",
    "VoidType",
]
