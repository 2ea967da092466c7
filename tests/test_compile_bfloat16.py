"""Products of floats of two bytes in compiled programs: all layouts and sizes, by each of the ways
in which a processor may multiply bfloat16."""

import functools
import operator

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.core.primitive import op

pytest.importorskip("llvmlite")
pytest.importorskip("ml_dtypes")
import ml_dtypes

import test_compile_products
from adjoint.compiler import limits
from adjoint.compiler.native import digest as digest_module
from adjoint.compiler.native.llvm import machine
from adjoint.compiler.native.products import form as form_module
from adjoint.compiler.native.products.contractions import form_of
from adjoint.compiler.native.products.deep import deep
from adjoint.compiler.native.products.form import Form
from test_compile_products import LAYOUTS, in_any_order, operands, run, sizes_of

BRAIN, HALF, SINGLE = np.dtype(ml_dtypes.bfloat16), np.dtype("f2"), np.dtype("f4")
SIZES = [
    (1, 1, 1),
    (5, 16, 16),
    (5, 16, 15),
    (7, 50, 17),
    (8, 48, 32),
    (9, 47, 33),
    (32, 32, 64),
    (33, 65, 31),
    (31, 33, 511),
    (64, 96, 512),
    (65, 97, 513),
    (1, 100, 70),
    (3, 33, 40),
    (4, 16, 17),
    (5, 20, 600),
    (100, 1, 60),
    (130, 10, 7),
    (300, 500, 1027),
    (70, 1100, 40),
    (2, 3, 5000),
    (3, 5, 0),
    (2, 0, 3),
]
FORMS = {
    "bij,bjk->bik": ((3, 9, 20), (3, 20, 7)),
    "bij,bkj->bik": ((3, 70, 33), (3, 60, 33)),
    "bihd,bjhd->bhij": ((2, 8, 3, 16), (2, 9, 3, 16)),
    "bhij,bjhd->bihd": ((2, 3, 8, 19), (2, 19, 3, 4)),
    "bhij,bihd->bjhd": ((2, 3, 18, 9), (2, 18, 3, 4)),
    "i,i->": ((100,), (100,)),
    "i,j->ij": ((5,), (6,)),
    "ijl,ljk->ik": ((20, 17, 3), (3, 17, 40)),
    "ij,jk->k": ((2, 3), (3, 4)),
    "ab,cd->ac": ((2, 3), (4, 5)),
    "bij,bj->bi": ((3, 40, 33), (3, 33)),
}
HERE = machine.pairs()  # which asks the system, where there is AMX
MAY = {
    "": True,
    "vectors": machine.vector_bits() == 512 and machine.has("avx512bf16"),
    "tiles": HERE == "tiles",
}
needs_mine = pytest.mark.skipif(not HERE, reason="nothing here multiplies pairs")


@pytest.fixture(params=list(MAY))
def by(request, monkeypatch):
    """Each way of multiplying bfloat16 that this processor has."""
    if not MAY[request.param]:
        pytest.skip(
            f"this processor, or its system, has no {request.param} of bfloat16"
        )
    monkeypatch.setattr(machine, "pairs", lambda: request.param)
    return request.param


def widened(x):
    return op.cast(x, dtype=SINGLE)


def product(x, y):
    """x y by a compiled function, its first call apart, which may be NumPy's."""
    f, x, y = ad.compile(lambda x, y: x @ y), ad.tensor(x), ad.tensor(y)
    f(x, y)
    return f(x, y).float().numpy()


# Sums in float32 of widened numbers.
agree = functools.partial(test_compile_products.agree, read=widened, made=SINGLE)


@pytest.mark.parametrize("spec", LAYOUTS)
def test_sizes_about_every_edge(spec, by):
    sizes = [{"i": m, "j": k, "k": n} for m, n, k in SIZES]
    agree(spec, *(operands(spec, s, BRAIN) for s in sizes))


@pytest.mark.parametrize("spec", LAYOUTS)
def test_sizes_about_every_edge_of_float16(spec):
    sizes = [{"i": m, "j": k, "k": n} for m, n, k in SIZES]
    agree(spec, *(operands(spec, s, HALF) for s in sizes))


