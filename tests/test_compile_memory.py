"""The memory of compiled programs: what a build leaves, what a step takes."""

import copy
import os
import pickle
import re
import subprocess
import sys
import threading
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjoint as ad
from adjoint import nn, optim
from adjoint.compiler.schedule import arena

native = pytest.mark.skipif(find_spec("llvmlite") is None, reason="needs llvmlite")

LEFT = """
import adjoint as ad
f = ad.compile(lambda x: (x * 2 + 1).tanh())
for _ in range(3):
    f(ad.ones(4))
mapped, count = "", 0
for line in open("/proc/self/smaps"):
    head = line.split()
    if "-" in head[0]:
        mapped = head[-1]
    elif head[0] == "Rss:" and "libllvmlite" in mapped:
        count += int(head[1])
print(count, f._native().cached)
"""


def run(code, **settings):
    """What another process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_build_leaves_little_of_its_compiler(tmp_path):
    pytest.importorskip("llvmlite")
    for cached in ("False", "True"):  # compiled, then from the cache
        kilobytes, found = run(LEFT, ADJOINT_CACHE=str(tmp_path))
        assert found == cached
        assert int(kilobytes) < 10_000  # of 70,000 that the build reads


# ---------------------------------------------------------------- the arena


@st.composite
def lives(draw):
    sizes = draw(st.lists(st.integers(1, 40), max_size=30))
    out = []
    for i, n in enumerate(sizes):
        first = draw(st.integers(0, 20))
        last = first + draw(st.integers(0, 10))
        out.append(arena.Tenant(i, 64 * n, first, last))
    return out


@given(lives())
@settings(deadline=None, max_examples=200)
def test_no_two_values_of_one_time_share_a_byte(tenants):
    places, size = arena.settled(tenants)
    taken = np.zeros((32, size), bool)
    for t in tenants:
        room = taken[t.first : t.last + 1, places[t.key] : places[t.key] + t.bytes]
        assert room.shape[1] == t.bytes and not room.any()
        room[:] = True
    most, at = arena.peak(tenants)
    assert most == taken.sum(1).max(initial=0) <= size
    assert most == taken[at].sum()


def test_a_loop_puts_its_results_where_its_inputs_were():
    pytest.importorskip("llvmlite")

    @ad.compile
    def f(x, w):
        for _ in range(4):
            y = x @ w
            z = y @ w
            x = y.tanh() * z.tanh()  # reads two and needs no third
        return x @ w

    x, w = ad.randn(4096, 64), ad.randn(64, 64) / 8
    eager = f(x, w)
    assert ad.allclose(f(x, w), eager, rtol=1e-4, atol=1e-5)
    assert f.memory(x, w).inside <= 2.1 * 4096 * 64 * 4


# ---------------------------------------------------------------- a budget


ROWS, WIDTH = 1024, 144  # layers too wide to be done block by block
LAYER = ROWS * WIDTH * 4


def network(kind, depth=12, width=WIDTH):
    """A network whose way back reads what its way forward made."""
    ad.manual_seed(0)
    act = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}.get(kind, nn.ReLU)
    layers = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), act()]
        layers += [nn.Dropout(0.3)] if kind == "dropout" else []
        layers += [nn.LayerNorm(width)] if kind == "norm" else []
        layers += [nn.BatchNorm1d(width)] if kind == "batch norm" else []
    return nn.Sequential(*layers)


def training(net, memory=None, batch=ROWS, width=WIDTH):
    """(compiled step, its input)."""
    opt = optim.SGD(net.parameters(), lr=1e-3)

    @ad.compile(memory=memory)
    def step(x):
        opt.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    x = np.random.default_rng(0).normal(size=(batch, width)).astype(np.float32)
    return step, ad.tensor(x)


def trained(kind, memory=None, steps=3):
    """(step, losses, parameters) after some steps."""
    net = network(kind)
    step, x = training(net, memory)
    ad.manual_seed(1)
    losses = [step(x).item() for _ in range(steps)]
    return step, losses, [p.detach().numpy() for p in net.state_dict().values()]


KINDS = ["relu", "tanh", "gelu", "dropout", "norm", "batch norm"]


@native
@pytest.mark.parametrize("kind", KINDS)
def test_a_budget_is_kept_and_changes_no_number(kind):
    """Sums of rows may be taken in other loops, where products are rounded otherwise."""
    free, losses, values = trained(kind)
    whole = free.memory()
    assert not whole.again
    for part in (0.8, 0.6):
        memory = int(whole.peak - (1 - part) * whole.inside)
        step, again, others = trained(kind, memory)
        told = step.memory()
        assert told.peak <= memory
        assert told.again
        step._native().part.graph.verify()
        if kind in ("relu", "tanh", "dropout"):
            assert again == losses
            assert all((x == y).all() for x, y in zip(values, others, strict=True))
        else:
            np.testing.assert_allclose(again, losses, rtol=1e-5)
            for x, y in zip(values, others, strict=True):
                np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-6)


@native
def test_a_deep_network_fits_in_the_root_of_what_it_takes():
    """Stretches between kept values are run again: about the root of the layers is alive."""
    net = network("tanh", depth=40)
    step, x = training(net)
    for _ in range(2):
        step(x)
    whole = step.memory()
    assert whole.inside > 40 * LAYER
    few = whole.peak - whole.inside + 17 * LAYER
    lean, x = training(net, few)
    for _ in range(2):
        lean(x)
    assert lean.memory().inside <= 17 * LAYER
    work, more = (sum(r.flop for r in s.explain().regions) for s in (step, lean))
    assert work < more < 1.4 * work  # one more way forward of three


@native
def test_narrow_layers_keep_a_block_of_rows():
    """However deep: what lies between forward and backward is of some rows at a time."""
    for depth in (10, 20):
        step, x = training(network("tanh", depth, width=16), batch=2**14, width=16)
        for _ in range(2):
            step(x)
        assert step.memory().inside < 2 * 2**14 * 16 * 4


@native
def test_a_budget_that_cannot_be_kept_says_what_can():
    net = network("tanh")
    step, x = training(net, "1 MB")
    step(x)
    before = [p.detach().numpy().copy() for p in net.parameters()]
    with pytest.raises(ad.errors.ArgumentError, match="takes at least") as caught:
        step(x)
    text = str(caught.value)
    assert "memory is 1 MB" in text
    assert f"float32[{ROWS}, {WIDTH}]" in text
    assert "test_compile_memory.py" in text
    for p, old in zip(net.parameters(), before, strict=True):
        assert (p.detach().numpy() == old).all()
    least = int(re.search(r"hint: memory=(\d+)", text)[1])
    step, x = training(network("tanh"), least)
    for _ in range(3):
        step(x)
    assert step.memory().peak <= least


@native
def test_a_large_program_keeps_nothing_that_costs_next_to_nothing(monkeypatch):
    budget = pytest.importorskip("adjoint.compiler.native.budget")
    net = network("norm", depth=6, width=256)
    step, x = training(net, batch=512, width=256)
    for _ in range(2):
        step(x)
    whole = step.memory()
    assert not whole.again
    monkeypatch.setattr(budget, "LARGE", 2**20)
    monkeypatch.setattr(budget, "HARDLY", 0.05)
    lean, x = training(net, batch=512, width=256)
    for _ in range(2):
        lean(x)
    told = lean.memory()
    assert told.again
    assert told.inside < 0.95 * whole.inside
    assert not any("  contract float32" in line for line in told.again)


@native
def test_random_numbers_are_the_same_again():
    """A mask that is drawn a second time is the mask that was drawn."""
    ad.manual_seed(3)
    free, _, _ = trained("dropout")
    memory = int(free.memory().peak - 0.5 * free.memory().inside)
    step, _, _ = trained("dropout", memory)
    drawn = [o.prim.name for o in step._native().part.graph.operations]
    assert drawn.count("random_uniform") > 12


@pytest.mark.parametrize(
    ("given", "bytes"),
    [
        (1000, 1000),
        ("512MB", 512_000_000),
        ("1.5GiB", 1_610_612_736),
        ("300 MB", 300_000_000),
        (" 2 kib ", 2048),
        ("7", 7),
        ("3B", 3),
        (".5 GB", 500_000_000),
        (None, None),
    ],
)
def test_amounts(given, bytes):
    f = ad.compile(lambda x: x, memory=given)
    assert f.settings.memory == bytes
    assert ad.compile(memory=given)(lambda x: x).settings.memory == bytes


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ("much", ad.errors.ArgumentError, "number with a unit .* got 'much'"),
        ("5 MBit", ad.errors.ArgumentError, "got '5 MBit'"),
        ("", ad.errors.ArgumentError, "got ''"),
        ("-5MB", ad.errors.ArgumentError, "got '-5MB'"),
        (0, ad.errors.ArgumentError, "one byte or more, got 0"),
        (-3, ad.errors.ArgumentError, "one byte or more, got -3"),
        (True, ad.errors.ArgumentTypeError, "got bool"),
        (1.5, ad.errors.ArgumentTypeError, "got float"),
        ([1], ad.errors.ArgumentTypeError, "got list"),
    ],
)
def test_amounts_that_are_none(given, kind, text):
    with pytest.raises(kind, match=text) as caught:
        ad.compile(lambda x: x, memory=given)
    assert "512MB" in str(caught.value)


class Owner:
    """A method that is compiled, and a copy of it."""

    @ad.compile(memory="3 MB")
    def method(self, x):
        return (x * 2).sum()


def test_a_budget_goes_where_the_function_goes():
    f = pickle.loads(pickle.dumps(ad.compile(abs, memory=5000)))
    assert f.settings.memory == 5000
    assert copy.deepcopy(f).settings.memory == 5000
    owner = Owner()
    for _ in range(2):
        owner.method(ad.ones(3))
    assert owner.method.settings.memory == 3_000_000
    net = ad.compile(nn.Linear(3, 4), memory="1MB")
    assert net.settings.memory == 1_000_000
    assert copy.deepcopy(net).settings.memory == 1_000_000


@native
def test_gradients_of_compiled_functions_keep_the_budget():
    net = network("tanh")
    f = ad.compile(lambda x: (net(x) ** 2).mean(), memory="8 MB")
    x = ad.randn(ROWS, WIDTH)
    for _ in range(3):
        for p in net.parameters():
            p.grad = None
        f(x).backward()
    (step,) = f.programs.values()
    (back,) = step.live.reverse.values()
    assert back.settings.memory == 8_000_000
    assert back.memory().peak <= 8_000_000
    found = [p.grad.numpy() for p in net.parameters()]
    for p in net.parameters():
        p.grad = None
    (net(x) ** 2).mean().backward()
    for g, p in zip(found, net.parameters(), strict=True):
        np.testing.assert_allclose(g, p.grad.numpy(), rtol=1e-4, atol=1e-7)


@native
def test_the_cache_knows_budgets_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("ADJOINT_CACHE", str(tmp_path))
    found = []
    for memory in (None, "8 MB", None, "8 MB"):
        net = network("tanh")
        step, x = training(net, memory)
        for _ in range(2):
            step(x)
        found.append((step._native().cached, bool(step.memory().again)))
    assert found == [(False, False), (False, True), (True, False), (True, True)]


# ---------------------------------------------------------------- what is told


@native
def test_what_is_told():
    free, _, _ = trained("tanh")
    told = str(free.memory())
    assert re.search(
        r"at the peak, in region \d+ of \d+ \(\w+, .*test_compile_memory", told
    )
    assert f"float32[{ROWS}, {WIDTH}]" in told
    assert "590 kB" in told
    assert "computed again" not in told
    step, _, _ = trained("tanh", free.memory().peak - free.memory().inside // 3)
    told = str(step.memory())
    assert "computed again instead of kept:" in told
    assert re.search(r"590 kB  tanh float32\[1024, 144\], .*: about .* µs, for", told)


AGAIN = """\
  z23 = einsum('ik,jk->ij', z22, s2)
  z1_again = einsum('ij,jk->ik', x1, s1)
  z2_again = tanh(z1_again)
  z24 = einsum('ik,ij->jk', z22, z2_again)
  z25_1 = z2_again * z2_again
  z26_2 = z23 * z25_1
  z27 = z23 - z26_2
  z28 = einsum('ik,ij->jk', z27, x1)
  return z28, z24, z19, z14"""


@native
def test_the_program_in_which_values_are_computed_again():
    """Of four layers the first is run a second time, on the way back, when it is read."""
    ws = [ad.randn(8, 8).requires_grad_() for _ in range(4)]

    @ad.compile(memory=50_000)
    def step(x):
        for w in ws:
            x = (x @ w).tanh()
        (x * x).sum().backward()
        gradients = [w.grad for w in ws]
        for w in ws:
            w.grad = None
        return gradients

    for _ in range(2):
        step(ad.ones(256, 8))
    assert step.program(after="memory").endswith(AGAIN)
    assert "_again" not in step.program(after="all")
    graph = step._native().part.graph
    graph.verify()
    for new, old in graph.again.items():
        (o,) = [o for o in graph.operations if new in o.outputs]
        (first,) = o.origin
        assert old in first.outputs
        assert o.where() == first.where()
        assert new.name == f"{old.name}_again"


@pytest.mark.parametrize("way", [{"check": "nan"}, {"backend": "numpy"}])
def test_where_it_has_no_effect_it_is_told(way, caplog):
    f = ad.compile(lambda x: x * 2, memory="1MB", **way)
    (told,) = [r.getMessage() for r in caplog.records]
    assert "memory='1MB' has no effect with" in told
    assert repr(next(iter(way.values()))) in told
    for _ in range(2):
        assert f(ad.ones(2)).tolist() == [2.0, 2.0]


# ---------------------------------------------------------------- the common room


def large(n):
    """(a program that works in so many rows, what it gives)."""
    x = ad.full((n, 256), 0.01)
    f = ad.compile(lambda x: (x @ x.T).tanh().softmax(1).cumsum(0).sum())
    f.warm = True
    return f, x, f.written(x).item()


def room_of(f):
    (step,) = f.programs.values()
    return step.run.room


@native
def test_large_programs_work_in_one_room():
    made = [large(n) for n in (600, 900, 700, 1200)]
    for _ in range(3):
        for f, x, want in made:
            assert f(x).item() == pytest.approx(want, rel=1e-4)
    rooms = {id(room_of(f)) for f, _, _ in made}
    sizes = [next(iter(f.programs.values())).native.part.inside for f, _, _ in made]
    assert len(rooms) == 1
    assert room_of(made[0][0]).size >= max(sizes)
    small = ad.compile(lambda x: x.tanh().sum())
    small.warm = True
    small(ad.ones(3))
    assert room_of(small) is not room_of(made[0][0])


@native
def test_programs_that_run_at_once_have_rooms_of_their_own():
    made, wrong = [large(n) for n in (600, 900, 700)], []

    def work(f, x, want):
        for _ in range(60):
            if f(x).item() != pytest.approx(want, rel=1e-4):
                wrong.append(x.shape)

    for f, x, _ in made:
        f(x)
    threads = [threading.Thread(target=work, args=m) for m in made]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@native
def test_a_program_called_by_another_has_a_room_of_its_own(monkeypatch):
    """An operation of NumPy in the one calls the other."""
    inner, x, want = large(600)
    inner(x)
    seen = []

    def outer(y):
        y = (y @ y.T).tanh()
        ad.debug.print("{}", y.sum())
        return y.softmax(1).cumsum(0).sum()

    f, y = ad.compile(outer), ad.full((900, 256), 0.01)
    monkeypatch.setattr(sys, "stdout", Stdout(lambda: seen.append(inner(x).item())))
    results = [f(y).item() for _ in range(4)]
    assert results == pytest.approx([results[0]] * 4, rel=1e-5)
    assert seen == pytest.approx([want] * len(seen), rel=1e-4)
    assert len(seen) >= 4
    assert room_of(f) is not room_of(inner)


class Stdout:
    """Does something when it is written to."""

    def __init__(self, done):
        self.done = done

    def write(self, text):
        if text.strip():
            self.done()

    def flush(self):
        pass
