"""Orthogonal polynomials: against PyTorch and against their own derivatives."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import special
from adjoint.functional.polynomials import __all__ as names

X = np.array([-1.5, -0.3, 0.4, 0.9, 2.0])


@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize("n", [-1, 0, 1, 2, 5])
def test_values_are_torch(name, n):
    torch = pytest.importorskip("torch")
    got = getattr(special, name)(ad.tensor(X), n)
    want = getattr(torch.special, name)(torch.tensor(X), n)
    np.testing.assert_allclose(got.numpy(), want.numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize("name", names)
def test_a_degree_an_element_and_two_derivatives(name):
    torch = pytest.importorskip("torch")
    n = np.array([0, 3, 1, 4, 2])
    x = ad.tensor(X, requires_grad=True)
    got = getattr(special, name)(x, ad.tensor(n))
    want = getattr(torch.special, name)(torch.tensor(X), torch.tensor(n))
    np.testing.assert_allclose(got.detach().numpy(), want.numpy(), 1e-12, 1e-12)
    assert ad.gradgradcheck(lambda x: getattr(special, name)(x, ad.tensor(n)), (x,))


def test_edges():
    t = special.chebyshev_polynomial_t
    assert t(ad.ones(2, 1), ad.tensor([1, 2, 3])).shape == (2, 3)
    assert t(ad.ones(0), 3).shape == (0,)
    assert t(ad.tensor([2]), 2).dtype is ad.float32
    with pytest.raises(ad.errors.ArgumentError, match="degrees"):
        t(ad.ones(1), 10**9)
    with pytest.raises(ad.errors.ShapeError, match="broadcast"):
        t(ad.ones(2), ad.tensor([1, 2, 3]))
