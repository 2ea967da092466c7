"""Matrix products alone, beside what the processor and the BLAS libraries reach.

    python benchmarks/products.py [names] [--rounds 15] [--cold]

Each shape of the training steps: n or t for each operand (t: read by columns), then m, n and k.
Billions of operations a second on one thread, the best of rounds in turns; in brackets the
share of the peak, which is a loop of multiply-adds in registers measured in the same rounds.
(AMX is not limited by that: large products pass it.)
The BLAS are NumPy's and, where it is installed, PyTorch's.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import ctypes
import itertools
import time

import numpy as np

from adjoint.compiler.native.llvm import machine
from adjoint.compiler.native.llvm import text as ir
from adjoint.compiler.native.llvm.flow import repeat
from adjoint.compiler.native.llvm.types import I64
from adjoint.compiler.native.products.contractions import instructions
from adjoint.compiler.native.products.form import Form, swapped
from adjoint.compiler.native.products.tasks import Product
from adjoint.compiler.native.products.vectors import Vectors

try:
    import torch
except ImportError:
    torch = None

COLD = 2**26  # bytes of operands that are gone through
SHAPES = {
    "digits": "nt 64 128 64, nt 64 10 128, tn 128 64 64, tn 10 128 64, nn 64 128 10",
    "mnist": "nt 128 512 784, nt 128 512 512, nt 128 10 512, tn 512 784 128, "
    "tn 512 512 128, tn 10 512 128, nn 128 512 512, nn 128 512 10",
    "wide": "nt 1024 2048 784, nt 1024 2048 2048, tn 2048 784 1024, "
    "tn 2048 2048 1024, nn 1024 2048 2048",
    "lstm": "nt 2048 512 128, nn 32 512 128, nn 32 128 512, tn 512 128 2048",
    "gpt_mini": "nt 1024 384 128, nt 1024 128 512, nt 1024 512 128, tn 512 128 1024, "
    "nn 1024 128 512, nt 64 64 32, nn 64 32 64, tn 64 32 64",
    "gpt_char": "nt 3072 1152 384, nt 3072 1536 384, tn 1536 384 3072, nn 3072 384 1536, "
    "nt 256 256 64, nn 256 64 256",
    "vectors": "nn 1 512 512, nt 1 512 512, nn 512 1 512, tn 512 1 512, nt 4 512 512, "
    "nn 8 512 512, nn 16 512 512",
}


def peak():
    """Multiply-adds in registers."""
    m = ir.Module("peak")
    v = Vectors(m, ir.FloatType())
    f, b = v.function("peak", v.scalar.as_pointer(), I64)
    f.linkage = "external"
    x = v.load(b, f.args[0])
    places = [b.gep(f.args[0], [I64(v.w * i)]) for i in range(12)]
    acc = [v.load(b, p) for p in places]
    acc = repeat(
        b, I64(0), f.args[1], 4, acc, lambda _, acc: [v.fma(b, x, x, t) for t in acc]
    )
    for t, p in zip(acc, places, strict=True):
        v.store(b, t, p)
    b.ret_void()
    call, rounds = _function(m, "peak", ctypes.c_int64), 20_000
    memory = np.zeros(12 * v.w, np.float32)
    call.memory = memory
    return lambda: call(memory.ctypes.data, rounds), 2.0 * 12 * v.w * rounds


def _function(module, name, *more):
    library = machine.Library(machine.machine_code(str(module)))
    count = len(module.globals[name].args) - len(more)
    kinds = [ctypes.c_void_p] * count + list(more)
    f = ctypes.CFUNCTYPE(None, *kinds)(library.address(name))
    f.library = library
    return f


def ours(m, n, k, a_steps, b_steps):
    """Our function of (a, b, c, scratch), and what scratch it needs."""
    module, scalar = ir.Module("product"), ir.FloatType()
    by = instructions(("f4", "f4"))
    form = Form(m, n, k, a_steps, b_steps, n, (), (), 4, by=by)
    form = swapped(form) if n == 1 else form
    product, p = Product(module, scalar, form), scalar.as_pointer()
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [p] * 4), "run")
    b = ir.IRBuilder(f.append_basic_block())
    b.call(product.call, [*f.args, I64(0), I64(form.tasks)])
    b.ret_void()
    return _function(module, "run"), form.bytes


def aligned(shape):
    """Zeros at the start of a cache line."""
    raw = np.zeros(int(np.prod(shape)) + 16, np.float32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + raw.size - 16].reshape(shape)


def contestants(text, cold):
    """Calls by name, and their operations; cold: with other operands each time."""
    layout, *sizes = text.split()
    m, n, k = map(int, sizes)
    steps = (
        (1, m) if layout[0] == "t" else (k, 1),
        (1, k) if layout[1] == "t" else (n, 1),
    )
    call, size = ours(m, n, k, *steps)
    sets = 1 + (COLD // (4 * (m * n + m * k + n * k)) if cold else 0)
    made = [operands(layout, m, n, k, i) for i in range(sets)]
    scratch = aligned(size // 4 + 16)
    call.memory = made, scratch
    places = [
        [x.ctypes.data for x in ((y, x) if n == 1 else (x, y))] for (x, y), *_ in made
    ]
    places = [
        (*xs, s[2].ctypes.data, scratch.ctypes.data)
        for xs, s in zip(places, made, strict=True)
    ]
    pick = {name: itertools.cycle(range(sets)) for name in ("ours", "NumPy", "torch")}
    others = [s[1] for s in made]
    calls = {
        "ours": lambda: call(*places[next(pick["ours"])]),
        "NumPy": lambda: _numpy(*others[next(pick["NumPy"])]),
    }
    if torch:
        torch.set_num_threads(1)
        ts = [[torch.from_numpy(x) for x in xs] for xs in others]
        calls["torch"] = lambda: _torch(*ts[next(pick["torch"])])
    for f in calls.values():
        f()
    assert np.allclose(made[0][2], others[0][2], rtol=1e-3, atol=1e-3), text
    return calls, 2.0 * m * n * k


def operands(layout, m, n, k, seed):
    """(as they lie, (a, b, a result for others), our result)."""
    rng = np.random.default_rng(seed)
    first = aligned((k, m) if layout[0] == "t" else (m, k))
    second = aligned((n, k) if layout[1] == "t" else (k, n))
    for x in (first, second):
        x[:] = rng.normal(size=x.shape)
    a = first.T if layout[0] == "t" else first
    b = second.T if layout[1] == "t" else second
    return (first, second), (a, b, aligned((m, n))), aligned((m, n))


def _numpy(a, b, out):
    np.matmul(a, b, out=out)


def _torch(a, b, out):
    torch.mm(a, b, out=out)


def seconds(f, least=1e-3):
    """Of one call, over at least a millisecond."""
    start, calls = time.process_time(), 0
    while True:
        f()
        calls += 1
        spent = time.process_time() - start
        if spent > least:
            return spent / calls


def row(text, limit, rounds, cold):
    """Speeds of all, and of the peak."""
    calls, flop = contestants(text, cold)
    best = dict.fromkeys(["peak", *calls], 0.0)
    for _ in range(rounds):
        best["peak"] = max(best["peak"], limit[1] / seconds(limit[0]))
        for name, f in calls.items():
            best[name] = max(best[name], flop / seconds(f, 2e-2 if cold else 1e-3))
    return best


def main():
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*SHAPES], metavar="names")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--cold", action="store_true", help="operands not in the caches"
    )
    given, limit = parser.parse_args(), peak()
    for name in given.names:
        shapes = SHAPES.get(name, name).split(",")
        name = name if name in SHAPES else ""
        for text in shapes:
            best = row(text.strip(), limit, given.rounds, given.cold)
            top = best.pop("peak")
            speeds = (f"{k} {x / 1e9:6.1f} ({x / top:4.0%})" for k, x in best.items())
            print(
                f"{name:9} {text.strip():18} {'  '.join(speeds)}  of {top / 1e9:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
