"""Products of float32 by AMX, each number in three parts: as exact as float32's own, or more."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim

pytest.importorskip("llvmlite")
from adjoint.compiler.native.llvm import machine
from adjoint.compiler.native.products import contractions, pace
from adjoint.compiler.native.products import form as form_module
from adjoint.compiler.native.products.contractions import form_of
from adjoint.compiler.native.products.form import Form
from adjoint.compiler.native.products.thirds import TINY
from test_compile_products import FORMS, LAYOUTS, agree, in_any_order, operands, run
from test_compile_products import SIZES as OTHERS

pytestmark = pytest.mark.skipif(
    machine.pairs() != "tiles", reason="this processor has no AMX, or may not use it"
)
# Rows, columns and numbers of k about the edges of tiles, lines and parts of the sum.
SIZES = [
    (128, 256, 512),
    (96, 160, 33),
    (97, 161, 640),
    (250, 70, 513),
    (129, 1030, 200),
    (700, 64, 1031),
]


def compiled(x, y):
    """The product of two arrays, which a compiled program makes of thirds."""
    f = ad.compile(lambda x, y: x @ y)
    xs = ad.tensor(x), ad.tensor(y)
    f(*xs)
    made = f(*xs).numpy()
    (product,) = f._native().part.schedule.kernels
    assert contractions.in_thirds(*product.roots)
    return made


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SMALL = form_module.SMALL


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Products in thirds whether they are worth it or not."""
    monkeypatch.setattr(form_module, "SMALL", 1e9)
    contractions._form_of.cache_clear()
    yield
    contractions._form_of.cache_clear()


@pytest.mark.parametrize("spec", LAYOUTS)
def test_sizes_about_every_edge(spec):
    sizes = [{"i": m, "j": k, "k": n} for m, n, k in (*SIZES, *OTHERS)]
    f = agree(spec, *(operands(spec, s, "float32") for s in sizes))
    kernels = f._native().part.schedule.kernels
    products = [k.roots[0] for k in kernels if k.kind == "contract"]
    forms = [form_of(o)[0] for o in products]
    assert sum(form.kind == "pairs" for form in forms) >= len(SIZES)


@pytest.mark.parametrize("spec", [*FORMS, "ibj,jkb->ikb"])
def test_more_dims(spec):
    sizes = dict(zip("abcdhijkl", (34, 3, 40, 37, 2, 70, 65, 50, 2), strict=True))
    f = agree(spec, operands(spec, sizes, "float32"))
    assert f._native()


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("size", [(130, 500, 400), (715, 100, 1100), (90, 2100, 64)])
@pytest.mark.parametrize("count", [1, 3])
def test_tasks_in_any_order_give_the_same_bits(layout, size, count):
    form = in_any_order(layout, size, count, np.float32, near=1e-4, by="thirds")
    assert form.kind == "pairs" and form.tasks > 1


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("size", [(1030, 128, 512), (130, 1030, 500)])
def test_what_a_worker_packs_once_serves_all_of_its_tasks(layout, size):
    """Panels of all columns; lines of all rows."""
    form = in_any_order(layout, size, 1, np.float32, near=1e-4, by="thirds")
    assert form.tasks > 1 and form.stays(*form.grid[:2])
    assert form.descends == (size[0] < size[1])


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize(
    "size", [(200, 330, 417), (330, 200, 417), (70, 1030, 1026), (700, 64, 96)]
)
def test_what_is_cut_beside_products_has_the_same_bits(monkeypatch, layout, size):
    """Also where the last of k, behind which there are no zeros then, are not finite."""
    m, n, k = size
    steps = (
        (k, 1) if layout[0] == "n" else (1, m),
        (n, 1) if layout[1] == "n" else (1, k),
    )
    form = Form(m, n, k, *steps, n, (), (), 4, by="thirds")
    x, y = normal(k * m), normal(k * n, seed=1)
    b = np.lib.stride_tricks.as_strided(y, (k, n), [4 * step for step in steps[1]])
    b[-1, n // 2], b[-2, n - 3] = np.inf, np.nan
    found = []
    for most in form_module.MOST, dict.fromkeys(form_module.MOST, 0):
        monkeypatch.setattr(form_module, "MOST", most)
        made = np.full((m, n), np.nan, np.float32)
        run(form, (x, y, made), [(0, form.tasks)])
        found.append(made)
        beside = form.beside_panels if form.descends else form.beside_rows
    assert beside is None
    assert np.array_equal(*found, equal_nan=True)
    assert np.isfinite(found[0]).sum() == m * (n - 2)


@pytest.mark.parametrize("layout", ["tn", "tt"])
@pytest.mark.parametrize("size", [(330, 1500, 600), (715, 200, 1100), (715, 900, 64)])
@pytest.mark.parametrize("most", [2**16, 2**20])
def test_columns_that_are_cut_once_give_the_same_bits(monkeypatch, layout, size, most):
    """All at once, or those of some rows."""
    monkeypatch.setattr(form_module, "cache", lambda level: 2**18)
    monkeypatch.setattr(form_module, "OFTEN", 1)
    monkeypatch.setattr(form_module, "KEPT", most)
    form = in_any_order(layout, size, 1, np.float32, near=1e-4, by="thirds")
    assert form.kept and form.n > form.fitting


def test_small_products_are_not_cut(monkeypatch):
    monkeypatch.setattr(form_module, "SMALL", SMALL)
    sizes = [(32, 512, 128), (64, 64, 64), (1024, 10, 512), (10, 1024, 512)]
    forms = [
        Form(m, n, k, (k, 1), (n, 1), n, (), (), 4, by="thirds") for m, n, k in sizes
    ]
    assert "pairs" not in {form.kind for form in forms}


def test_both_ways_through_a_block_are_tested():
    forms = [
        Form(m, n, k, (k, 1), (n, 1), n, (), (), 4, by="thirds") for m, n, k in SIZES
    ]
    assert {form.descends for form in forms} == {True, False}


def test_sums_are_closer_than_those_of_float32():
    x, y = normal(300, 700), normal(700, 260, seed=1)
    want = x.astype(float) @ y.astype(float)
    ours, others = (abs(z - want).mean() for z in (compiled(x, y), x @ y))
    assert ours < others


@pytest.mark.parametrize("scale", [2.0**-70, 2.0**-96, 2.0**-107, 2.0**100])
def test_large_and_tiny_numbers_keep_their_digits(scale):
    x, y = normal(128, 256) * np.float32(scale), normal(256, 128, seed=1)
    want = x.astype(float) @ y.astype(float)
    bound = 2.0**-22 * (abs(x).astype(float) @ abs(y).astype(float))
    assert (abs(compiled(x, y) - want) <= bound).all()


def test_products_of_tiny_numbers_are_denormal_numbers():
    x, y = normal(128, 256) * np.float32(1e-20), normal(256, 128) * np.float32(1e-21)
    want = x.astype(float) @ y.astype(float)
    assert (abs(compiled(x, y) - want) <= 2.0**-149 * 256).all()
    assert abs(want).max() < 2.0**-126


def test_a_tile_that_is_computed_again_leaves_its_neighbours():
    """Sums below the bound that others are not near."""
    x, y = normal(128, 256), normal(256, 128, seed=1)
    x[40], y[:, 3] = x[40] * np.float32(TINY / 4096), 0
    want = x.astype(float) @ y.astype(float)
    made = compiled(x, y)
    assert (abs(made - want) <= 2.0**-22 * (abs(x).astype(float) @ abs(y))).all()
    assert not made[:, 3].any()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3.4e38])
