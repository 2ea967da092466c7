"""Chains: kernels around convolutions done image by image give what they give one by one."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim

pytest.importorskip("llvmlite")
from adjoint.compiler.native import sharing

relu, pool, pad = nn.functional.relu, nn.functional.max_pool2d, nn.functional.pad


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """However small a kernel is, it is cut; the number of threads is as before."""
    for name, value in (("LEAST", -1.0), ("WORTH", -1.0), ("GRAIN", 1.0)):
        monkeypatch.setattr(sharing, name, value)
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def rand(*shape):
    rng = np.random.default_rng(sum(shape))
    return ad.tensor(rng.normal(size=shape), dtype=ad.float32)


def trained(n, threads, compiled=True):
    """(loss and parameters after some steps of a small LeNet, the function)."""
    ad.set_num_threads(threads)
    ad.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 5, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(20, 10),
    )
    opt = optim.Adam(model.parameters(), lr=1e-2)

    def step(x, t):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        opt.step()
        return loss

    f = ad.compile(step) if compiled else step
    x, t = rand(n, 1, 12, 12), ad.tensor(np.arange(n) % 10)
    for _ in range(4):
        loss = f(x, t)
    values = [loss.detach(), *(p.detach() for p in model.parameters())]
    return [x.numpy().copy() for x in values], f


def chains_of(f, *args):
    """The kinds of the kernels of each chain."""
    part = f._native(*args).part
    found = dict.fromkeys(part.chains.values())
    for chain in found:
        numbers = [part.schedule.number[k] for k in chain.members]
        assert numbers == [*range(numbers[0], numbers[-1] + 1)]
    return [[k.kind for k in chain.members] for chain in found]


@pytest.mark.parametrize("n", [8, 16, 24, 40, 64])
def test_a_network_is_trained_with_the_same_bits(n):
    """For any number of threads; forward and backward are a chain each."""
    want, _ = trained(n, 1, compiled=False)
    one, f = trained(n, 1)
    forward, backward = chains_of(f)
    assert forward.count("conv") == 2 and 2 <= backward.count("conv") <= 3
    assert "put" in backward and "reduce" in backward
    for x, y in zip(one, want, strict=True):
        assert np.allclose(x, y, rtol=2e-4, atol=2e-5)
    for count in (2, 3, 4):
        for x, y in zip(trained(n, count)[0], one, strict=True):
            assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("n", [1, 7, 17, 22])
def test_batches_that_no_number_of_pieces_divides_have_none(n):
    _, f = trained(n, 1)
    assert chains_of(f) == []


w, w2, bias = rand(4, 2, 3, 3), rand(3, 4, 3, 3), rand(4)
conv = nn.functional.conv2d


def plain(x, w, w2):
    return relu(conv(relu(conv(x, w, bias)), w2)).square()


def by_batch(x, w, w2):
    """The mean over the batch is needed between."""
    h = conv(x, w)
    h = (h - h.mean(0)).tanh()
    return conv(h, w2).sin()


def turned(x, w, w2):
    """Image i needs another one."""
    return conv(conv(x, w).tanh().flip(0), w2).tanh()


def rolled(x, w, w2):
    return conv(conv(x, w).tanh().roll(1, 0), w2).tanh()


def picked(x, w, w2):
    """Images change places by a table."""
    places = ad.tensor(np.arange(16)[::-1].copy())
    return conv(conv(x, w).tanh()[places], w2).tanh()


def crossed(x, w, w2):
    """Each image meets each other one."""
    h = conv(x, w).tanh()
    return conv(h + (h.flatten(1) @ h.flatten(1).T).mean(1)[:, None, None, None], w2)


def transposed(x, w, w2):
    """Channels and images change places; there are as many."""
    h = conv(x, w.repeat(4, 1, 1, 1)).tanh()
    return h.transpose(0, 1).exp() + h


def strided(x, w, w2):
    h = relu(conv(x, w, stride=2, padding=1))
    return pool(pad(h, (1, 0, 0, 1)), 2).tanh()


def grouped(x, w, w2):
    return conv(conv(x, w).tanh(), w2[:2].repeat(2, 1, 1, 1)[:, :2], groups=2).cos()


def added(x, w, w2):
    """A branch that goes by."""
    h = relu(conv(x, w, padding=1))
    return (conv(h, w2, padding=1).mean(1, keepdim=True) + h).tanh()


def weighed(x, w, w2):
    """The weights come of images: all are needed for one."""
    own = conv(x, w).tanh().mean((0, 2, 3))[None, :, None, None] * w2
    return conv(relu(conv(x, w)), own)


def pooled(x, w, w2):
    h = nn.functional.avg_pool2d(conv(x, w).tanh(), 2)
    return h.amax((2, 3)) + h.mean((1, 2, 3), keepdim=True)[:, :, 0, 0]


def normed(x, w, w2):
    h = nn.functional.batch_norm(conv(x, w), None, None, training=True)
    return conv(relu(h), w2).square()


def one_number(x, w, w2):
    """Of each image one number: lanes could only count images."""
    return conv(x, w)[:, :1, 2, 2].tanh()


def few_numbers(count):
    """Of each image so many: two vectors of most processors' lanes, or of some."""

    def f(x, w, w2):
        h = relu(conv(x, w, padding=1))[:, :, : count // 4 : 2, :2]
        return h.reshape(16, count).exp()

    f.__name__ = f"{count}_numbers"
    return f


CASES = [plain, by_batch, turned, rolled, picked, crossed, transposed, strided]
CASES += [grouped, added, weighed, pooled, normed, one_number]
CASES += [few_numbers(n) for n in (8, 16, 32)]


@pytest.mark.parametrize("f", CASES, ids=lambda f: f.__name__)
def test_what_is_done_image_by_image_is_what_was_to_be_done(f):
    """Values and gradients are those of eager, whatever lies between convolutions."""
    xs = [rand(16, 2, 8, 8), w, w2]

    def both(*xs):
        xs = [x.detach().requires_grad_() for x in xs]
        y = f(*xs)
        weights = ad.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()
        loss = (y * weights).sum()
        return y, *ad.autograd.grad(loss, xs, allow_unused=True)

    want, step = both(*xs), ad.compile(both)
    for count in (1, 3, 4, 2):
        ad.set_num_threads(count)
        step(*xs)
        got = [None if x is None else x.numpy() for x in step(*xs)]
        for x, y in zip(got, want, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                np.testing.assert_allclose(x, y.detach().numpy(), rtol=2e-4, atol=2e-4)
        first = got if count == 1 else first  # noqa: F821
        for x, y in zip(got, first, strict=True):
            assert x is None or x.tobytes() == y.tobytes()


def test_a_kernel_of_as_many_elements_as_images_starts_none():
    """Updates of eight biases, and a batch of eight: all kernels still run."""
    ad.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3)),
    )
    opt = optim.SGD(model.parameters(), lr=1e-2)

    def step(x):
        opt.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    x, f, found = rand(8, 1, 9, 9), ad.compile(step), []
    start = {name: v.detach().clone() for name, v in model.state_dict().items()}
    for g in (step, f):
        model.load_state_dict(start)
        found.append([g(x).item() for _ in range(4)])
    assert chains_of(f, x)
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_what_only_a_chain_reads_has_memory_for_a_piece():
    """A worker's own, instead of all of it."""
    f = ad.compile(lambda x: relu(conv(relu(conv(x, w)), w2)))
    x = rand(64, 2, 20, 20)
    for _ in range(2):
        f(x)
    assert chains_of(f, x) == [["conv", "map", "conv", "map"]]
    between = 64 * 4 * 18 * 18 * 4
    assert f.memory(x).inside < between


def test_dropout_is_drawn_where_it_is_read():
    """The same draws for any number of threads."""
    found = []
    for count in (1, 4):
        ad.set_num_threads(count)
        ad.manual_seed(3)

        @ad.compile
        def f(x):
            return conv(nn.functional.dropout(relu(conv(x, w)), 0.5), w2).tanh()

        x = rand(32, 2, 9, 9)
        found.append([f(x).numpy().tobytes() for _ in range(4)])
    assert found[0] == found[1] and len(set(found[0])) == 4


def test_explain_tells_the_time_of_each_kernel():
    """A chain is timed as one; what each takes of that is estimated."""
    f = ad.compile(lambda x: relu(conv(relu(conv(x, w)), w2)))
    x = rand(16, 2, 9, 9)
    for _ in range(2):
        f(x)
    found = f.explain(x).regions
    assert [r.chunks for r in found] == [16] * 4
    assert all(r.seconds > 0 for r in found)
