"""The tape as a list: names, order, what is kept, values, adjoints, and its limits."""

import math

import numpy as np
import pytest

import adjoint as ad
from adjoint.autodiff.hooks import saved_tensors_hooks
from adjoint.core.dtype import is_inexact
from adjoint.core.primitive import op
from adjoint.func import grad, jvp, vmap

RNG = np.random.default_rng(1)


def smooth(prim):
    """Whether there is a sample, of which something has a derivative."""
    args = [a for args, _ in prim.samples(RNG)[:1] for a in args]
    return any(is_inexact(np.asarray(a).dtype) for a in args)


RECORDS = [p for p in op if p.differentiable and p.samples and smooth(p)]


def leaf(x, name=None):
    x = ad.tensor(x, requires_grad=True)
    x.name = name
    return x


def two():
    x1, x2 = leaf(2.0, "x1"), leaf(1.0, "x2")
    return x1, x2, ad.log(x1 * x2) + x1


def lines(text):
    return [" ".join(line.split()) for line in str(text).splitlines()]


# ---------------------------------------------------------------- what is listed


def test_operations_in_the_order_in_which_they_ran():
    _, _, z = two()
    listing = ad.tape(z)
    assert [e.name for e in listing] == ["z1", "z2", "z3"]
    assert [e.op for e in listing] == ["mul", "log", "add"]
    assert [e.inputs for e in listing] == [("x1", "x2"), ("z1",), ("z2", "x1")]
    assert [e.saved for e in listing] == [("x1", "x2"), ("z1",), ()]
    assert [e.number for e in listing] == [1, 2, 3]
    assert [e.name for e in listing.leaves] == ["x1", "x2"]
    assert [e.op for e in listing.leaves] == ["leaf", "leaf"]
    assert len(listing) == 3 and listing[0] == listing["z1"]
    assert listing["x2"] == listing.leaves[1]
    assert not listing.freed


def test_it_prints_as_a_table():
    _, _, z = two()
    got = lines(ad.tape(z))
    assert got[:4] == [
        "tape of z3: 3 operations, 2 leaves",
        "operation type saves line",
        "x1 float32[]",
        "x2 float32[]",
    ]
    source = "x1, x2, ad.log(x1 * x2) + x1"
    assert got[4].startswith("1 z1 = x1 * x2 float32[] x1, x2 test_listing.py:")
    assert got[4].endswith(source)
    assert "source" not in ad.tape(z).show(lines=False)


def test_the_site_is_the_users_line():
    _, _, z = two()
    file, line, source = ad.tape(z)[1].site
    assert file == __file__ and line > 0 and source.startswith("return x1, x2, ad.log")


def test_names():
    a, b = leaf(1.0), leaf(2.0)
    c, d = leaf(3.0, "w"), leaf(4.0, "w")
    y = a * b + c * d
    y.name = "loss"
    listing = ad.tape(y)
    assert [e.name for e in listing.leaves] == ["leaf1", "leaf2", "w", "w_"]
    assert listing[-1].name == "loss" == listing["loss"].name
    with pytest.raises(ValueError, match="nothing here is called 'v'"):
        listing["v"]


def test_constants_that_no_rule_reads_are_not_kept():
    x = leaf([1.0, 2.0], "x")
    w = ad.tensor([3.0, 4.0])
    assert ad.tape(x + 5)[0].expression == "x + _"
    assert ad.tape(x * 5)[0].expression == "x * 5"
    assert ad.tape(x * w)[0].expression == "x * float32[2]"
    assert ad.tape(x.sum(0))[0].expression == "sum(x, dim=(0,), keepdim=False)"
    many = ad.stack([x] * 9)
    assert ad.tape(many)[0].expression == "stack(x, x, x, ..., x, x, x, dim=0)"


def test_shapes_and_dtypes():
    x = leaf([[1.0, 2.0, 3.0]], "x")
    y = (x.exp() + 1).T.to(ad.float64)
    shapes = [(e.op, e.shape, e.dtype) for e in ad.tape(y)]
    assert shapes == [
        ("exp", (1, 3), ad.float32),
        ("add", (1, 3), ad.float32),
        ("permute", (3, 1), ad.float32),
        ("cast", (3, 1), ad.float64),
    ]
    del x
    assert ad.tape(y).leaves[0].shape == (1, 3)


def test_a_leaf_alone_and_several_results():
    x = leaf(2.0, "x")
    assert lines(ad.tape(x))[0] == "tape of x: 0 operations, 1 leaf"
    listing = ad.tape(x * 3, x * x)
    assert lines(listing)[0] == "tape of z1, z2: 2 operations, 1 leaf"
    assert listing["x"].grad.item() == 7


