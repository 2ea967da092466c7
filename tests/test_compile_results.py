"""Results that are no new tensors: a program returns the very tensor where eager does."""

import types
from collections import defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn
from adjoint.core import tree


def called(f, *args):
    """f compiled, called until it is a program; what the last call returned."""
    g = compile(f)
    for _ in range(3):
        y = g(*args)
    assert g.programs
    return y


STATE = ad.zeros(3)


def _written(x):
    return x.add_(1)


def _state(x):
    STATE.add_(x)
    return STATE


def test_an_argument_or_state_is_itself():
    x, w = ad.ones(3), ad.ones(3, requires_grad=True)
    assert called(lambda x: x, x) is x
    assert called(_written, x) is x
    assert x.tolist() == [4.0] * 3
    assert called(_state, x) is STATE
    assert STATE.tolist() == [12.0] * 3
    assert called(lambda x: STATE, x) is STATE
    assert called(lambda x: w, x) is w
    assert called(lambda x: x, w) is w
    two, here, again = called(lambda x: (x * 2, x, x), x)
    assert here is x
    assert again is x
    assert two.tolist() == [8.0] * 3


def test_each_call_returns_what_it_was_given():
    f = compile(lambda x, y: (y, x + y, x))
    for k in range(4):
        x, y = ad.full((2,), float(k)), ad.ones(2)
        first, total, last = f(x, y)
        assert first is y
        assert last is x
        assert total.tolist() == [k + 1.0] * 2


def test_one_new_tensor_returned_twice_is_one():
    def f(x):
        y = x * 2
        return {"y": y, "rest": [y, y + 1, y]}

    got = called(f, ad.ones(2))
    assert got["y"] is got["rest"][0] is got["rest"][2]
    assert got["rest"][1].tolist() == [3.0, 3.0]


VIEWS = {
    "slice": lambda x: x[1:],
    "twice": lambda x: x.reshape(2, 3)[1].unsqueeze(0),
    "transposed": lambda x: x.view(3, 2).T,
    "detached": lambda x: x.detach(),
}


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_memory(name, outside):
    x = ad.arange(6.0)
    y = called((lambda z: VIEWS[name](x)) if outside else VIEWS[name], x)
    want = VIEWS[name](x.clone())
    np.testing.assert_array_equal(y, want)
    y.fill_(9.0)
    assert (x == 9).sum() == y.numel()


def test_a_view_that_is_written():
    x = ad.arange(4.0)

    def f(x):
        y = x[1:]
        y.mul_(2)
        return y

    y = called(f, x)
    assert x.tolist() == [0.0, 8.0, 16.0, 24.0]
    y.fill_(1.0)
    assert x.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_derivatives_of_what_is_handed_on():
    w = ad.arange(3.0, requires_grad=True)
    y, view, cut = called(lambda w: (w, w[1:], w.detach()), w)
    assert y is w
    assert not cut.requires_grad
    (view * view).sum().backward()
    assert w.grad.tolist() == [0.0, 2.0, 4.0]

    def unrecorded(w):
        with ad.no_grad():
            return w[1:]

    assert not called(unrecorded, w).requires_grad
    both = called(lambda w: (w, w.sum()), w)
    assert both[0] is w
    both[1].backward()
    assert w.grad.tolist() == [1.0, 3.0, 5.0]


def _buffer():
    kept = ad.zeros(2)

    def step(c, row):
        kept.add_(row)
        return c + row, kept

    return ad.scan(step, ad.zeros(2), ad.arange(6.0).reshape(3, 2))


def _carries():
    x, y, z = ad.arange(2.0), ad.ones(2), ad.ones(2) * 5

    def swap(c, _):
        return (c[1], c[0], c[2]), c[0]

    (a, b, c), rows = ad.scan(swap, (x, y, z), length=3)
    c.add_(1)
    return a, b, c, rows, z


def _branches():
    x, y = ad.arange(2.0), ad.ones(2)
    a, b = ad.cond(x.sum() > 0, lambda x, y: (x, y + 1), lambda x, y: (x, y), x, y)
    a.add_(1)
    return a, b, x, y


def _while():
    x = ad.arange(2.0)
    n, y = ad.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1]), (ad.tensor(0), x)
    )
    y.add_(1)
    return n, y, x


