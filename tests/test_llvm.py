"""LLVM's library is called as llvmlite calls it, by several threads at once."""

import ctypes
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

binding = pytest.importorskip("llvmlite.binding")

from adjoint.compiler.native.llvm import library as llvm  # noqa: E402
from adjoint.compiler.native.llvm import machine  # noqa: E402

TWICE = "define i64 @f(i64 %x) {\n  %y = mul i64 %x, NUMBER\n  ret i64 %y\n}\n"


def plain(kind):
    """What is handed over, all that points to LLVM's own as an address."""
    pointer = kind is not None and issubclass(kind, ctypes._Pointer)
    return kind if kind == llvm._TEXT or not pointer else ctypes.c_void_p


@pytest.mark.parametrize("name", llvm._FUNCTIONS)
def test_functions_take_what_llvmlite_hands_them(name):
    result, kinds = llvm._FUNCTIONS[name]
    theirs = getattr(binding.ffi.lib, f"LLVMPY_{name}")
    if theirs.argtypes is not None:
        assert list(kinds) == [plain(k) for k in theirs.argtypes]
    declared = plain(theirs.restype)
    assert result == declared or (result is None and declared is ctypes.c_int)


def test_the_machine_is_what_llvmlite_says():
    features = binding.get_host_cpu_features().flatten()
    assert llvm.processor() == (binding.get_host_cpu_name(), features)
    assert llvm.triple() == binding.get_default_triple()


def test_code_that_is_loaded_runs_until_it_is_let_go():
    library = machine.Library(machine.machine_code(TWICE.replace("NUMBER", "2")))
    f = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("f"))
    assert f(21) == 42
    assert library.address("g") == 0
    end = library.engine.end
    del library, f
    gc.collect()
    assert not end.alive


def test_threads_make_code_at_the_same_time():
    def made(n):
        text = TWICE.replace("NUMBER", str(n))
        library = machine.Library(machine.machine_code(text))
        f = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("f"))
        return f(3)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(made, range(40))) == [3 * n for n in range(40)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("define nothing", "LLVM IR parsing error"),
        ("define void @f() {\n  ret i64 1\n}\n", "LLVM IR parsing error"),
        ("define i64 @f() {\n  %x = add i64 %y, 1\n  %y = add i64 %x, 1\n  ret i64 %y\n}\n",
         "dominate"),
    ],
)  # fmt: skip
def test_what_llvm_refuses(text, wrong):
    with pytest.raises(RuntimeError, match=wrong):
        machine.machine_code(text)


def test_what_is_no_object_file():
    with pytest.raises(RuntimeError, match="no object file"):
        machine.Library(b"nothing")


def test_llvmlites_own_python_is_not_imported():
    code = (
        "import sys, adjoint.compiler.native.llvm.machine\n"
        "print([m for m in sys.modules if m.startswith('llvmlite.binding')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