@pytest.mark.parametrize("kinds", [(BRAIN, SINGLE), (SINGLE, HALF), (HALF, BRAIN)])
@pytest.mark.parametrize("spec", LAYOUTS)
def test_operands_of_two_kinds(spec, kinds):
    f = ad.compile(lambda a, b: op.contract(widened(a), widened(b), spec=spec))
    for m, n, k in ((40, 100, 300), (3, 50, 20), (1, 60, 70), (130, 60, 20)):
        pair = operands(spec, {"i": m, "j": k, "k": n}, np.float64)
        pair = [x.astype(d) for x, d in zip(pair, kinds, strict=True)]
        y = f(*map(ad.tensor, pair)).numpy()
        want = np.einsum(spec, *(x.astype(np.float64) for x in pair))
        assert np.allclose(y, want, atol=1e-4)


@pytest.mark.parametrize("dtype", [BRAIN, HALF])
@pytest.mark.parametrize("spec", FORMS)
def test_einsum_forms_are_native(spec, dtype, by):
    f = agree(spec, operands(spec, sizes_of(spec, FORMS[spec]), dtype))
    for k in f._native().part.schedule.kernels:
        for o in k.roots:
            if o.prim.name == "contract":
                assert form_of(o)
                assert all(v.spec.dtype == dtype for v in o.inputs)


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("size", [(300, 500, 401), (40, 2100, 64), (715, 100, 1500)])
@pytest.mark.parametrize("count", [1, 3])
def test_tasks_in_any_order_give_the_same_bits(layout, size, count, by):
    pairs = {"kinds": ("V2", "V2"), "by": by}
    form = in_any_order(layout, size, count, BRAIN, near=1e-3, **pairs)
    assert form.tasks > 1


def test_any_number_of_threads_gives_the_same_bits(by):
    rng = np.random.default_rng(2)
    shapes = (300, 700), (500, 700), (700, 400)
    x, w, v = (ad.tensor(rng.normal(size=s).astype(BRAIN)) for s in shapes)
    before, found = ad.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ad.set_num_threads(threads)
            f = ad.compile(lambda: (x @ w.T, x @ v, x.T @ x))
            f()  # the first call may be NumPy's
            found += [[y.float().numpy() for y in f()] for _ in range(2)]
    finally:
        ad.set_num_threads(before)
    assert all(
        np.array_equal(a, b) for ys in found for a, b in zip(ys, found[0], strict=True)
    )


def test_parts_of_a_sum_come_to_the_bits_of_all_of_it(by):
    """Threads sum up a part each; one of them alone adds part after part, also of whole tiles."""
    m, n, k = 500, 610, 1024
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(k, s)).astype(BRAIN) for s in (m, n))
    form = Form(m, n, k, (1, m), (n, 1), n, (), (), 4, kinds=("V2", "V2"), by=by)
    cut = deep(form, updated=False)
    whole, *parts = np.full((1 + cut.parts, m, n), np.nan, SINGLE)
    run(cut.whole, (x, y, whole), [(0, cut.whole.tasks)])
    at, rows = range(0, k, cut.part.k), cut.part.k
    for i, part in zip(at, parts, strict=True):
        places = x[i : i + rows], y[i : i + rows], part
        run(cut.part, places, [(0, cut.part.tasks)])
    assert len(parts) > 1
    assert np.array_equal(whole, functools.reduce(operator.add, parts))


@pytest.mark.parametrize("k", [40, 41])
def test_numbers_that_are_not_finite_stay_in_their_row_and_column(k, by):
    x, y = np.ones((37, k), BRAIN), np.ones((k, 70), BRAIN)
    x[2, 3], y[5, 60] = np.inf, np.nan
    z = product(x, y)
    want = np.full((37, 70), float(k))
    want[2], want[:, 60] = np.inf, np.nan
    assert np.array_equal(z, want, equal_nan=True)


