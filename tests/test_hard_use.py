"""What a user may do without thinking: each gives PyTorch's answer or an error of ours."""

import enum
import operator
import re

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import AdjointError


@pytest.mark.parametrize("other", [None, "a", {}, [1.0, 1.0], object])
def test_a_tensor_equals_nothing_that_is_no_number(other):
    x = ad.ones(2)
    assert (x == other) is False
    assert (other == x) is False
    assert (x != other) is True


def test_comparison_with_numbers_and_arrays_is_elementwise():
    x = ad.tensor([1.0, 2.0])
    for other in (1, 1.0, True, np.float32(1), np.array([1.0, 3.0]), ad.ones(2)):
        assert (x == other).tolist() == [True, False]
        assert (x != other).tolist() == [False, True]


class Level(enum.IntEnum):
    HIGH = 3


class Metres(float):
    pass


@pytest.mark.parametrize(("n", "plain"), [(Level.HIGH, 3), (Metres(3), 3.0)])
@pytest.mark.parametrize("name", ["add", "sub", "truediv", "floordiv", "pow", "lt"])
def test_numbers_of_classes_of_ones_own_are_numbers(name, n, plain):
    f = getattr(operator, name)
    for x in (ad.tensor([1.0, 2.0]), ad.tensor([1, 2])):
        for y, want in (f(x, n), f(x, plain)), (f(n, x), f(plain, x)):
            assert y.dtype == want.dtype and y.tolist() == want.tolist()


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "floor_divide"])
def test_functions_of_plain_numbers_give_tensors(name):
    y = getattr(ad, name)(6, 4)
    assert isinstance(y, ad.Tensor)
    expected = {"add": 10, "sub": 2, "mul": 24, "div": 1.5, "floor_divide": 1}
    assert y.item() == expected[name]


@pytest.mark.parametrize("f", [operator.mod, operator.floordiv, ad.fmod])
@pytest.mark.parametrize("d", [ad.int64, ad.uint8, ad.int8])
def test_whole_numbers_are_not_divided_by_zero(f, d):
    a, b = ad.tensor([7, 6], dtype=d), ad.tensor([2, 0], dtype=d)
    with pytest.raises(RuntimeError, match="division by zero"):
        f(a, b)
    with pytest.raises(RuntimeError, match="division by zero"):
        f(a, 0)
    assert f(a, ad.tensor([2, 4], dtype=d)).tolist() in ([1, 2], [3, 1])
    assert f(a.double(), b.double())[0].item() == f(7, 2)
    with pytest.raises(RuntimeError, match="division by zero"):
        ad.vmap(f)(a, b)


def test_division_rounded_to_zero_has_no_zero_divisor():
    with pytest.raises(RuntimeError, match="division by zero"):
        ad.div(ad.tensor([1]), ad.tensor([0]), rounding_mode="trunc")


@pytest.mark.parametrize("name", ["sum", "nansum", "prod"])
@pytest.mark.parametrize("d", ["bool", "int8", "int32", "int64", "float64"])
def test_reductions_answer_in_the_dtype_asked_for(name, d):
    for x in (ad.tensor([[1, 2], [3, 4]]), ad.tensor([[1.0, 2.0], [3.0, 4.0]])):
        for dim in (None, 1):
            y = getattr(ad, name)(x, dim, dtype=getattr(ad, d))
            assert y.dtype is getattr(ad, d)


def test_asarray_keeps_the_graph_and_takes_the_dtype():
    x = ad.ones(2, requires_grad=True)
    assert ad.asarray(x) is x
    assert not ad.asarray(x, requires_grad=False).requires_grad
    assert ad.asarray(ad.ones(2), dtype=ad.float64).dtype is ad.float64
    (3 * ad.asarray(x, dtype=ad.float64)).sum().backward()
    (4 * ad.asarray(2 * x, copy=True)).sum().backward()
    assert x.grad.tolist() == [11.0, 11.0]
    copy = ad.asarray(x, copy=True).detach()
    copy[0] = 5.0
    assert x.tolist() == [1.0, 1.0]
    with pytest.raises(AdjointError):
        ad.asarray(ad.ones(2), dtype=ad.float64, copy=False)