@pytest.mark.parametrize("f", [_buffer, _carries, _branches, _while])
def test_loops_and_branches_hand_on_what_they_were_given(f):
    """A row is what it was after its step; what no step changes is the tensor itself."""
    for got, want in zip(called(f), f(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_what_shares_memory_with_a_state_follows_it():
    w = ad.ones(2, requires_grad=True)
    f = compile(lambda x: (w.detach() * x, w.detach()))
    for k in range(6):
        if k == 3:
            w.data = ad.tensor([5.0, 6.0])
        y, cut = f(ad.ones(2))
        assert y.tolist() == w.tolist()
        cut.fill_(float(k))
        assert w.tolist() == [float(k)] * 2


class Keeper:
    pass


def test_what_takes_the_place_of_state_is_what_is_there():
    keeper = Keeper()
    keeper.h = ad.zeros(2)

    def f(x):
        keeper.h = keeper.h + x
        return keeper.h, keeper.h * 2

    g = compile(f)
    for k in range(1, 6):
        h, double = g(ad.ones(2))
        assert h is keeper.h
        assert double.tolist() == [2.0 * k] * 2
        h.add_(0)


def test_a_gradient_is_the_one_that_is_there():
    w = ad.arange(3.0, requires_grad=True)

    def f(x, clear):
        if clear:
            w.grad = None
        (w * x).sum().backward()
        return w.grad

    g = compile(f)
    for clear, want in (
        (True, 1),
        (True, 1),
        (False, 2),
        (False, 3),
        (False, 4),
        (True, 1),
    ):
        y = g(ad.ones(3), clear)
        assert y is w.grad
        assert y.tolist() == [float(want)] * 3
    read = compile(lambda: w.grad)
    for _ in range(3):
        assert read() is w.grad
    w.grad = None
    assert read() is None


def test_a_write_into_an_argument_of_a_graph():
    f = compile(lambda x: x.mul_(2))
    for _ in range(4):
        x = ad.ones(2, requires_grad=True)
        y = x * 1
        assert f(y) is y
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("read", ["before", "after", "not"])
@pytest.mark.parametrize("view", [False, True])
def test_a_write_through_a_detached_state(view, read):
    kept = ad.arange(4.0).reshape(2, 2)
    kept = kept if view else kept.clone()

    def f():
        first = kept.sum() if read == "before" else None
        kept.detach().reshape(4).add_(1)
        return kept.sum() if read == "after" else first

    g = compile(f)
    for k in range(1, 5):
        total = g()
        assert kept.tolist() == [[k, k + 1.0], [k + 2.0, k + 3.0]]
        assert read == "not" or total.item() == 6.0 + 4 * (k - (read == "before"))


# ---------------------------------------------------------------- more than numbers


def _named(x):
    y = x * 2
    y.name = "twice"
    return y


LEAVES = {
    "leaf": lambda x: (x * 2).detach().requires_grad_(),
    "of the argument's memory": lambda x: x.detach().requires_grad_(),
    "parameter": lambda x: nn.Parameter(x * 2),
    "parameter of the argument": lambda x: nn.Parameter(x),
    "buffer": lambda x: nn.Buffer(x * 2),
    "among others": lambda x: (x + 1, nn.Parameter(x * 2), {"w": nn.Parameter(x * 3)}),
    "name": _named,
}


def _about(ys):
    ys = tree.flatten(ys)[0]
    return [(type(y), y.requires_grad, y.is_leaf, y.name, y.tolist()) for y in ys]


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("name", LEAVES)
def test_a_new_leaf_or_parameter_is_one(name, asked):
    x = ad.tensor([1.0, 2.0], requires_grad=asked)
    assert _about(called(LEAVES[name], x)) == _about(LEAVES[name](x))


def test_gradients_arrive_at_a_leaf_that_a_program_has_made():
    f = compile(lambda x: (x * 2).detach().requires_grad_())
    for _ in range(3):
        y = f(ad.tensor([1.0, 2.0]))
        y.square().sum().backward()
        assert y.grad.tolist() == [4.0, 8.0]
    assert f.programs


def _beside(x):
    y = (x * 2).detach().requires_grad_()
    return y, y * x


def _with_gradient(x):
    y = (x * 2).detach().requires_grad_()
    (y * x).sum().backward()
    return y, y.grad


def _hooked(x):
    y = (x * 2).detach().requires_grad_()
    y.register_hook(lambda g: g * 3)
    return y, x


@pytest.mark.parametrize("f", [_beside, _with_gradient, _hooked])
def test_what_hangs_on_a_new_leaf_hangs_on_it(f):
    def grads(f):
        y, z = f(ad.tensor([1.0, 2.0]))
        (z.sum() + (y * y).sum()).backward()
        return y.grad.tolist()

    fast = compile(f)
    for _ in range(3):
        assert grads(fast) == grads(f)


@dataclass(frozen=True, eq=False)
class Pair:
    first: object
    second: object = None


class Slotted:
    __slots__ = ("first",)

    def __init__(self, first):
        self.first = first


HOLDERS = {
    "dataclass": lambda x: Pair(x * 2, 3),
    "dataclass of the argument": lambda x: Pair(x),
    "namespace": lambda x: types.SimpleNamespace(first=[x + 1]),
    "slots": lambda x: Slotted(x * 2),
    "inside a tuple": lambda x: (x, {"a": Pair(x - 1)}),
    "defaultdict": lambda x: defaultdict(list, {"a": [x * 2]}),
    "deque": lambda x: deque([x, x * 2]),
    "error": lambda x: ValueError(x),
    "closure": lambda x: lambda: x * 2,
    "default": lambda x: lambda y=x * 2: y,
    "generator": lambda x: (x * k for k in range(3)),
    "map": lambda x: map(x.mul, range(3)),
    "method": lambda x: (x * 2).sum,
}


def _inside(x):
    """The numbers of all tensors that an object holds or gives."""
    if isinstance(x, ad.Tensor):
        return x.tolist()
    if isinstance(x, (types.GeneratorType, map, deque, tuple)):
        return [_inside(y) for y in x]
    if isinstance(x, dict):
        return {k: _inside(y) for k, y in x.items()}
    if isinstance(x, list):
        return [_inside(y) for y in x]
    if isinstance(x, ValueError):
        return _inside(x.args)
    if isinstance(x, Pair):
        return _inside((x.first, x.second))
    if isinstance(x, (Slotted, types.SimpleNamespace)):
        return _inside(x.first)
    return _inside(x()) if callable(x) else x


@pytest.mark.parametrize("name", HOLDERS)
def test_tensors_in_other_objects_have_numbers(name, caplog):
    """No program puts them together: the function runs as it is written."""
    f = HOLDERS[name]
    fast = compile(f)
    for k in range(4):
        x = ad.tensor([1.0, k])
        assert _inside(fast(x)) == _inside(f(x))
    assert ["with tensors in it" in r.message for r in caplog.records] == [True]


def test_an_object_that_was_there_is_itself():
    """What the program puts into it is not what it would have to be made of."""
    holder, model = types.SimpleNamespace(y=ad.zeros(2)), nn.Linear(2, 1)

    def f(x):
        holder.y = holder.y + x
        model(x).sum().backward()
        return holder, model

    for k, (a, b) in enumerate(map(compile(f), [ad.ones(2)] * 4)):
        assert a is holder and b is model
        assert holder.y.tolist() == [k + 1.0] * 2
        assert model.weight.grad.tolist() == [[k + 1.0] * 2]


def test_large_results_lie_apart_from_others_arrays_in_their_page():
    """So that no load of an argument seems to read what is stored to the result."""
    pytest.importorskip("llvmlite")
    f = compile(lambda x: x * 2 + 1)
    x = ad.ones(2**19)
    f(x)
    held = [f(x) for _ in range(3)]
    starts = {y.numpy().ctypes.data % 4096 for y in held}
    assert len({y.numpy().ctypes.data for y in held}) == 3
    assert starts == {2048}


MAKERS = {
    "iterator": lambda: iter([1, 2]),
    "zip": lambda: zip([1], [2], strict=True),
    "generator": lambda: (k for k in range(2)),
    "array": lambda: np.zeros(2),
    "view": lambda: np.zeros(3)[1:],
    "set": lambda: {1},
    "bytearray": lambda: bytearray(b"a"),
    "object": lambda: types.SimpleNamespace(kept=[]),
    "module": lambda: nn.ReLU(),
}


def _used(x):
    """What an object gives, which then gives no more, or is another."""
    if isinstance(x, np.ndarray):
        x += 1
        return x.tolist()
    if isinstance(x, (set, bytearray)):
        before = list(x)
        x.clear()
        return before
    if hasattr(x, "__next__"):
        return list(x)
    before = dict(vars(x))
    x.kept = [1]
    return before


@pytest.mark.parametrize("name", MAKERS)
def test_objects_that_each_call_makes_are_others_each_time(name, caplog):
    f = compile(lambda x: (x * 2, [MAKERS[name]()]))
    first = _used(MAKERS[name]())
    for _ in range(3):
        y, (made,) = f(ad.ones(1))
        assert y.tolist() == [2.0]
        assert _used(made) == first
    (said,) = (r.message for r in caplog.records)
    assert f"makes a {type(made).__name__} in each call and returns it" in said


THERE = {
    "array": np.zeros(2),
    "set": {1},
    "object": types.SimpleNamespace(),
    "module": nn.ReLU(),
}


@pytest.mark.parametrize("name", THERE)
def test_objects_that_were_there_are_results_of_a_program(name):
    assert called(lambda x: (x * 2, THERE[name]), ad.ones(1))[1] is THERE[name]


def test_values_that_each_call_makes_are_results_of_a_program():
    def f(x):
        k = len(x)
        new = (
            range(k),
            f"{k} rows",
            Fraction(k, 3),
            frozenset({k}),
            np.float32(k),
            x.dtype,
        )
        return x, new, slice(k), THERE["module"].forward, lambda: k, 2**70 + k

    _, new, *_ = called(f, ad.ones(2))
    assert new == (range(2), "2 rows", Fraction(2, 3), {2}, 2.0, ad.float32)


OWN = {
    "of an argument": lambda x: (x * 2).detach().requires_grad_() * x,
    "of nothing": lambda x: ad.ones(2, requires_grad=True) * x,
    "a parameter": lambda x: nn.Parameter(ad.ones(2)) * x,
    "a gradient": lambda x: ad.autograd.grad(
        (y := x.detach().requires_grad_()).pow(3).sum(), y, create_graph=True
    )[0],
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("run", [called, lambda f, x: f(x)])
def test_what_leads_to_leaves_of_the_call_alone_is_in_a_graph(name, run):
    x = ad.tensor([1.0, 2.0])
    y = run(OWN[name], x)
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn is not None
    y.sum().backward(ad.tensor(1.0))
    assert x.grad is None


def test_a_graph_of_own_leaves_is_walked_once():
    def f(x):
        y = (x * 2).detach().requires_grad_()
        return (y * y).sum(), y.sum().int(), x + 1

    for run in (called, lambda f, x: f(x)):
        y, count, rest = run(f, ad.ones(2))
        assert not count.requires_grad
        assert not rest.requires_grad
        y.backward()
        with pytest.raises(ad.errors.GradError, match="a second time"):
            y.backward()
        with ad.no_grad():
            assert not run(f, ad.ones(2))[0].requires_grad


def test_a_result_has_gradients_in_what_it_is_made_of_alone():
    def f(x, z, w):
        return (x * w).sum(), (z * z).sum(), (x + z).sum()

    g = compile(f)
    for run in (f, g, g, g):
        x, z, w = (ad.ones(3, requires_grad=True) for _ in range(3))
        one, two, _ = run(x, z, w)
        found = ad.autograd.grad(two, (x, z, w), allow_unused=True, retain_graph=True)
        assert [y is None for y in found] == [True, False, True]
        one.backward()
        assert z.grad is None
        assert x.grad.tolist() == w.grad.tolist() == [1.0] * 3


def test_gradients_of_gradients_of_some_results():
    def f(x, z):
        return (x**3).sum(), (x * z * z).sum()

    g = compile(f)
    for run in (f, g, g, g):
        x, z = ad.tensor(2.0, requires_grad=True), ad.tensor(3.0, requires_grad=True)
        one, two = run(x, z)
        (dx,) = ad.autograd.grad(one, x, create_graph=True)
        (dz,) = ad.autograd.grad(two, z, create_graph=True)
        (dx + dz).backward()
        assert (x.grad.item(), z.grad.item()) == (12 + 6, 4)


def test_a_gradient_that_was_none_is_none_after_each_call():
    w, v = ad.ones(2, requires_grad=True), nn.Parameter(ad.ones(2))
    sgd = ad.optim.SGD([v], lr=0.1)

    def f(x):
        w.grad = None
        sgd.zero_grad()
        return x * 2

    g = compile(f)
    for k in range(4):
        if k == 3:
            w.grad, v.grad = ad.ones(2), ad.ones(2)
        g(ad.ones(2))
        assert w.grad is None
        assert v.grad is None
    assert g.programs


@pytest.mark.parametrize("mine", [False, True])
def test_second_derivatives_in_what_the_call_has_written(mine):
    w = ad.tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        v = x if mine else w
        with ad.no_grad():
            v.add_(1)
        return (v**3 * x).sum()

    g, power = compile(f), 4 if mine else 3
    for k in range(4):
        with ad.no_grad():
            w.copy_(ad.tensor([1.0, 2.0 + k]))
        x = ad.tensor([1.0, 2.0 + k] if mine else [1.0, 1.0], requires_grad=True)
        v = x if mine else w
        v.grad = None
        (dv,) = ad.autograd.grad(g(x), v, create_graph=True)
        dv.sum().backward()
        want = [power * (power - 1) * n ** (power - 2) for n in (2.0, 3.0 + k)]
        assert v.grad.tolist() == want


def test_what_is_recorded_inside_is_recorded_where_nothing_else_is():
    def f(x):
        with ad.enable_grad():
            y = x * 2
        return y, x * 3

    g = compile(f)
    for run in (f, g, g, g):
        x = ad.ones(2, requires_grad=True)
        with ad.no_grad():
            y, z = run(x)
        assert y.requires_grad
        assert not z.requires_grad
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
    assert g.programs


def _with_gradient(x):
    y = x * 2
    y.grad = x * 3
    return y


def _with_attribute(x):
    y = x * 2
    y.scale = 3
    return y


def test_what_a_result_was_given_is_kept():
    given_gradient, given_attribute = compile(_with_gradient), compile(_with_attribute)
    for _ in range(3):
        assert given_gradient(ad.ones(2)).grad.tolist() == [3.0, 3.0]
        assert given_attribute(ad.ones(2)).scale == 3