def test_infinities_meet_zeros_as_nan(by):
    x, y = np.full((8, 32), np.inf, BRAIN), np.zeros((32, 8), BRAIN)
    z = product(x, y)
    assert np.isnan(z).all()


def test_denormal_numbers_count_in_full_or_as_zero(by):
    """docs/decisions/0015: instructions for pairs take them for zero."""
    tiny = np.float32(2.0**-130)
    x, y = np.full((8, 32), tiny, BRAIN), np.full((32, 8), 2.0**100, BRAIN)
    assert x.astype(np.float64).min() > 0
    z = product(x, y)
    assert (z == (0 if by else 32 * 2.0**-30)).all()


def test_parts_of_arrays_are_read_where_they_lie(by):
    rng = np.random.default_rng(3)
    x, w = (rng.normal(size=s).astype(BRAIN) for s in ((40, 3, 64), (64, 50)))

    @ad.compile
    def f(x, w):
        return x[:, 1] @ w[:, 3:48]

    a, b = ad.tensor(x), ad.tensor(w)
    f(a, b)
    want = x[:, 1].astype(np.float64) @ w[:, 3:48].astype(np.float64)
    assert np.allclose(f(a, b).float().numpy(), want, atol=0.2, rtol=1e-2)
    s = f._native().part.schedule
    (product,) = (k for k in s.kernels if k.kind == "contract")
    assert product.reads == set(s.graph.inputs)


def networks():
    model = nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 33))
    return model.to(ad.bfloat16)