BAD = {
    "size": lambda: ad.ones(2, 3).size(-3),
    "stride": lambda: ad.ones(2, 3).stride(2),
    "data": lambda: setattr(ad.ones(2), "data", np.ones(2)),
    "huge": lambda: ad.zeros(2**40, 2**40),
    "large": lambda: ad.ones(2**45),
    "full": lambda: ad.full((2**62,), 1.0),
    "equal": lambda: ad.equal(ad.ones(2), 1.0),
    "second": lambda: ad.second_derivative(lambda x: x)("a"),
    "derivative": lambda: ad.derivative(lambda x: x)(2.0),
    "repeat_interleave": lambda: ad.tensor(1.0).repeat_interleave(2, dim=0),
    "split_with_sizes": lambda: ad.ones(3).split_with_sizes(2),
    "lu_unpack": lambda: ad.lu_unpack(ad.ones(3), ad.ones(3)),
    "cholesky_solve": lambda: ad.cholesky_solve(ad.ones(2), ad.tensor(1.0)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_an_error_of_ours_at_the_line(name):
    with pytest.raises(AdjointError) as caught:
        BAD[name]()
    assert re.search(r"in test_hard_use\.py:\d+", str(caught.value))


@pytest.mark.parametrize("key", [..., None, (), True, (None, ...)])
@pytest.mark.parametrize("value", [7.0, ad.tensor(7.0)])
def test_a_number_that_is_overwritten_has_no_share_in_the_gradient(key, value):
    x = ad.tensor(2.0, requires_grad=True)
    y = x * 1
    y[key] = value
    (y * 3).sum().backward()
    assert y.item() == 7.0 and x.grad.item() == 0.0


def test_a_write_through_views_of_one_element():
    x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = ad.tensor(5.0, requires_grad=True)
    y = x * 1
    v = y[1][None].reshape(1, 1)
    v *= w
    v[0, 0] += w
    (y * y).sum().backward()
    assert y.tolist() == [1.0, 15.0, 3.0]
    assert x.grad.tolist() == [2.0, 150.0, 6.0] and w.grad.item() == 90.0


def _in_place(p, x):
    z = x * 1
    z.t()[1].mul_(p[0])
    z.view(-1)[2:4] += p[1, :2]
    z.mul_(p).add_(x)
    return (z * z).sin()


def test_a_checkpointed_part_may_write_in_place():
    p = ad.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], requires_grad=True)
    x = ad.tensor([[0.3, 0.2, 0.1], [-0.4, 0.5, 0.7], [1, -1, 2]], requires_grad=True)
    expected = ad.autograd.grad(_in_place(p, x).sum(), (p, x))
    again = ad.utils.checkpoint.checkpoint(_in_place, p, x, use_reentrant=False)
    for g, h in zip(ad.autograd.grad(again.sum(), (p, x)), expected, strict=True):
        assert ad.equal(g, h)


@pytest.mark.parametrize("outer", [ad.grad, ad.jacrev, lambda f: ad.grad(ad.grad(f))])
def test_a_checkpointed_part_may_write_in_place_under_a_transform(outer):
    def part(x):
        z = x.sin()
        z.mul_(x.cos())
        return z * x

    x = ad.tensor(0.3, dtype=ad.float64)
    got = outer(lambda x: ad.checkpoint(part, x))(x)
    assert ad.allclose(got, outer(part)(x))


def test_hooks_of_saved_tensors_get_what_was_there_before_a_write():
    p = ad.tensor([1.0, 2.0], requires_grad=True)
    with ad.autograd.graph.saved_tensors_hooks(lambda x: x.detach(), lambda x: x):
        z = p * 2
        z.mul_(p)
    z.sum().backward()
    assert p.grad.tolist() == [4.0, 8.0]


def test_a_checkpointed_part_that_spoils_what_it_saved_says_so():
    def spoiling(p):
        z = p * 2
        w = z * p
        z.add_(1)
        return w.sin().exp().sum()

    p = ad.tensor([1.0, 2.0], requires_grad=True)
    y = ad.utils.checkpoint.checkpoint(spoiling, p, use_reentrant=False)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()


def test_writes_in_place_within_nested_transforms():
    def f(p):
        z = p * 1
        z.t()[1].mul_(p[0])
        z.mul_(p).mul_(p)
        return (z * p).sum()

    def g(p):
        z = ad.cat([p[:, :1], p[:, 1:2] * p[:1].t(), p[:, 2:]], 1)
        return (z * p * p * p).sum()

    p, t = ad.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]), ad.ones(3, 3)
    for transform in (ad.func.hessian, ad.func.grad):
        assert ad.allclose(transform(f)(p), transform(g)(p))
    assert ad.allclose(
        ad.func.jvp(ad.func.grad(f), (p,), (t,))[1],
        ad.func.jvp(ad.func.grad(g), (p,), (t,))[1],
    )
    batch = ad.stack([p, p + 1])
    assert ad.allclose(ad.vmap(ad.func.grad(f))(batch), ad.vmap(ad.func.grad(g))(batch))


def test_programs_that_ask_for_an_accelerator_stay_on_the_cpu():
    assert not ad.accelerator.is_available()
    assert ad.accelerator.current_accelerator() is None
    assert ad.accelerator.device_count() == 0


def _with(x, write):
    y = x.clone()
    write(y)
    return y


TOO_LARGE = {
    "mul": lambda x: x * 1e300,
    "add": lambda x: x + 1e300,
    "a number of NumPy": lambda x: x * np.float64(1e300),
    "compare": lambda x: ad.where(x < 1e300, 1e300, x),
    "lerp": lambda x: x.lerp(x * 2, 1e300),
    "masked_fill": lambda x: x.masked_fill(x > 0, 1e300),
    "index_fill": lambda x: x.index_fill(0, ad.tensor([0, 1]), 1e300),
    "full_like": lambda x: ad.full_like(x, 1e300),
    "pad": lambda x: ad.nn.functional.pad(x, (0, 1), value=1e300)[2:],
    "nan_to_num": lambda x: (x * float("nan")).nan_to_num(1e300),
    "item": lambda x: _with(x, lambda y: y.__setitem__(slice(None), 1e300)),
    "fill": lambda x: _with(x, lambda y: y.fill_(1e300)),
    "linspace": lambda x: ad.linspace(1e299, 1e300, 2, dtype=x.dtype),
}


@pytest.mark.parametrize("d", [ad.float32, ad.float16])
@pytest.mark.parametrize("name", TOO_LARGE)
def test_numbers_that_are_too_large_are_infinite_without_a_warning(name, d):
    f, x = TOO_LARGE[name], ad.ones(2, dtype=d)
    for g in (f, ad.compile(f), ad.compile(f, backend="numpy")):
        for _ in range(2):
            assert set(g(x).tolist()) == {float("inf")}
