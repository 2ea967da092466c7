"""LLVM: what is used of llvmlite's library, called without llvmlite's own Python.

To import that takes 20 ms, a quarter of what a scalar function is compiled in; to load the
library 6. Each module has a context of its own, so that threads need no lock around calls.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import weakref
from ctypes import c_bool, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p


class _Absent(ImportError):
    """It cannot be used: compiled functions run on NumPy."""

    def __init__(self, why: str):
        super().__init__(why, name="llvmlite")


try:
    import llvmlite
    from llvmlite.utils import get_library_name
except Exception as error:
    # Whatever a package raises that is broken, or for another Python.
    if isinstance(error, ModuleNotFoundError) and error.name == "llvmlite":
        raise
    raise _Absent(f"llvmlite cannot be imported ({error})") from error

_TEXT = ctypes.POINTER(c_char_p)  # where the library puts a text; it is given back
# (result, arguments) of each function; pointers to what is LLVM's are addresses here.
_FUNCTIONS = {
    "GetVersionInfo": (c_uint, ()),
    "InitializeNativeTarget": (c_int, ()),
    "InitializeNativeAsmPrinter": (c_int, ()),
    "GetDefaultTargetTriple": (None, (_TEXT,)),
    "GetHostCPUName": (None, (_TEXT,)),
    "GetHostCPUFeatures": (c_int, (_TEXT,)),
    "DisposeString": (None, (c_char_p,)),
    "AddSymbol": (None, (c_char_p, c_void_p)),
    "ContextCreate": (c_void_p, ()),
    "ContextDispose": (None, (c_void_p,)),
    "ParseAssembly": (c_void_p, (c_void_p, c_char_p, _TEXT)),
    "SetTarget": (None, (c_void_p, c_char_p)),
    "VerifyModule": (c_bool, (c_void_p, _TEXT)),
    "DisposeModule": (None, (c_void_p,)),
    "GetTargetFromTriple": (c_void_p, (c_char_p, _TEXT)),
    "CreateTargetMachine": (
        c_void_p,
        (c_void_p, *[c_char_p] * 3, c_int, *[c_char_p] * 2, c_int, c_int, c_char_p),
    ),
    "DisposeTargetMachine": (None, (c_void_p,)),
    "TargetMachineEmitToMemory": (c_void_p, (c_void_p, c_void_p, c_int, _TEXT)),
    "GetBufferStart": (c_void_p, (c_void_p,)),
    "GetBufferSize": (c_size_t, (c_void_p,)),
    "DisposeMemoryBuffer": (None, (c_void_p,)),
    "CreateNewModulePassManager": (c_void_p, ()),
    "DisposeNewModulePassManger": (None, (c_void_p,)),
    "CreatePipelineTuningOptions": (c_void_p, ()),
    "DisposePipelineTuningOptions": (None, (c_void_p,)),
    "CreatePassBuilder": (c_void_p, (c_void_p, c_void_p)),
    "DisposePassBuilder": (None, (c_void_p,)),
    "RunNewModulePassManager": (None, (c_void_p, c_void_p, c_void_p)),
    "CreateMCJITCompiler": (c_void_p, (c_void_p, c_void_p, c_bool, _TEXT)),
    "DisposeExecutionEngine": (None, (c_void_p,)),
    "RemoveModule": (c_bool, (c_void_p, c_void_p, _TEXT)),
    "CreateObjectFile": (c_void_p, (c_char_p, c_size_t)),
    "DisposeObjectFile": (None, (c_void_p,)),
    "MCJITAddObjectFile": (None, (c_void_p, c_void_p)),
    "FinalizeObject": (None, (c_void_p,)),
    "GetGlobalValueAddress": (c_uint64, (c_void_p, c_char_p)),
    "GetFunctionAddress": (c_uint64, (c_void_p, c_char_p)),
}


KNOWN = (0, 45), (0, 50)  # the releases in which these functions are so


def _loaded():
    """The library, its functions told what they take."""
    first, last = KNOWN
    version = llvmlite.__version__
    release = re.match(r"(\d+)\.(\d+)", version)
    if release is None or not first <= tuple(map(int, release.groups())) <= last:
        asked = " to ".join(f"{x}.{y}" for x, y in KNOWN)
        raise _Absent(f"llvmlite is {version} instead of {asked}")
    folder = os.path.dirname(llvmlite.__file__)
    try:
        library = ctypes.CDLL(os.path.join(folder, "binding", get_library_name()))
    except OSError as error:
        raise _Absent(f"llvmlite has no library: {error}") from error
    for name, (result, kinds) in _FUNCTIONS.items():
        f = getattr(library, f"LLVMPY_{name}")
        f.restype, f.argtypes = result, kinds
    library.LLVMPY_InitializeNativeTarget()
    library.LLVMPY_InitializeNativeAsmPrinter()
    return library


_lib = _loaded()


def _asked(f, *args) -> tuple:
    """(what a function gives, the text that it puts behind its arguments)."""
    text = c_char_p()
    y = f(*args, ctypes.byref(text))
    found = (text.value or b"").decode()
    if text:
        _lib.LLVMPY_DisposeString(text)
    return y, found


class _Owned:
    """Something of the library's, by its address: given back when this is let go."""

    def __init__(self, address, *gone):
        self._as_parameter_ = ctypes.c_void_p(address)
        end = self.end = weakref.finalize(self, _give_back, *gone)
        end.atexit = False  # threads may be in the code when the process ends