def test_numbers_that_are_not_finite_stay_in_their_row(value):
    x, y = normal(128, 256), normal(256, 160, seed=1)
    x[5, 77], y[77] = value, abs(y[77])
    with np.errstate(all="ignore"):
        want = x @ y
    made = compiled(x, y)
    rest = np.arange(128) != 5
    assert np.array_equal(made[5], want[5], equal_nan=True) or value == 3.4e38
    assert np.allclose(made[rest], want[rest], atol=1e-4)
    assert np.allclose(made[5], want[5], rtol=1e-5, equal_nan=True)


def test_infinities_of_both_operands():
    x, y = np.zeros((64, 128), np.float32), np.ones((128, 96), np.float32)
    x[3, 9], x[4, 9], y[9, 50], y[100, 2] = np.inf, -1, np.inf, np.nan
    with np.errstate(invalid="ignore"):
        want = x @ y
    assert np.array_equal(compiled(x, y), want, equal_nan=True)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_zeros(which):
    x, y = normal(128, 256), normal(256, 96)
    if which == 2:  # neither is zero, but where the other is
        x[:, :128], y[128:] = 0, 0
    else:
        (x, y)[which][:] = 0
    assert not compiled(x, y).any()


def test_every_bit_of_a_number_is_seen():
    """x 1 is x, for numbers of all bits and sizes; only those below 2^-110 lose digits."""
    bits = np.random.default_rng(0).integers(0, 2**32, (128, 256), np.uint32)
    x = bits.view(np.float32)
    x = np.where(np.isfinite(x) & (abs(x) >= 2.0**-100), x, 1).astype(np.float32)
    for place in range(2):
        xs = [x, np.eye(256, dtype=np.float32)]
        if place:
            xs = [np.eye(128, dtype=np.float32), x]
        assert np.array_equal(compiled(*xs), x)


def test_threads_and_runs_give_the_same_bits():
    x, t = ad.tensor(normal(192, 256)), ad.tensor(normal(192, 128))
    before, made = ad.get_num_threads(), []
    try:
        for count in (1, 2, 4, 1):
            ad.set_num_threads(count)
            made.append(_trained(x, t))
    finally:
        ad.set_num_threads(before)
    for other in made[1:]:
        assert all(map(np.array_equal, made[0], other))


def _trained(x, t):
    """Losses and parameters after some compiled steps."""
    ad.manual_seed(1)
    net = nn.Sequential(nn.Linear(256, 384), nn.GELU(), nn.Linear(384, 128))
    opt = optim.Adam(net.parameters(), lr=1e-3)

    @ad.compile
    def step(x, t):
        opt.zero_grad()
        loss = ((net(x) - t) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    losses = [step(x, t).detach().numpy() for _ in range(6)]
    return [*losses[1:], *(p.detach().numpy().copy() for p in net.parameters())]


def test_causal_attention():
    """Products whose sums end inside of a tile's line of k."""
    shape = 1, 2, 384, 96
    q, k, v = (ad.tensor(normal(*shape, seed=i), requires_grad=True) for i in range(3))

    def f(q, k, v):
        attend = nn.functional.scaled_dot_product_attention
        return (attend(q, k, v, is_causal=True) ** 2).sum()

    want = ad.grad(f, argnums=(0, 1, 2))(q, k, v)
    g = ad.compile(ad.grad(f, argnums=(0, 1, 2)))
    g(q, k, v)
    for x, y in zip(g(q, k, v), want, strict=True):
        assert np.allclose(x.detach().numpy(), y.detach().numpy(), atol=1e-4)


def test_their_peak_is_known():
    assert 0 < pace.pace("thirds") < pace.pace("tiles")