def test_operations_with_several_results():
    x = leaf([[2.0, 0.0], [0.0, 4.0]], "x")
    _, log = op.slogdet(x)
    y = log * 3
    first = ad.tape(y)[0]
    assert (first.name, first.op, first.number) == ("_, z1", "slogdet", 1)
    assert first.value[1].item() == pytest.approx(math.log(8))
    assert first.grad[0] is None and first.grad[1].item() == 3
    assert ad.tape(y)["z1"].number == 1
    got = lines(ad.tape(y).show(values=True, grads=True))
    assert got[-1] == "1 ðx += ð(_, z1) · ∂(_, z1)/∂x # = [1.5, 0, 0, 0.75]"


def test_what_has_no_tape():
    with pytest.raises(RuntimeError, match="does not require grad"):
        ad.tape(ad.tensor(1.0))
    with pytest.raises(TypeError, match="must be a Tensor"):
        ad.tape(3)
    with pytest.raises(ValueError, match="one result at least"):
        ad.tape()


# ---------------------------------------------------------------- values and adjoints


def test_values_adjoints_and_partials():
    x1, x2, z = two()
    listing = ad.tape(z)
    assert [e.value.item() for e in listing] == pytest.approx(
        [2, math.log(2), 2 + math.log(2)]
    )
    assert [e.grad.item() for e in listing] == [0.5, 1, 1]
    assert [e.grad.item() for e in listing.leaves] == [1.5, 1]
    (name, p), (_, q) = listing.partials(listing[0])
    assert (name, float(p), float(q)) == ("x1", 1, 2)
    assert x1.grad is None and x2.grad is None


def test_the_order_of_accumulation():
    _, _, z = two()
    text = ad.tape(z).show(values=True, grads=True)
    assert lines(text)[lines(text).index("reverse:") :] == [
        "reverse:",
        "ðz3 = 1",
        "3 ðz2 += ðz3 · ∂z3/∂z2 # = 1",
        "3 ðx1 += ðz3 · ∂z3/∂x1 # = 1",
        "2 ðz1 += ðz2 · ∂z2/∂z1 # = 0.5",
        "1 ðx1 += ðz1 · ∂z1/∂x1 # + 0.5 = 1.5",
        "1 ðx2 += ðz1 · ∂z1/∂x2 # = 1",
    ]
    assert "2 z2 = log(z1) float32[] z1 0.693147 1 ∂z2/∂z1 = 0.5" in lines(text)


def test_nothing_of_the_users_is_touched():
    x = leaf([1.0, 2.0])
    called = []
    y = x * x
    y.retain_grad()
    y.register_hook(called.append)
    x.register_hook(called.append)
    z = y.sum()
    ad.tape(z).show(values=True, grads=True)
    assert not called and x.grad is None and y.grad is None
    z.backward()
    assert x.grad.tolist() == [2, 4] and y.grad.tolist() == [1, 1]


def test_adjoints_are_what_backward_gives():
    rng = np.random.default_rng(0)
    w, x = leaf(rng.normal(size=(3, 2)), "W"), leaf(rng.normal(size=2), "x")
    b = leaf(rng.normal(size=3), "b")
    hidden = ad.tanh(w @ x + b)
    loss = (ad.softmax(hidden, 0) * hidden).sum()
    listing = ad.tape(loss)
    kept = {e.name: e.grad.numpy() for e in listing.leaves}
    inner = listing["z3"].grad.numpy()
    hidden.retain_grad()
    loss.backward()
    for t in (w, x, b):
        np.testing.assert_allclose(kept[t.name], t.grad.numpy(), rtol=1e-6)
    np.testing.assert_allclose(inner, hidden.grad.numpy(), rtol=1e-6)
    assert ".grad" in lines(listing)[1]


def test_a_result_that_is_no_scalar_starts_from_ones():
    x = leaf([1.0, 2.0], "x")
    text = ad.tape(x * x).show(grads=True)
    assert "ðz1 = ones float32[2]" in lines(text)
    assert ad.tape(x * x)["x"].grad.tolist() == [2, 4]


def test_values_that_were_not_kept_are_computed_again():
    x = leaf([1.0, 4.0], "x")
    listing = ad.tape((x + x).sum() * 2)
    assert [e.value.tolist() for e in listing] == [[2, 8], 10, 20]
    lost = ad.tape(((x + 5) + x).sum())
    assert lost[0].value is None and lost[1].value is None
    assert lost[2].value.item() == 20
    assert lines(lost.show(values=True))[3] == "1 z1 = x + _ float32[2] - -"


# ---------------------------------------------------------------- limits