def _give_back(*gone) -> None:
    for dispose, address in gone:
        dispose(address)


class Module(_Owned):
    """A module, of its text."""

    def __init__(self, text: str):
        context = _lib.LLVMPY_ContextCreate()
        found, error = _asked(_lib.LLVMPY_ParseAssembly, context, text.encode())
        if not found:
            _lib.LLVMPY_ContextDispose(context)
            raise RuntimeError(f"LLVM IR parsing error\n{error}")
        self.context = context
        super().__init__(
            found,
            (_lib.LLVMPY_DisposeModule, found),
            (_lib.LLVMPY_ContextDispose, context),
        )
        _lib.LLVMPY_SetTarget(self, triple().encode())

    def verify(self) -> None:
        """Raise an error if LLVM could not go on with it."""
        wrong, error = _asked(_lib.LLVMPY_VerifyModule, self)
        if wrong:
            raise RuntimeError(error)


class Machine(_Owned):
    """A description of a processor, and how much effort is made for its code."""

    def __init__(self, name: str, features: str, effort: int):
        kind = triple()
        target, error = _asked(_lib.LLVMPY_GetTargetFromTriple, kind.encode())
        if not target:
            raise RuntimeError(error)
        if os.name == "nt":
            kind += "-elf"  # the one format that is loaded here on Windows
        words = (x.encode() for x in (kind, name, features))
        ways = effort, b"default", b"jitdefault", False, True, b""
        found = _lib.LLVMPY_CreateTargetMachine(target, *words, *ways)
        if not found:
            raise RuntimeError(f"LLVM knows no processor {name!r}")
        super().__init__(found, (_lib.LLVMPY_DisposeTargetMachine, found))

    def code(self, module: Module, is_object: bool) -> bytes:
        """An object file of a module, or the assembler's text."""
        emit = _lib.LLVMPY_TargetMachineEmitToMemory
        buffer, error = _asked(emit, self, module, is_object)
        if not buffer:
            raise RuntimeError(error)
        start, size = _lib.LLVMPY_GetBufferStart, _lib.LLVMPY_GetBufferSize
        code = ctypes.string_at(start(buffer), size(buffer))
        _lib.LLVMPY_DisposeMemoryBuffer(buffer)
        return code

    def run(self, passes, module: Module) -> None:
        """Rewrite a module by some of LLVM's passes, which have names here."""
        options = _lib.LLVMPY_CreatePipelineTuningOptions()
        builder = _lib.LLVMPY_CreatePassBuilder(self, options)
        manager = _lib.LLVMPY_CreateNewModulePassManager()
        for name in passes:
            add = getattr(_lib, f"LLVMPY_module_Add{name}Pass")
            add(ctypes.c_void_p(manager))
        _lib.LLVMPY_RunNewModulePassManager(manager, module, builder)
        _lib.LLVMPY_DisposeNewModulePassManger(manager)
        _lib.LLVMPY_DisposePassBuilder(builder)
        _lib.LLVMPY_DisposePipelineTuningOptions(options)


class Engine(_Owned):
    """Object files in memory, to be run."""

    def __init__(self, machine: Machine):
        module = Module("")
        # LLVM's own memory for code may lie too far apart for jumps on this processor.
        near = platform.machine().lower() in ("arm64", "aarch64")
        make = _lib.LLVMPY_CreateMCJITCompiler
        found, error = _asked(make, module, machine, near)
        if not found:
            raise RuntimeError(error)
        machine.end.detach()  # it is the engine's now
        super().__init__(found, (_lib.LLVMPY_DisposeExecutionEngine, found))
        # An engine begins with a module, of which it would make code: 1 ms for nothing.
        _asked(_lib.LLVMPY_RemoveModule, self, module)

    def add(self, code: bytes) -> None:
        """Load an object file."""
        file = _lib.LLVMPY_CreateObjectFile(code, len(code))
        if not file:
            raise RuntimeError("this is no object file")
        _lib.LLVMPY_MCJITAddObjectFile(self, file)
        _lib.LLVMPY_DisposeObjectFile(file)

    def finish(self) -> None:
        """Make what was added ready to run."""
        _lib.LLVMPY_FinalizeObject(self)

    def data(self, name: str) -> int:
        """Where a global variable lies."""
        return _lib.LLVMPY_GetGlobalValueAddress(self, name.encode())

    def function(self, name: str) -> int:
        """Where a function starts; 0 if there is none."""
        return _lib.LLVMPY_GetFunctionAddress(self, name.encode())


@functools.cache
def triple() -> str:
    """What LLVM calls this kind of machine."""
    return _asked(_lib.LLVMPY_GetDefaultTargetTriple)[1]


def processor() -> tuple[str, str]:
    """Its name and all of its features, as LLVM calls them."""
    features = _asked(_lib.LLVMPY_GetHostCPUFeatures)[1].split(",")
    ordered = sorted(filter(None, features), key=lambda f: f[1:])
    return _asked(_lib.LLVMPY_GetHostCPUName)[1], ",".join(ordered)


def add_symbol(name: str, address: int) -> None:
    """Tell where a function is that code calls."""
    _lib.LLVMPY_AddSymbol(name.encode(), address)


def version() -> tuple:
    """Of llvmlite, and of LLVM as a number."""
    return llvmlite.__version__, _lib.LLVMPY_GetVersionInfo()
