"""Matrix products of the compiler: all layouts, sizes about every edge, tasks in any order."""

import ctypes
import itertools

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op

pytest.importorskip("llvmlite")
from adjoint.compiler.native.llvm import machine
from adjoint.compiler.native.llvm import text as ir
from adjoint.compiler.native.products.contractions import form_of
from adjoint.compiler.native.products.form import Form
from adjoint.compiler.native.products.matmul import DEPTH, tile_rows
from adjoint.compiler.native.products.tasks import Product

LAYOUTS = ["ij,jk->ik", "ij,kj->ik", "ji,jk->ik", "ji,kj->ik", "ij,jk->ki", "ji,kj->ki"]
SIZES = [
    (1, 1, 1),
    (7, 50, 5),
    (8, 48, 4),
    (9, 47, 33),
    (16, 96, DEPTH),
    (17, 97, DEPTH + 1),
    (1, 100, 70),
    (3, 33, 40),
    (4, 16, 17),
    (5, 20, 600),
    (100, 1, 60),
    (130, 10, 7),
    (300, 500, 2 * DEPTH + 3),
    (395, 130, 2 * DEPTH + 3),
    (2, 3, 5000),
    (3, 5, 0),
    (2, 0, 3),
]
FORMS = {
    "bij,bjk->bik": ((3, 5, 6), (3, 6, 7)),
    "bij,bkj->bik": ((3, 70, 6), (3, 60, 6)),
    "bihd,bjhd->bhij": ((2, 8, 3, 4), (2, 9, 3, 4)),
    "bhij,bjhd->bihd": ((2, 3, 8, 9), (2, 9, 3, 4)),
    "bhij,bihd->bjhd": ((2, 3, 8, 9), (2, 8, 3, 4)),
    "ij,bj->ib": ((4, 5), (6, 5)),
    "i,i->": ((100,), (100,)),
    "i,j->ij": ((5,), (6,)),
    "ijk,kj->i": ((2, 3, 4), (4, 3)),
    "ijl,ljk->ik": ((20, 13, 3), (3, 13, 40)),
    "ij,jk->k": ((2, 3), (3, 4)),
    "ab,cd->": ((2, 3), (4, 5)),
    "ab,cd->ac": ((2, 3), (4, 5)),
    "ib,jb->ijb": ((3, 4), (5, 4)),
    "abc,adc->bd": ((4, 3, 2), (4, 5, 2)),
    "bij,bj->bi": ((3, 40, 33), (3, 33)),
}


def sizes_of(spec, shapes):
    """The letters of operands of these shapes, each with its size."""
    letters = "".join(spec.split("->")[0].split(","))
    return dict(zip(letters, itertools.chain(*shapes), strict=True))


def operands(spec, sizes, dtype, seed=0):
    """Normal numbers in arrays of these letters' sizes."""
    rng = np.random.default_rng(seed)
    letters = spec.split("->")[0].split(",")
    return [rng.normal(size=[sizes[c] for c in s]).astype(dtype) for s in letters]


def agree(spec, *pairs, read=lambda x: x, made=None):
    """Compiled contractions against float64: within the bound of a sum in parts.

    Operands are `read` before; sums are `made` in a dtype, or in that of the operands.
    """
    f = ad.compile(lambda xs: [op.contract(*map(read, x), spec=spec) for x in xs])
    tensors = [[ad.tensor(x) for x in pair] for pair in pairs]
    f(tensors)
    for pair, y in zip(pairs, f(tensors), strict=True):
        wide = [x.astype(np.float64) for x in pair]
        want, scale = np.einsum(spec, *wide), np.einsum(spec, *map(abs, wide))
        every = np.prod([n for x in pair for n in x.shape])
        count = max(1, every / max(want.size, 1))
        bound = np.finfo(made or pair[0].dtype).eps * 2 * np.sqrt(count + 4)
        assert y.shape == want.shape
        assert (abs(y.numpy() - want) <= bound * scale).all()
    return f


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", LAYOUTS)
def test_sizes_about_every_edge(spec, dtype):
    sizes = [{"i": m, "j": k, "k": n} for m, n, k in SIZES]
    agree(spec, *(operands(spec, s, dtype) for s in sizes))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", FORMS)