def test_a_freed_graph_says_so():
    x1, _, z = two()
    z.backward()
    listing = ad.tape(z)
    assert listing.freed and listing[1].freed and listing[1].saved == ()
    text = lines(listing)
    assert text[0].endswith("freed by backward (retain_graph=True keeps it)")
    assert "float32[] freed" in text[5]
    text = lines(listing.show(values=True, grads=True))
    assert text[-1].startswith("stopped: Trying to backward through the graph a second")
    assert listing["x1"].grad.item() == 1  # as far as the sweep came
    assert x1.grad.item() == 1.5


def test_retained_graphs_are_listed_again():
    x1, _, z = two()
    z.backward(retain_graph=True)
    assert not ad.tape(z).freed
    assert ad.tape(z)["x1"].grad.item() == 1.5 == x1.grad.item()
    assert lines(ad.tape(z))[2] == "x1 float32[] 1.5"


def test_writes_and_views():
    x = leaf([1.0, 2.0, 3.0], "x")
    y = x * 1.0
    part = y[1:]
    part.mul_(10)
    z = (y * y).sum() + part.sum()
    listing = ad.tape(z)
    assert "overwrite" in [e.op for e in listing]
    assert listing["x"].grad.tolist() == [2, 2 * 200 + 10, 2 * 300 + 10]
    text = ad.tape(z).show()
    assert "overwrite(z1" in text and "chain=((slice" in text


def test_saved_values_that_were_overwritten():
    x = leaf([1.0, 2.0], "x")
    y = x * 1.0
    z = (y * y).sum()
    with ad.no_grad():
        y.zero_()
    listing = ad.tape(z)
    assert listing[1].saved == ("z1 (overwritten)",) * 2
    assert listing[0].value.tolist() == [1, 2]  # computed again, not read from y
    assert listing["x"].grad is None
    assert "modified by an inplace" in str(listing.adjoints.stopped)


def test_packed_values():
    x = leaf(3.0, "x")
    with saved_tensors_hooks(lambda t: t.detach().numpy(), ad.tensor):
        y = x.exp() * x
    assert ad.tape(y)[1].saved == ("z1 (packed)", "x (packed)")
    assert ad.tape(y)["x"].grad.item() == pytest.approx(4 * math.exp(3))


def test_inside_transforms():
    seen = []

    def f(x):
        y = x * x.sin()
        seen.append(ad.tape(y))
        return y

    x = ad.tensor(0.5)
    grad(f)(x)
    assert [e.op for e in seen[-1]] == ["sin", "mul"]
    want = math.sin(0.5) + 0.5 * math.cos(0.5)
    assert seen[-1].leaves[0].grad.item() == pytest.approx(want)
    vmap(grad(f))(ad.tensor([0.5, 1.0]))
    assert "[0.5, 1]" in seen[-1].show(values=True)
    w = leaf(2.0, "w")
    jvp(lambda x: f(x * w), (x,), (x,))
    assert [e.op for e in seen[-1]] == ["mul", "sin", "mul"]


def test_a_long_tape_prints_its_ends():
    y = x = leaf(0.5, "x")
    for _ in range(100_000):
        y = y * 1.00001
    listing = ad.tape(y)
    text = lines(listing)
    assert len(text) == 3 + 7 and text[6] == "... 99994 more"
    assert text[-1].startswith("100000 z100000 = z99999 * 1.00001")
    text = lines(listing.show(values=True, grads=True))
    assert len(text) < 25 and text.count("... 99994 more") == 2
    assert listing["x"].grad.item() == pytest.approx(math.e, rel=1e-2)
    assert x.grad is None


# ---------------------------------------------------------------- every record


@pytest.mark.parametrize("prim", RECORDS, ids=lambda p: p.name)
def test_every_operation_can_be_listed(prim):
    args, params = prim.samples(np.random.default_rng(1))[0]
    xs = [ad.tensor(np.array(a)) for a in args]
    leaves = [x.requires_grad_() for x in xs if is_inexact(x.numpy().dtype)]
    ys = prim(*[x * 1 if x.requires_grad else x for x in xs], **params)
    ys = ys if isinstance(ys, tuple) else (ys,)
    ys = [y for y in ys if y.requires_grad]
    listing = ad.tape(*ys)
    text = listing.show(values=True, grads=True, lines=True)
    assert prim.name in [e.op for e in listing] and len(text.splitlines()) > 5
    want = ad.autograd.grad(
        ys, leaves, [ad.ones_like(y) for y in ys], allow_unused=True
    )
    found = {e.node: e.grad for e in listing.leaves}
    for x, g in zip(leaves, want, strict=True):
        mine = found.get(x.node)
        assert (mine is None) == (g is None)
        if g is not None:
            np.testing.assert_allclose(mine.numpy(), g.numpy(), rtol=1e-12)
