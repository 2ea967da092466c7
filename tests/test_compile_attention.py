"""Compiled attention: slice by slice, no matrix of scores; the oracle is written out in NumPy."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn import functional as F

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True)
def threads():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def parts(n, h, t, e, keys=None, dtype="float64", seed=0):
    """Queries, keys, values and weights of the result."""
    rng, s = np.random.default_rng(seed), keys or t
    shapes = (n, h, t, e), (n, h, s, e), (n, h, s, e), (n, h, t, e)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def oracle(q, k, v, g, mask=None, kept=None):
    """(sum of (g y)², its derivatives) of attention, in float64; `kept` scales weights."""
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    scale = q.shape[-1] ** -0.5
    scores = scale * q @ k.swapaxes(-1, -2)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    d = p if kept is None else p * kept
    y = d @ v
    gy = 2 * g * g * y
    gp = gy @ v.swapaxes(-1, -2)
    gp = gp if kept is None else gp * kept
    gs = scale * p * (gp - (gp * p).sum(-1, keepdims=True))
    grads = gs @ k, gs.swapaxes(-1, -2) @ q, d.swapaxes(-1, -2) @ gy
    return ((g * y) ** 2).sum(), grads


def compiled(attend, arrays):
    """(compiled step, its result and gradients)."""
    q, k, v = (ad.tensor(x, requires_grad=True) for x in arrays[:3])
    g = ad.tensor(arrays[3])

    @ad.compile
    def step():
        for x in (q, k, v):
            x.grad = None
        y = ((attend(q, k, v) * g) ** 2).sum()
        y.backward()
        return y

    def run():
        for _ in range(2):
            y = step()
        step._native()
        y = step()
        return y.item(), [x.grad.numpy().copy() for x in (q, k, v)]

    return step, run


def check(found, expected, tolerance):
    (y, grads), (wanted, truth) = found, expected
    assert y == pytest.approx(wanted, rel=tolerance)
    for x, t in zip(grads, truth, strict=True):
        assert np.abs(x - t).max() <= tolerance * np.abs(t).max()


def groups(step):
    """The kernels that run slice by slice."""
    kernels = step._native().part.schedule.kernels
    return [k for k in kernels if k.kind == "together"]


def causal(t, s=None):
    return np.tri(t, s or t, dtype=bool)


def sdpa(**options):
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options)


def by_hand(mask):
    def attend(q, k, v):
        scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~ad.tensor(mask), float("-inf"))
        return F.softmax(scores, dim=-1) @ v

    return attend


CASES = [
    ((2, 3, 64, 16), "plain", "float32"),
    ((2, 3, 64, 16), "causal", "float64"),
    ((1, 4, 100, 8), "causal", "float32"),
    ((2, 2, 200, 24), "causal", "float32"),
    ((2, 2, 200, 24), "plain", "float64"),
    ((1, 2, 17, 5), "by hand", "float32"),
    ((4, 8, 130, 3), "by hand, causal", "float64"),
    ((4, 8, 130, 3), "causal", "float32"),
    ((2, 8, 200, 8), "by hand", "float32"),
    ((2, 8, 200, 8), "by hand, causal", "float32"),
]


@pytest.mark.parametrize(("shape", "form", "dtype"), CASES, ids=str)
def test_values_and_gradients(shape, form, dtype):
    mask = causal(shape[2]) if "causal" in form else None
    attend = sdpa(is_causal=mask is not None)
    if "hand" in form:
        attend = by_hand(mask)
    arrays = parts(*shape, dtype=dtype)
    _, run = compiled(attend, arrays)
    check(run(), oracle(*arrays, mask), 3e-5 if dtype == "float32" else 1e-12)


STORED = [
    ((1, 8, 320, 16), False),
    ((1, 8, 320, 16), True),
    ((1, 1, 1200, 8), False),
    ((1, 1, 1200, 8), True),
    ((4, 16, 160, 8), True),
]


@pytest.mark.parametrize(("shape", "is_causal"), STORED, ids=str)
def test_scores_are_not_stored(shape, is_causal):
    arrays = parts(*shape, dtype="float32")
    step, run = compiled(sdpa(is_causal=is_causal), arrays)
    mask = causal(shape[2]) if is_causal else None
    check(run(), oracle(*arrays, mask), 3e-5)
    scores = 4 * shape[0] * shape[1] * shape[2] ** 2
    assert step.memory().inside < scores + 2**20


def test_memory_grows_with_the_length_alone():
    def inside(t):
        step, run = compiled(sdpa(is_causal=True), parts(1, 8, t, 32, dtype="float32"))
        run()
        return step.memory().inside

    short, long = inside(1024), inside(2048)
    assert long < 2.2 * short
    assert long < 8 * 2048**2  # a quarter of one matrix of scores


@pytest.mark.parametrize("is_causal", [False, True])
def test_bits_are_the_same_for_any_number_of_threads(is_causal):
    arrays = parts(2, 4, 384, 16, dtype="float32")
    _, run = compiled(sdpa(is_causal=is_causal), arrays)
    found = []
    for n in (1, 2, 4):
        ad.set_num_threads(n)
        found.append(run())
    for y, grads in found[1:]:
        assert y == found[0][0]
        for a, b in zip(grads, found[0][1], strict=True):
            assert np.array_equal(a, b)


def test_a_causal_mask_leaves_blocks_out():
    step, run = compiled(sdpa(is_causal=True), parts(2, 8, 384, 16, dtype="float32"))
    run()
    for group in groups(step):
        assert group.band.ends[0] < 384
        assert group.band.ends[-1] == 384


def test_a_window_that_is_known_leaves_blocks_out():
    t = 384
    mask = causal(t) & ~np.tri(t, k=-40, dtype=bool)
    mask[::7] = mask[::7] | (np.arange(t) == 0)
    arrays = parts(2, 8, t, 16)
    bias = np.where(mask, 0.0, -np.inf)

    def attend(q, k, v):
        scores = q @ k.transpose(-2, -1) * 0.25 + bias
        return F.softmax(scores, dim=-1) @ v

    step, run = compiled(attend, arrays)
    check(run(), oracle(*arrays, mask), 1e-12)
    assert all(g.band.ends[0] < t for g in groups(step))


def test_more_keys_than_queries_and_fewer():
    for t, s in ((100, 220), (220, 100)):
        arrays = parts(2, 6, t, 8, keys=s)
        _, run = compiled(sdpa(is_causal=True), arrays)
        check(run(), oracle(*arrays, causal(t, s)), 1e-12)


def test_masks_of_tensors():
    arrays = parts(2, 8, 288, 8)
    mask = np.random.default_rng(3).random((2, 1, 288, 288)) < 0.4
    mask[..., 0] = True
    _, run = compiled(sdpa(attn_mask=ad.tensor(mask)), arrays)
    check(run(), oracle(*arrays, mask), 1e-12)
    added = ad.tensor(np.where(mask, 0.0, -np.inf))
    _, run = compiled(sdpa(attn_mask=added), arrays)
    check(run(), oracle(*arrays, mask), 1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 64, 8), (2, 8, 320, 8)])
def test_dropout_is_that_of_eager(shape):
    arrays = parts(*shape)
    attend = sdpa(is_causal=True, dropout_p=0.3)
    q, k, v = (ad.tensor(x, requires_grad=True) for x in arrays[:3])
    step, run = compiled(attend, arrays)
    run()
    ad.manual_seed(7)
    y = ((attend(q, k, v) * ad.tensor(arrays[3])) ** 2).sum()
    y.backward()
    ad.manual_seed(7)
    found = step()
    assert found.item() == pytest.approx(y.item(), rel=1e-12)


@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head_attention(need_weights):
    ad.manual_seed(1)
    net = nn.MultiheadAttention(32, 4, batch_first=True).double()
    x = ad.tensor(np.random.default_rng(0).standard_normal((2, 300, 32)))
    mask = ad.tensor(~causal(300))

    def loss(x):
        net.zero_grad()
        y, w = net(x, x, x, attn_mask=mask, need_weights=need_weights)
        y = (y**2).sum() + (0 if w is None else (w**2).sum())
        y.backward()
        return y, *(p.grad for p in net.parameters())

    expected = [v.detach().numpy().copy() for v in loss(x)]
    step = ad.compile(loss)
    for _ in range(3):
        found = step(x)
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a.detach().numpy(), b, rtol=1e-10, atol=1e-10)


def functions():
    """Attention under transforms: (function, arrays)."""
    q, k, v, g = parts(1, 4, 320, 6)

    def f(q, k, v):
        return (F.scaled_dot_product_attention(q, k, v, is_causal=True) * g).sum()

    def second(q, k, v):
        inner = ad.grad(f)(q, k, v)
        return (inner**2).sum()

    def pushed(q, k, v):
        return ad.jvp(lambda x: f(x, k, v), (q,), (k,))[1]

    def mapped(q, k, v):
        attend = F.scaled_dot_product_attention
        return ad.vmap(lambda a, b, c: attend(a, b, c, is_causal=True))(q, k, v)

    return {
        "grad of grad": (ad.grad(second, (0, 1, 2)), (q, k, v)),
        "jvp": (pushed, (q, k, v)),
        "grad of jvp": (ad.grad(pushed), (q, k, v)),
        "vmap": (mapped, (q, k, v)),
        "vmap of grad": (ad.vmap(ad.grad(f)), tuple(x[0][:, None] for x in (q, k, v))),
    }


@pytest.mark.parametrize("name", functions())
def test_transforms(name):
    f, arrays = functions()[name]
    arrays = [ad.tensor(x) for x in arrays]
    expected = f(*arrays)
    step = ad.compile(f)
    for _ in range(2):
        found = step(*arrays)
    step._native()
    found = step(*arrays)
    pairs = zip(
        *(x if isinstance(x, tuple) else (x,) for x in (found, expected)), strict=True
    )
    for a, b in pairs:
        a, b = a.numpy(), b.numpy()
        assert np.abs(a - b).max() <= 1e-11 * max(1, np.abs(b).max())


def test_it_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    arrays = parts(2, 4, 260, 16, dtype="float32")
    _, run = compiled(sdpa(is_causal=True), arrays)
    q, k, v = (torch.tensor(x, requires_grad=True) for x in arrays[:3])
    attend = torch.nn.functional.scaled_dot_product_attention
    y = ((attend(q, k, v, is_causal=True) * torch.tensor(arrays[3])) ** 2).sum()
    y.backward()
    check(run(), (y.item(), [x.grad.numpy() for x in (q, k, v)]), 3e-5)


def test_it_is_told():
    step, run = compiled(sdpa(is_causal=True), parts(2, 8, 384, 16, dtype="float32"))
    run()
    text = str(step.explain())
    assert "together" in text
