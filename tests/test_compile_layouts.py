"""Arguments and state that do not lie row by row: what is a view of them, and what a copy."""

import numpy as np
import pytest

import adjoint as ad

LAYOUTS = {
    "row by row": lambda x: x,
    "transposed": lambda x: x.T,
    "every other": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "a part": lambda x: ad.cat([x, x], 1)[:, :3],
    "expanded": lambda x: x[:1].expand(3, 3),
}
WRITES = {
    "reshape": lambda x: x.reshape(9).add_(1),
    "flatten": lambda x: x.flatten().mul_(2),
    "contiguous": lambda x: x.contiguous().add_(1),
    "transposed": lambda x: x.T.reshape(9).add_(1),
    "transposed, contiguous": lambda x: x.T.contiguous().add_(1),
    "view": lambda x: x.view(9).add_(1),
    "transposed, view": lambda x: x.T.view(9).add_(1),
    "a part": lambda x: x[:, 1:].reshape(6).add_(1),
    "detached": lambda x: x.detach().reshape(9).add_(1),
    "asks": lambda x: (x.is_contiguous(), x.stride(), x.T.stride()),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("laid", LAYOUTS)
def test_what_is_a_copy_depends_on_how_memory_lies(laid, write):
    """A write to a reshaped argument, or state, reaches it only where that is a view."""

    def both(f):
        x = LAYOUTS[laid](ad.arange(9.0).reshape(3, 3))
        try:
            return f(x), x
        except ad.errors.AdjointError as error:
            return str(error).split("\n")[0], x

    want, before = both(WRITES[write])
    program = ad.compile(WRITES[write])
    for _ in range(3):
        got, x = both(program)
        np.testing.assert_array_equal(x, before)
        if isinstance(want, ad.Tensor):
            np.testing.assert_array_equal(got, want)
        else:
            assert got == want
    kept, want = (LAYOUTS[laid](ad.arange(9.0).reshape(3, 3)) for _ in range(2))
    outside = ad.compile(lambda: WRITES[write](kept))
    for _ in range(3):
        both(lambda _: outside())
        both(lambda _: WRITES[write](want))
        np.testing.assert_array_equal(kept, want)


def test_an_argument_that_lies_otherwise_has_another_program():
    f = ad.compile(lambda x: x.reshape(4).add_(1))
    for make in (lambda x: x, lambda x: x.T, lambda x: ad.cat([x, x], 1)[:, :2]) * 3:
        x = make(ad.arange(4.0).reshape(2, 2))
        y = make(ad.arange(4.0).reshape(2, 2))
        assert f(x).tolist() == y.reshape(4).add_(1).tolist()
        np.testing.assert_array_equal(x, y)
    plain = ad.compile(lambda x: x * 2)
    for make in (lambda x: x, lambda x: x.T, lambda x: ad.cat([x, x], 1)[:, :2]) * 3:
        plain(make(ad.arange(4.0).reshape(2, 2)))
    assert len(plain.programs) == 2


MADE = {
    "twice": lambda x: x * 2,
    "of two": lambda x: x + x.T * 1,
    "with a row": lambda x: x * ad.arange(3.0) + 1,
    "compared": lambda x: (x > 3).float(),
    "chosen": lambda x: ad.where(x > 3, x, 0.0),
    "softmax": lambda x: x.softmax(-1),
    "sums": lambda x: x.cumsum(0),
    "of a sum": lambda x: x.unsqueeze(0).expand(3, 3, 3).sum(0),
    "joined": lambda x: ad.cat([x, x], 0)[:3] + 0,
    "a product": lambda x: x @ x,
    "cloned": lambda x: x.clone(),
    "erf": lambda x: x.erf(),
    "in place": lambda x: (x * 2).add_(1),
    "copied into": lambda x: (x * 2).copy_(ad.ones(3, 3)),
    "picked": lambda x: x[ad.tensor([0, 1, 2])],
    "derived": lambda x: ad.grad(lambda x: (x.sin() * x).sum())(x),
    "mapped": lambda x: ad.vmap(lambda r: r.sin())(x),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("laid", LAYOUTS)
def test_what_is_made_of_what_lies_otherwise(laid, made):
    """Results keep the order of dims; a write to what is reshaped reaches them or not."""

    def f(x):
        x = MADE[made](x)
        y, z = x.reshape(9), x.T.reshape(9)
        y.add_(1)
        z.mul_(2)
        d = x.detach().reshape(9)
        d.sub_(3)
        return x, y, z, d, x.is_contiguous(), x.stride()

    def run(g):
        return g(LAYOUTS[laid](ad.arange(9.0).reshape(3, 3)))

    want, program = run(f), ad.compile(f)
    for _ in range(3):
        got = run(program)
        for a, b in zip(got[:4], want[:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        assert got[4:] == want[4:]


def test_a_long_chain_of_what_lies_otherwise():
    def f(x):
        y = x.T
        for _ in range(2000):
            y = y + 1
        y.reshape(-1).zero_()
        return y

    g, x = ad.compile(f, backend="numpy"), ad.arange(4.0).reshape(2, 2)
    for _ in range(2):
        np.testing.assert_array_equal(g(x), f(x))
