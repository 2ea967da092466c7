"""Loops that read across rows turn squares of what they read, with the same numbers."""

import numpy as np
import pytest

import adjoint as ad

SHAPES = [(256, 128), (100, 131), (16, 1040), (17, 1000), (1000, 16), (129, 65)]
ORDERS = [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 3, 2, 0)]
DTYPES = ["f4", "f8", "f2", "i2", "i8", "u1"]


@pytest.fixture
def threads():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def numbers(shape, dtype="f4"):
    x = np.random.default_rng(0).normal(size=shape) * 50
    # Of a number below 0 an unsigned one is made as each processor likes, but of a whole number.
    return (x if np.dtype(dtype).kind == "f" else x.astype("i8")).astype(dtype)


def compiled(f, *arrays):
    """What the compiled function gives."""
    step = ad.compile(f)
    step(*map(ad.tensor, arrays))
    return step(*map(ad.tensor, arrays)).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_transposed_matrix(shape, dtype):
    x, y = numbers(shape, dtype), numbers(shape[::-1], dtype)
    np.testing.assert_array_equal(compiled(lambda x, y: x.t() + y, x, y), x.T + y)
    np.testing.assert_array_equal(compiled(lambda x: x.t().contiguous(), x), x.T)


def test_bits():
    x, y = numbers((200, 150)) > 0, numbers((150, 200)) > 20
    np.testing.assert_array_equal(compiled(lambda x, y: x.t() | y, x, y), x.T | y)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_dims_in_any_order(order):
    x = numbers((3, 24, 20, 40))
    got = compiled(lambda x: x.permute(*order).contiguous(), x)
    np.testing.assert_array_equal(got, x.transpose(order))


def test_several_values_and_rows_that_are_not_read_across():
    x, y, z = numbers((90, 70)), numbers((90, 70)) + 1, numbers((70, 90))
    want = x.T * y.T - z + x[:, 0]
    got = compiled(lambda x, y, z: x.t() * y.t() - z + x[:, 0], x, y, z)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-3)


def test_parts_and_rows_from_the_end():
    x = numbers((3, 24, 20, 40))
    got = compiled(lambda x: x[:, 1:].permute(0, 3, 2, 1).contiguous(), x)
    np.testing.assert_array_equal(got, x[:, 1:].transpose(0, 3, 2, 1))
    got = compiled(lambda x: x.flip(1).permute(0, 3, 2, 1).contiguous(), x)
    np.testing.assert_array_equal(got, x[:, ::-1].transpose(0, 3, 2, 1))


def test_what_is_read_across_is_not_written_over():
    def f(x):
        x = x * 2
        x += x.t()
        return x

    x = numbers((80, 80))
    np.testing.assert_array_equal(compiled(f, x), 2 * x + 2 * x.T)


def test_any_number_of_threads(threads):
    x, y = numbers((700, 900)), numbers((900, 700))
    want = x.T + y
    for n in (1, 2, 4):
        ad.set_num_threads(n)
        np.testing.assert_array_equal(compiled(lambda x, y: x.t() + y, x, y), want)
