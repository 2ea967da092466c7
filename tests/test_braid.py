"""Loops that compute several vectors side by side: the same numbers as one after the other."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.compiler.native.kernels.braid import braid, side_by_side
from adjoint.compiler.native.kernels.nests import vectors
from adjoint.compiler.native.llvm import text as ir
from adjoint.compiler.native.llvm.machine import registers

# Elements that leave 0, 1, some or many vectors and lanes over, in one dim and in rows.
SHAPES = [(2**14,), (2**14 + 16,), (3 * 2**13,), (2**14 + 37,), (41, 16 * 27 + 3)]


def chain(x, row):
    """Long enough to be braided."""
    return ad.tanh(x * row) + ad.exp(-x * x)


def forked(x, row):
    """With a way for large angles, and so not straight."""
    return ad.sin(ad.tanh(x) * row) + ad.erf(x)


@pytest.mark.parametrize("function", [chain, forked])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_elements_are_there(function, shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    row = np.linspace(-1, 1, shape[-1]).astype(dtype)
    step = ad.compile(function)
    args = ad.tensor(x), ad.tensor(row)
    for _ in range(2):
        y = step(*args)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(
        y.numpy(), function(*args).numpy(), rtol=tolerance, atol=tolerance
    )


def test_the_same_bits_with_threads():
    x = ad.tensor(np.random.default_rng(0).normal(size=2**20 + 40).astype(np.float32))
    before, found = ad.get_num_threads(), []
    try:
        for n in (1, 4):
            ad.set_num_threads(n)
            step = ad.compile(lambda x: ad.nn.functional.gelu(x) * x)
            found.append([step(x) for _ in range(2)][-1].numpy())
    finally:
        ad.set_num_threads(before)
    assert found[0].tobytes() == found[1].tobytes()


def test_how_many_leave_the_fewest_over():
    assert side_by_side((2**13,)) == side_by_side((2**12, 16)) == 1
    if registers() == 32:
        assert side_by_side((2**14,)) == 4
        assert side_by_side((16, 1029 * vectors())) == 3
        assert side_by_side((2**10, 34 * vectors())) == 2


def test_what_is_shared_comes_first():
    module = ir.Module()
    f = ir.Function(
        module, ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * 2), "f"
    )
    b = ir.IRBuilder(f.append_basic_block())
    x, y = f.args
    start = b.fadd(x, y)
    shared = b.fmul(start, y)
    first = b.fadd(shared, x)
    second = [b.fmul(x, x)]
    second.append(b.fadd(shared, second[0]))
    block = b.block
    braid(block, [1, 3])
    assert block.instructions == [start, shared, second[0], first, second[1]]
