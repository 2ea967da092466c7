"""Complex numbers: against PyTorch, values and gradients by its convention; views; errors."""

import numpy as np
import pytest

import adjoint as ad
from peers import agree_in_both, numbers, pairs

EDGES = np.array([0, 1, -1, 1j, -2 - 1j, 0.5 + 2j])
UNARY = [
    lambda m, z: m.real(z),
    lambda m, z: z.imag,
    lambda m, z: m.view_as_real(z),
    lambda m, z: m.view_as_complex(m.view_as_real(z) * 2),
    lambda m, z: m.conj(z) * z,
    lambda m, z: m.conj_physical(z) * 1j,
    lambda m, z: m.abs(z),
    lambda m, z: m.angle(z),
    lambda m, z: m.sgn(z),
    lambda m, z: z * z.real + z.imag,
    lambda m, z: m.exp(z),
    lambda m, z: m.tanh(z),
    lambda m, z: m.sin(z) * m.cosh(z),
    lambda m, z: z**3,
    lambda m, z: m.square(z),
    lambda m, z: z / (z + 3),
    lambda m, z: m.sum(z),
    lambda m, z: m.mean(z),
    lambda m, z: m.prod(z + 2),
    lambda m, z: m.cumsum(z, 0),
    lambda m, z: m.polar(m.abs(z) + 1, m.angle(z + 3)),
    lambda m, z: m.complex(z.imag, z.real * 2),
    lambda m, z: z.reshape(2, 3).mH @ z.reshape(2, 3),
    lambda m, z: z.reshape(2, 3).H,
    lambda m, z: m.adjoint(z.reshape(1, 2, 3)),
    lambda m, z: m.resolve_conj(z.conj()),
    lambda m, z: m.vdot(z, z * 1j),
    lambda m, z: m.where(m.abs(z) > 1, z, z.conj() * 2),
    lambda m, z: m.cat([z, z.real]),
]


@pytest.mark.parametrize("f", UNARY)
def test_as_pytorch(f):
    agree_in_both(f, EDGES)


MIXED = [
    lambda m, z, x: z * x,
    lambda m, z, x: x / z,
    lambda m, z, x: x - z,
    lambda m, z, x: m.complex(x, x * 2) * z,
    lambda m, z, x: (z + x).abs() ** 2,
    lambda m, z, x: m.stack([z, x]),
    lambda m, z, x: m.polar(x * x + 1, x) * z,
    lambda m, z, x: (z * x).real.sin() * x,
    lambda m, z, x: m.addcmul(z, x, x, value=2j),
]


@pytest.mark.parametrize("f", MIXED)
def test_real_and_complex_together(f):
    agree_in_both(f, pairs(5), numbers(5, seed=3))


def test_angle_of_real_numbers():
    x = ad.tensor([-1.0, 0.0, 2.0, float("nan")], requires_grad=True)
    y = ad.angle(x)
    np.testing.assert_allclose(y.detach().numpy()[:3], [np.pi, 0, 0], rtol=1e-6)
    assert np.isnan(y.detach().numpy()[3])
    y.sum().backward()
    assert x.grad.tolist() == [0.0] * 4
    assert ad.angle(ad.tensor([-1, 2])).dtype == ad.float32


@pytest.mark.parametrize(
    "f",
    [
        lambda z: ad.view_as_real(z) ** 2,
        lambda z: ad.view_as_complex(ad.view_as_real(z) ** 2),
        lambda z: z.real * z.imag,
        lambda z: ad.complex(z.real, z.imag**2),
        lambda z: ad.polar(z.real**2 + 1, z.imag),
        ad.angle,
        ad.sgn,
        ad.abs,
    ],
)
def test_every_order_and_batch(f):
    z = pairs(4, seed=2)
    leaf = ad.tensor(z, requires_grad=True)
    assert ad.gradcheck(f, (leaf,), check_forward_ad=True)
    assert ad.gradgradcheck(f, (leaf,))
    many = np.stack([z, 2 * z, 1j * z])
    want = np.stack([f(ad.tensor(row)).numpy() for row in many])
    np.testing.assert_allclose(ad.vmap(f)(ad.tensor(many)).numpy(), want)


