"""Matrix calculus in numerator layout, against the closed forms of the lectures."""

import numpy as np
import pytest

import adjoint as ad

rng = np.random.default_rng(0)
A, x, y = (ad.tensor(rng.normal(size=s)) for s in ((3, 2), (2,), (3,)))
S = ad.tensor(rng.normal(size=(2, 2)))


def close(a, b):
    np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_linear_and_bilinear_forms(mode):
    a, v, w, s = (t.numpy() for t in (A, x, y, S))
    close(ad.derivative(lambda x: A @ x, mode=mode)(x), a)
    close(ad.derivative(lambda x: y @ A @ x, mode=mode)(x), (w @ a)[None])
    close(ad.derivative(lambda y: y @ A @ x, mode=mode)(y), (v @ a.T)[None])
    close(ad.derivative(lambda x: x @ S @ x, mode=mode)(x), (v @ (s.T + s))[None])


def test_vec_of_a_matrix():
    W = ad.tensor(rng.normal(size=(2, 3)))
    # vec(W x) = (xᵀ ⊗ I) vec(W)
    v = rng.normal(size=3)
    close(ad.derivative(lambda W: W @ ad.tensor(v))(W), np.kron(v[None], np.eye(2)))
    # vec(A W) = (I ⊗ A) vec(W)
    close(ad.derivative(lambda W: A @ W)(W), np.kron(np.eye(3), A.numpy()))
    close(ad.cvec(W), W.numpy().reshape(-1, 1, order="F"))
    close(ad.rvec(W), W.numpy().reshape(1, -1))


def test_second_derivative_is_mn_by_n():
    close(ad.second_derivative(lambda x: x @ S @ x)(x), S.numpy() + S.numpy().T)
    got = ad.second_derivative(lambda x: x**3)(x)
    want = np.zeros((4, 2))
    want[0, 0], want[3, 1] = 6 * x.numpy()
    close(got, want)
