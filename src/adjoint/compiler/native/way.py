"""Way: machine code as a function of Python, and whether its objects are as that code assumes."""

from __future__ import annotations

import ctypes
import functools
import sys

import numpy as np

from .llvm import library as llvm
from .objects import API, COUNT, DATA, DESCR, FLAGS, ITEMS, LISTED, NDIM, SHAPE, TYPE

MOST = 1000  # results that are made in machine code
EMPTY = "PyArray_Empty"  # (rank, sizes, dtype, whether column-major) -> a new array
_EMPTY = 184  # its number in NumPy's table of functions


def usable() -> bool:
    """Whether this interpreter keeps its objects as is assumed here."""
    x = np.ones((2, 3), np.float32)
    count = _half(x, COUNT)
    more = [x, x]
    return (
        sys.implementation.name == "cpython"
        and sys.version_info >= (3, 11)
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and not hasattr(sys, "gettotalrefcount")
        and getattr(sys, "_is_gil_enabled", lambda: True)()
        and _word((x,), ITEMS) == id(x)
        and ctypes.c_int64.from_address(_word(more, LISTED)).value == id(x)
        and _half(x, COUNT) == count + 2
        and _word(x, TYPE) == id(np.ndarray)
        and _word(x, DATA) == x.ctypes.data
        and _half(x, NDIM) == 2
        and ctypes.c_int64.from_address(_word(x, SHAPE)).value == 2
        and _word(x, DESCR) == id(x.dtype)
        and _half(x, FLAGS) == x.flags.num & 0xFFFFFFFF
    )


def _word(x, offset: int) -> int:
    return ctypes.c_int64.from_address(id(x) + offset).value


def _half(x, offset: int) -> int:
    return ctypes.c_uint32.from_address(id(x) + offset).value


class Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_methods: list = []  # CPython reads a function's description when it frees the function


def python_function(address: int, owner):
    """A callable of the machine code at `address`, which keeps `owner` alive."""
    method = Method(b"program", address, 0x80, None)  # METH_FASTCALL
    _methods.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
    return make(ctypes.addressof(method), owner, None)


def empty() -> int:
    """The address of NumPy's function that makes an array."""
    capsule = getattr(np._core._multiarray_umath, "_ARRAY_API")  # noqa: B009
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = (ctypes.c_void_p * (_EMPTY + 1)).from_address(get(capsule, None))
    return table[_EMPTY]


@functools.cache
def link() -> None:
    """Tell LLVM where the functions of Python are that the code calls."""
    for name in API:
        function = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p)
        llvm.add_symbol(name, function.value)
    llvm.add_symbol(EMPTY, empty())