def test_parts_are_views_that_can_be_assigned():
    z = ad.zeros(2, dtype=ad.complex64)
    z.real = ad.tensor([1.0, 2.0])
    z.imag = 3
    assert z.tolist() == [1 + 3j, 2 + 3j]
    ad.view_as_real(z)[0, 1] = 7
    assert z.tolist() == [1 + 7j, 2 + 3j]
    x = ad.zeros(3, 2)
    ad.view_as_complex(x).fill_(1 + 2j)
    assert x.tolist() == [[1.0, 2.0]] * 3
    x = ad.ones(2)
    assert x.real is x
    x.real = 5.0
    assert x.tolist() == [5.0, 5.0]

    def written(m, z):
        y = z * 1j
        y.real = y.imag * 2
        y.imag.mul_(3)
        m.view_as_real(y)[0].mul_(2)
        return y * y

    agree_in_both(written, pairs(3))


def test_edges_and_kinds():
    z = ad.complex(ad.tensor([float("inf"), 1.0]), ad.tensor([1.0, float("inf")]))
    assert z.tolist() == [complex("inf+1j"), complex(1, float("inf"))]
    assert ad.complex(ad.ones(2, 1), ad.ones(3)).shape == (2, 3)
    assert ad.isreal(ad.tensor([1 + 0j, 1j])).tolist() == [True, False]
    assert ad.isreal(ad.ones(2)).tolist() == [True, True]
    assert ad.is_complex(z) and not ad.is_complex(ad.ones(1))
    assert ad.is_floating_point(ad.ones(1)) and not ad.is_floating_point(z)
    assert not ad.is_conj(z.conj()) and not z.is_neg()
    x = ad.arange(3)
    assert x.conj() is x and x.resolve_neg() is x
    assert ad.tensor(1 + 2j).H.item() == 1 - 2j


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: x.imag, "imag is not implemented"),
        (lambda x: setattr(x, "imag", 3), "imag is not implemented"),
        (lambda x: ad.view_as_real(x), "only supported for complex"),
        (lambda x: ad.view_as_complex(x), "last dimension of size 2"),
        (lambda x: ad.view_as_complex(x[0]), "one or more dimensions"),
        (lambda x: ad.view_as_complex(x[:2].long()), "got int64"),
        (lambda x: ad.view_as_complex(ad.ones(2, 2).t()), "with stride 1"),
        (lambda x: ad.complex(x, x.double()), "expected object of scalar type float32"),
        (lambda x: ad.complex(x.long(), x.long()), "got int64"),
        (lambda x: ad.complex(x.half(), x.half()), "no complex dtype of halves"),
        (lambda x: ad.complex(x, 2.0), "must be Tensor, not float"),
        (lambda x: ad.polar(x, x.double()), "float64"),
        (lambda x: x.H, "only supported on matrices (2-D"),
        (lambda x: x.mH, "Got 1-D tensor"),
        (lambda x: x.mT, "Got 1-D tensor"),
        (lambda x: ad.angle(1.0), "must be Tensor"),
    ],
)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call(ad.ones(3))
    assert type(caught.value).__module__ == "adjoint.errors", caught.value
    assert text in str(caught.value)


def test_log1p_keeps_what_is_small_beside_one():
    """Also around the circle |1 + z| = 1, where the real part cancels."""
    m = pytest.importorskip("mpmath").mp
    rng = np.random.default_rng(0)
    turns = 10 ** rng.uniform(-9, 0.4, 50)
    sizes = 10.0 ** np.repeat([-20, -12, -8, -5, -3, -1, 0, 3, 10], 20)
    z = sizes * (rng.normal(size=180) + 1j * rng.normal(size=180))
    z = np.concatenate([z, np.cos(turns) - 1 + 1j * np.sin(turns)])
    with m.workdps(60):
        want = [m.log(1 + m.mpc(complex(x))) for x in z]
        f = ad.compile(ad.log1p)
        for g in (ad.log1p, f, f):
            for y, w in zip(g(ad.tensor(z)).numpy(), want, strict=True):
                assert abs(m.mpf(y.real) - w.real) <= 2 * 2.0**-52 * abs(w.real)
                assert abs(m.mpf(y.imag) - w.imag) <= 2 * 2.0**-52 * abs(w.imag)
