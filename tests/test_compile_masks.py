"""x[mask] = y[mask] in programs and under vmap, where nobody knows how often the mask holds."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import TraceError
from adjoint.nn.functional import gelu

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 5, 3)).astype(np.float32)
K = RNG.random((5, 3)) > 0.5


def taken(x, y, k):
    x[k] = y[k]


def added(x, y, k):
    x[k] += y[k]
    x[~k] -= 1


def scaled(x, y, k):
    x[k] *= 2
    x[k] /= 3


def a_number(x, y, k):
    x[k] = 3.0


def one_element(x, y, k):
    x[k] = y[1, 2]


def rows(x, y, k):
    r = k[:, 0]
    x[r] = y[r]
    x[r] *= y[0]


def one_row(x, y, k):
    r = k[:, 0]
    x[r] = y[1]
    x[r] = y[r] * y[0] + x[1:2] * 2


def of_a_view(x, y, k):
    x[:, 1][k[:, 1]] = y[:, 1][k[:, 1]]


def of_a_tuple(x, y, k):
    x[k,] = y[k]


def the_same_condition_twice(x, y, k):
    x[x > 0] = y[x > 0]


def computed(x, y, k):
    x[k] = x[k].clamp(min=0) * 2 + gelu(y[k].exp()) - 1


def chosen_among(x, y, k):
    x[k] = ad.maximum(x[k], y[k])


def where_it_is_defined(x, y, k):
    m = x > 0
    x[m] = x[m].sqrt().log()  # elsewhere NaN, as would be its derivative


def detached(x, y, k):
    x[k] = x[k].detach() * y[k].clone()


def cast(x, y, k):
    x[k] = y[k].double().sin()


def selected(x, y, k):
    x[k] = y.masked_select(k)


def scattered(x, y, k):
    x.masked_scatter_(k, y)


def written_later(x, y, k):
    t = x[k]
    x.mul_(y)
    x[k] = t


def changed_in_place(x, y, k):
    t = y[k]
    u = t
    t += 1
    t.mul_(2)
    x[k] = u


def of_whole_numbers(x, y, k):
    z = ad.zeros(5, 3, dtype=ad.int64)
    z[k] = z[k] + 2
    x.mul_(z)


def with_a_dim_after(x, y, k):
    z = ad.stack([x, y], -1)
    z[k] = z[k] * ad.tensor([2.0, 3.0])
    x.copy_(z.sum(-1))


CASES = (
    taken,
    added,
    scaled,
    a_number,
    one_element,
    rows,
    one_row,
    of_a_view,
    of_a_tuple,
    the_same_condition_twice,
    computed,
    chosen_among,
    where_it_is_defined,
    detached,
    cast,
    selected,
    scattered,
    written_later,
    changed_in_place,
    of_whole_numbers,
    with_a_dim_after,
)


def gradients(write, wrap):
    @wrap
    def f(x, y, k):
        x = x * 1
        write(x, y, k)
        return x

    for _ in range(2):
        x, y = (ad.tensor(v).requires_grad_() for v in (X, Y))
        out = f(x, y, ad.tensor(K))
        (out * ad.arange(15.0).reshape(5, 3)).sum().backward()
    return out.detach(), x.grad, ad.zeros(5, 3) if y.grad is None else y.grad


@pytest.mark.parametrize("write", CASES, ids=lambda f: f.__name__)
def test_a_program_writes_what_eager_writes(write):
    want, got = gradients(write, lambda f: f), gradients(write, ad.compile)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
        assert np.isfinite(a.numpy()).all()


@pytest.mark.parametrize("write", CASES, ids=lambda f: f.__name__)
def test_vmap_writes_in_each_example_what_eager_writes(write):
    def f(x, y, k):
        x = x.clone()
        write(x, y, k)
        return x

    if write is scattered:
        pytest.skip("which elements are taken is decided by the numbers of the mask")
    x, y = (RNG.normal(size=(4, 5, 3)).astype(np.float32) for _ in range(2))
    k = RNG.random((4, 5, 3)) > 0.5
    want = [f(*map(ad.tensor, one)).numpy() for one in zip(x, y, k, strict=True)]
    got = ad.vmap(f)(*map(ad.tensor, (x, y, k)))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def two_masks(x, y, k):
    x[k] = y[k & (x > 0)]


def a_mask_that_changed(x, y, k):
    k = k.clone()
    t = y[k]
    k[0] = False
    x[k] = t


def values_of_another_rank(x, y, k):
    z = ad.zeros(3, 3, 3)
    z[k[:3]] = y[:3][k[:3]]


def one_value_a_place(x, y, k):
    r = k[:, 0]
    x[r] = y[r] * y[:, :1]


def a_sum(x, y, k):
    x[k] = y[k].sum()


def a_length(x, y, k):
    x[k] = len(y[k])


def numbers(x, y, k):
    x[k] = y[k].numpy()


def written_to_something_else(x, y, k):
    x[0] = y[k]


def returned(x, y, k):
    return y[k]


def in_a_container(x, y, k):
    return {"some": y[k]}


REFUSED = (
    two_masks,
    a_mask_that_changed,
    values_of_another_rank,
    one_value_a_place,
    a_sum,
    a_length,
    numbers,
    written_to_something_else,
    returned,
    in_a_container,
)


@pytest.mark.parametrize("write", REFUSED, ids=lambda f: f.__name__)
def test_what_needs_the_number_of_places_is_an_error(write):
    def f(x, y, k):
        x = x * 1
        return write(x, y, k) or x

    f = ad.compile(f)
    f.warm = True  # without the call that runs as it is written
    with pytest.raises(TraceError, match=r"values of a mask|no numbers yet"):
        f(*map(ad.tensor, (X, Y, K)))


def test_a_dtype_that_does_not_fit_is_the_error_that_eager_raises():
    @ad.compile
    def f(x, k):
        x[k] += 0.5
        return x

    f.warm = True
    with pytest.raises(ad.errors.DtypeError, match="can't be cast"):
        f(ad.zeros(5, 3, dtype=ad.int64), ad.tensor(K))


def test_the_error_names_the_line_and_what_works():
    @ad.compile
    def f(x, k):
        return x[k].sum()

    f.warm = True
    with pytest.raises(TraceError) as caught:
        f(ad.tensor(X), ad.tensor(K))
    assert "return x[k].sum()" in str(caught.value)
    assert "x[mask] = y[mask]" in str(caught.value)