def test_einsum_forms_are_native(spec, dtype):
    f = agree(spec, operands(spec, sizes_of(spec, FORMS[spec]), dtype))
    kernels = f._native().part.schedule.kernels
    assert all(
        form_of(o) for k in kernels for o in k.roots if o.prim.name == "contract"
    )


def run(form, places, ranges):
    """Call a product for ranges of its tasks, one after the other, as a worker does."""
    module, scalar = ir.Module("product"), ir.FloatType()
    product = Product(module, scalar, form)
    product.call.linkage = "external"
    library = machine.Library(machine.machine_code(str(module)))
    kinds = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2 + [ctypes.c_bool]
    f = ctypes.CFUNCTYPE(None, *kinds)(library.address(product.call.name))
    raw = np.full(form.bytes + 64, 0xFF, np.uint8)  # NaN, wherever nothing was written
    scratch = raw.ctypes.data + -raw.ctypes.data % 64
    for number, (first, last) in enumerate(ranges):
        f(*(x.ctypes.data for x in places), scratch, first, last, number > 0)


def in_any_order(layout, size, count, dtype, near, **form):
    """Products as one range of tasks, task by task backwards, and in some ranges: the same bits."""
    m, n, k = size
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=(count, s * k)).astype(dtype) for s in (m, n))
    a_steps = (k, 1) if layout[0] == "n" else (1, m)
    b_steps = (n, 1) if layout[1] == "n" else (1, k)
    batch = ((count, m * k, n * k, m * n),) if count > 1 else ()
    form = Form(m, n, k, a_steps, b_steps, n, batch, (), 4, **form)
    whole, apart, few = np.full((3, count, m, n), np.nan, np.float32)
    run(form, (x, y, whole), [(0, form.tasks)])
    run(form, (x, y, apart), [(t, t + 1) for t in reversed(range(form.tasks))])
    cuts = sorted({0, 1, form.tasks // 3, form.tasks // 2 + 1, form.tasks})
    run(form, (x, y, few), itertools.pairwise(cuts))
    assert np.array_equal(whole, apart)
    assert np.array_equal(whole, few)
    item, strided = x.itemsize, np.lib.stride_tricks.as_strided
    a = strided(x[0], (m, k), [item * s for s in a_steps])
    b = strided(y[0], (k, n), [item * s for s in b_steps])
    assert np.allclose(whole[0], a.astype(float) @ b.astype(float), atol=near)
    return form


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize(
    "size", [(130, 500, 400), (40, 2100, 64), (3, 700, 300), (715, 100, 500)]
)
@pytest.mark.parametrize("count", [1, 3])
def test_tasks_in_any_order_give_the_same_bits(layout, size, count):
    form = in_any_order(layout, size, count, np.float32, near=1e-4)
    assert form.tasks > 1 or count == 1


def test_what_a_worker_packs_once_serves_all_of_its_tasks():
    """Panels of all columns, and of no part of them."""
    form = in_any_order("nt", (1500, 40, 200), 1, np.float32, near=1e-4)
    assert form.tasks > 1
    assert form.stays(form.grid)


def test_numbers_that_are_not_finite_stay_in_their_row_and_column():
    x, y = np.ones((tile_rows() + 1, 40), np.float32), np.ones((40, 70), np.float32)
    x[2, 3], y[5, 60] = np.inf, np.nan
    f = ad.compile(lambda x, y: x @ y)
    xs = ad.tensor(x), ad.tensor(y)
    f(*xs)
    z = f(*xs).numpy()
    assert np.array_equal(np.isfinite(z), np.isfinite(x @ y))


def test_denormal_numbers_are_kept():
    tiny = np.full((20, 30), 1e-40, np.float32)
    f = ad.compile(lambda x, y: x @ y)
    xs = ad.tensor(tiny), ad.tensor(np.eye(30, 50, dtype=np.float32))
    f(*xs)
    assert np.array_equal(f(*xs).numpy()[:, :30], tiny)


def test_small_products_are_as_many_tasks_as_there_are_products():
    form = Form(8, 8, 8, (8, 1), (8, 1), 8, ((12, 64, 64, 64),), (), 4)
    assert form.tasks == 12


def test_slivers_that_are_packed_in_turns_are_tested():
    """Of many rows that are read by columns, some begin or end within a group."""
    form = Form(715, 100, 500, (1, 715), (100, 1), 100, (), (), 4)
    assert form.in_turns or form.narrow
    assert form.m % form.group % form.tile[0]
    assert form.tasks > 1
