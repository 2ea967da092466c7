"""gradcheck finds wrong rules, says where, and passes right ones."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import Elementwise, Linear, op
from adjoint.core.shape import Spec


@pytest.fixture
def wrong_cube():
    class WrongCube(Elementwise):
        """x³ with the derivative of x²."""

        def eager(x):
            return x**3

        def dx(t, x):
            return t * (2 * x)

    yield op.wrong_cube
    delattr(op, "wrong_cube")


@pytest.fixture
def swapping():
    class Swapping(Linear):
        """x, but under vmap the rows change places."""

        def eager(x):
            return +x

        def shape(x):
            return Spec(x.shape, x.dtype)

        def transpose(g, x):
            return op.swapping(g)

        def batched(x):
            return op.flip(op.swapping(x), dims=(0,))

    yield op.swapping
    delattr(op, "swapping")


def leaf(*shape, dtype=ad.float64, seed=0):
    value = np.random.default_rng(seed).normal(size=shape)
    if dtype is ad.complex128:
        value = value + 1j
    return ad.tensor(value, dtype=dtype, requires_grad=True)


OPTIONS = {
    "check_forward_ad": True,
    "check_batched_grad": True,
    "check_batched_forward_grad": True,
}


def test_right_rules_pass_in_every_mode():
    assert ad.gradcheck(
        lambda x, y: (x @ y).tanh(), (leaf(2, 3), leaf(3, 2)), **OPTIONS
    )
    assert ad.gradgradcheck(lambda x, y: (x @ y).tanh(), (leaf(2, 3), leaf(3, 2)))


def test_complex_functions():
    z = leaf(3, dtype=ad.complex128)
    assert ad.gradcheck(lambda z: z * z, (z,), **OPTIONS)
    assert ad.gradcheck(lambda z: z.abs(), (z,), check_forward_ad=True)
    assert ad.gradcheck(lambda z: z.conj() * z.exp(), (z,), check_forward_ad=True)


def test_several_outputs():
    assert ad.gradcheck(lambda x: (x.sin(), x.sum()), (leaf(3),), **OPTIONS)


def test_the_wrong_rule_is_named(wrong_cube):
    with pytest.raises(ad.GradcheckError, match=r"wrong_cube .*") as caught:
        ad.gradcheck(lambda x: wrong_cube(x * 2), (leaf(2),))
    assert "entry (0, 0)" in str(caught.value)
    assert not ad.gradcheck(lambda x: wrong_cube(x), (leaf(2),), raise_exception=False)
    with pytest.raises(ad.GradcheckError, match="forward"):
        ad.gradcheck(
            wrong_cube, (leaf(2),), check_forward_ad=True, check_backward_ad=False
        )


def test_rows_that_vmap_mixes_up_are_found(swapping):
    assert ad.gradcheck(swapping, (leaf(2),))
    with pytest.raises(ad.GradcheckError, match="batched reverse"):
        ad.gradcheck(swapping, (leaf(2),), check_batched_grad=True)
    with pytest.raises(ad.GradcheckError, match="batched forward"):
        ad.gradcheck(swapping, (leaf(2),), check_batched_forward_grad=True)


def test_single_precision_is_refused():
    with pytest.raises(ValueError, match="double precision"):
        ad.gradcheck(lambda x: x, (leaf(2, dtype=ad.float32),))


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="require grad"):
        ad.gradcheck(lambda x: x, (ad.ones(2, dtype=ad.float64),))


# ---------------------------------------------------------------- along one direction


def test_fast_mode_passes_right_rules():
    options = {"fast_mode": True, "check_forward_ad": True}
    x, z = leaf(4, 5), leaf(3, dtype=ad.complex128)
    assert ad.gradcheck(lambda x: (x.tanh(), x @ x.t()), (x,), **options)
    assert ad.gradcheck(lambda z: z.conj() * z.exp(), (z,), **options)
    assert ad.gradcheck(lambda z: z.abs(), (z,), **options)
    assert ad.gradgradcheck(lambda x: (x**3).sum(), (x,), fast_mode=True)
    assert ad.gradgradcheck(lambda x: x**3, (x,), check_fwd_over_rev=True)


def test_fast_mode_runs_the_function_a_few_times_only():
    calls = []

    def f(x):
        calls.append(1)
        return x * x

    assert ad.gradcheck(f, (leaf(1000),), fast_mode=True)
    assert len(calls) < 10


def test_fast_mode_names_the_entry(wrong_cube):
    with pytest.raises(ad.GradcheckError, match="entry") as caught:
        ad.gradcheck(lambda x: wrong_cube(x * 2), (leaf(2),), fast_mode=True)
    assert "wrong_cube" in str(caught.value)
    assert not ad.gradcheck(
        wrong_cube, (leaf(2),), fast_mode=True, raise_exception=False
    )
    with pytest.raises(ad.GradcheckError, match="forward"):
        ad.gradcheck(
            wrong_cube,
            (leaf(2),),
            fast_mode=True,
            check_backward_ad=False,
            check_forward_ad=True,
        )


def test_the_same_input_twice():
    x = leaf(3)
    assert ad.gradcheck(lambda x, y: x * y, (x, x), check_forward_ad=True)
    assert ad.gradgradcheck(lambda x, y: x**3 * y, (x, x))