def test_a_training_step_widens_nothing_for_its_products(by):
    ad.manual_seed(0)
    model = networks()
    opt = optim.SGD(model.parameters(), lr=0.1)
    x = ad.randn(40, 64).to(ad.bfloat16)

    @ad.compile
    def step(x):
        opt.zero_grad()
        loss = (model(x).float() ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    losses = [step(x).item() for _ in range(5)]
    assert losses[-1] < losses[0]
    products = [
        o
        for o in step._native().part.schedule.graph.operations
        if o.prim.name == "contract"
    ]
    assert (
        len(products) == 5
    )  # the gradients of two weights and of one input among them
    assert all(v.spec.dtype == BRAIN for o in products for v in o.inputs)


def test_a_compiled_step_agrees_with_eager(by):
    x = ad.randn(40, 64).to(ad.bfloat16)

    def gradients(compiled):
        ad.manual_seed(1)
        model = networks()

        def step(x):
            (model(x).float() ** 2).mean().backward()

        (ad.compile(step) if compiled else step)(x)
        return [p.grad.float().numpy() for p in model.parameters()]

    for got, want in zip(gradients(True), gradients(False), strict=True):
        assert np.allclose(got, want, rtol=0.05, atol=2e-2 * abs(want).max())


def test_contractions_to_float32_are_differentiated_in_every_way():
    x, y = operands("ij,jk->ik", {"i": 3, "j": 4, "k": 5}, BRAIN)
    wide = [a.astype(np.float64) for a in (x, y)]

    def f(a, b):
        return op.contract(a, b, spec="ij,jk->ik", dtype=SINGLE)

    a, b = ad.tensor(x, requires_grad=True), ad.tensor(y, requires_grad=True)
    z = f(a, b)
    assert z.dtype == ad.float32
    assert np.allclose(z.detach().numpy(), wide[0] @ wide[1], atol=1e-6)
    z.sum().backward()
    assert a.grad.dtype == b.grad.dtype == ad.bfloat16
    ones = np.ones((3, 5))
    assert np.allclose(a.grad.float().numpy(), ones @ wide[1].T, rtol=1e-2)
    assert np.allclose(b.grad.float().numpy(), wide[0].T @ ones, rtol=1e-2)
    rows = ad.func.vmap(lambda r: f(r[None], ad.tensor(y))[0])(ad.tensor(x))
    assert rows.dtype == ad.float32
    assert np.allclose(rows.numpy(), wide[0] @ wide[1], atol=1e-6)


def test_where_the_system_forbids_tiles_they_are_not_used(monkeypatch):
    monkeypatch.setattr(machine, "vector_bits", lambda: 512)
    ask = machine.pairs.__wrapped__
    for features, may, want in (
        ("amx-tile amx-bf16 avx512bw avx512bf16", True, "tiles"),
        ("amx-tile amx-bf16 avx512bw avx512bf16", False, ""),
        ("avx512bw avx512bf16", True, "vectors"),
        ("avx512bw", True, ""),
    ):
        monkeypatch.setattr(machine, "has", features.split().__contains__)
        monkeypatch.setattr(machine, "_may_use_tiles", lambda may=may: may)
        assert ask() == want


def test_code_on_disk_is_found_by_what_multiplies(monkeypatch):
    def of(way, dtype, by):
        monkeypatch.setattr(machine, "pairs", lambda: by)
        x = ad.ones(8, 8, dtype=dtype)
        f = ad.compile(lambda x: way(x, x))
        f(x)
        return digest_module.digest(f._step().captured)

    for dtype in (ad.bfloat16, ad.float32):
        product, other = operator.matmul, operator.mul
        assert of(product, dtype, "") != of(product, dtype, HERE or "vectors")
        assert of(other, dtype, "") == of(other, dtype, HERE or "vectors")


@needs_mine
def test_the_peak_of_pairs_is_above_that_of_float32():
    assert limits.operations("bfloat16") > 1.5 * limits.operations("float32")


@needs_mine
def test_explain_compares_with_the_peak_of_bfloat16():
    f = ad.compile(lambda a, b: a @ b)
    a = ad.randn(256, 256).to(ad.bfloat16)
    product = f.explain(a, a).regions[0]
    assert product.kind == "contract"
    assert product.floor >= product.flop / limits.operations("bfloat16") / 64
    assert product.floor < product.flop / limits.operations("float32")


def test_room_of_pairs_is_bounded_for_wide_products():
    form = Form(
        64, 10**6, 4096, (4096, 1), (10**6, 1), 10**6, (), (), 4, ("V2",) * 2, "tiles"
    )
    assert form.kind == "pairs"
    assert form.bytes < machine.cache(2)
    assert form.depth % form_module.LINE == 0


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_of_mixed_precision_widens_nothing_for_its_products(precision):
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 33))
    half, x = getattr(ad, precision), ad.randn(40, 64)

    @ad.compile
    def step(x):
        copies = {name: p.to(half) for name, p in model.named_parameters()}
        y = ad.func.functional_call(model, copies, (x.to(half),))
        (y.float() ** 2).mean().backward()

    step(x)
    products = [
        o
        for o in step._native().part.schedule.graph.operations
        if o.prim.name == "contract"
    ]
    assert len(products) == 5
    assert all(v.spec.dtype.itemsize == 2 for o in products for v in o.inputs)
    assert all(p.grad.dtype == ad.float32 for p in model.parameters())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 64, 32), (1, 2, 333, 40), (2, 1, 512, 64)])
def test_attention_agrees_with_float32(size, causal, by):
    ad.manual_seed(0)
    q, k, v, w = (ad.randn(*size).to(ad.bfloat16) for _ in range(4))

    def f(*xs):
        y = nn.functional.scaled_dot_product_attention(*xs, is_causal=causal)
        return y, *ad.autograd.grad((y * w.to(y.dtype)).sum(), xs)

    half = [x.requires_grad_() for x in (q, k, v)]
    wide = [x.detach().float().requires_grad_() for x in half]
    g = ad.compile(f)
    g(*half)
    for y, want in zip(g(*half), f(*wide), strict=True):
        want = want.detach().numpy()
        assert abs(y.detach().float().numpy() - want).max() <= 0.03 * abs(want).max()


def test_rows_that_are_cut_into_blocks_meet_panels_that_are_packed_once(by):
    a, b = ad.randn(1000, 100).to(ad.bfloat16), ad.randn(700, 100).to(ad.bfloat16)
    f = ad.compile(lambda a, b: a @ b.T)
    f(a, b)
    want = a.float().numpy().astype(float) @ b.float().numpy().T
    assert np.allclose(f(a, b).float().numpy(), want, rtol=2**-8, atol=1e-4)
