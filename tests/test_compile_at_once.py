"""Large programs are cut into modules that LLVM works on at once: the same code by any threads."""

import ctypes
import itertools
import re
import threading

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.core.threads import threads

pytest.importorskip("llvmlite")
from adjoint.compiler import cache
from adjoint.compiler.native.llvm import cuts, hands, machine
from adjoint.compiler.native.llvm import text as ir
from adjoint.compiler.native.llvm.types import I64, POINTER


@pytest.fixture
def count():
    """The number of threads, which a test may set."""
    before = threads.count
    yield lambda n: setattr(threads, "count", n)
    threads.count = before


@pytest.fixture
def small_cuts(monkeypatch):
    """Small programs are cut as well."""
    monkeypatch.setattr(cuts, "SMALL", 0)
    monkeypatch.setattr(cuts, "LEAST", 60)


class Trained:
    """A network that is trained for some steps."""

    def __init__(self, wrap=compile, width=40):
        ad.manual_seed(3)
        sizes = (width, 33, width, 5)
        layers = (nn.Linear(n, m) for n, m in itertools.pairwise(sizes))
        self.net = nn.Sequential(*(f for x in layers for f in (x, nn.GELU())))
        self.opt = optim.Adam(self.net.parameters(), lr=0.01)
        self.step = wrap(self._step)
        self.x = ad.randn(70, width)

    def _step(self, x):
        self.opt.zero_grad()
        loss = self.net(x).square().mean()
        loss.backward()
        self.opt.step()
        return loss

    def after(self, calls=3):
        """What calls lead to."""
        losses = [self.step(self.x).item() for _ in range(calls)]
        return losses, [p.detach().numpy().copy() for p in self.net.parameters()]

    @property
    def native(self):
        (step,) = self.step.programs.values()
        return step.native


def same(a, b):
    """Whether losses and parameters are the same bits."""
    assert a[0] == b[0]
    for x, y in zip(a[1], b[1], strict=True):
        np.testing.assert_array_equal(x, y)


def modules(native):
    """The modules of a program, without that for what is rare."""
    made = native.plan.efforts()
    return [text for text, effort in made if effort]


# ---------------------------------------------------------------- the code


def test_any_number_of_threads_makes_the_same_code(monkeypatch, count, small_cuts):
    saved = []
    monkeypatch.setattr(cache, "load", lambda key: None)
    monkeypatch.setattr(cache, "save", lambda key, *code: saved.append(code))
    results = []
    for n in (1, 2, 4, 4):
        saved.clear()
        count(n)
        results.append((Trained().after(2), list(saved)))
    made, (about, code) = results[0][0], results[0][1][-1]
    assert len(about["sizes"]) > 3
    for found, saves in results[1:]:
        assert saves[-1] == (about, code)
        same(found, made)


def test_a_program_that_is_cut_computes_the_same(monkeypatch, count):
    count(2)
    monkeypatch.setattr(cache, "load", lambda key: None)
    monkeypatch.setattr(cuts, "SMALL", 10**9)
    whole = Trained()
    expected = whole.after()
    assert len(modules(whole.native)) == 1
    monkeypatch.setattr(cuts, "SMALL", 0)
    monkeypatch.setattr(cuts, "LEAST", 60)
    several = Trained()
    same(several.after(), expected)
    assert 2 < len(modules(several.native)) <= cuts.MOST


def test_small_programs_are_one_module():
    f = compile(lambda x: ad.sin(x) * x)
    f(ad.tensor(0.7)), f(ad.tensor(0.7))
    (step,) = f.programs.values()
    assert len(modules(step.native)) == 1


def test_each_function_is_in_one_module_and_all_of_them_are_shown(small_cuts):
    step = Trained()
    step.after(2)
    texts = modules(step.native)
    names = [re.findall(r'^define .*?@"(.*?)"', text, re.M) for text in texts]
    flat = [x for some in names for x in some]
    assert len(flat) == len({*flat}) and "run" in flat
    shown = step.native.assembly()
    for name in flat:
        assert re.search(rf'^"?{re.escape(name)}"?:', shown, re.M), name
    for text in texts:  # what is named is there, or said to be elsewhere
        known = re.findall(r'^(?:define|declare) .*?@"(.*?)"|^@"(.*?)"', text, re.M)
        assert {*re.findall(r'@"(.*?)"', text)} == {a or b for a, b in known}


# ---------------------------------------------------------------- where it is cut


def function(m, name, *kinds, alone=True):
    """An internal function, and what writes it."""
    f = m.internal(name, I64, kinds, "nounwind", "noinline")
    f.alone = alone
    return f, ir.IRBuilder(f.append_basic_block())


def calling(m, name, *calls):
    """A function of x that adds up calls: (function, its arguments, of which None is x)."""
    f = ir.Function(m, ir.FunctionType(I64, [I64]), name)
    b = ir.IRBuilder(f.append_basic_block())
    total = I64(0)
    for g, *args in calls:
        args = [f.args[0] if x is None else I64(x) for x in args]
        total = b.add(total, b.call(g, args))
    b.ret(total)
    return f


def twice_plus(m, name="twice plus", alone=True):
    """2 x + y."""
    f, b = function(m, name, I64, I64, alone=alone)
    b.ret(b.add(b.mul(f.args[0], I64(2)), f.args[1]))
    return f


@pytest.fixture
def everywhere(monkeypatch):
    """All is cut that may be."""
    monkeypatch.setattr(cuts, "SMALL", 0)
    monkeypatch.setattr(cuts, "LEAST", 1)


def value(texts, x, name="f"):
    """f(x), of all modules."""
    library = machine.Library(*map(machine.machine_code, texts))
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address(name))(x)


def test_what_is_alone_is_cut_off_and_takes_numbers_along(everywhere):
    m = ir.Module()
    f = twice_plus(m)
    calling(m, "f", (f, None, 7), (f, 1, 7))
    texts = cuts.cut(m)
    assert len(texts) == 2
    (home,) = (x for x in texts if 'define hidden i64 @"twice plus"' in x)
    assert "%a1 = or i64 7, 0" in home and "%a0 = or" not in home
    assert value(texts, 10) == 20 + 7 + 2 + 7


def test_numbers_go_through_a_function_that_hands_them_on(everywhere):
    m = ir.Module()
    inner = twice_plus(m)
    outer, b = function(m, "outer", I64, I64)
    b.ret(b.call(inner, outer.args))
    calling(m, "f", (outer, None, 5))
    texts = cuts.cut(m)
    assert len(texts) == 3
    assert sum("%a1 = or i64 5, 0" in x for x in texts) == 2
    assert value(texts, 3) == 11


def test_what_differs_from_call_to_call_is_not_known(everywhere):
    m = ir.Module()
    f = twice_plus(m)
    calling(m, "f", (f, None, 7), (f, None, 8))
    texts = cuts.cut(m)
    assert len(texts) == 2 and not any("= or" in x for x in texts)
    assert value(texts, 1) == 2 + 7 + 2 + 8


def test_nothing_is_known_of_what_goes_somewhere_as_a_value(everywhere):
    m = ir.Module()
    f = twice_plus(m)
    g = calling(m, "f", (f, None, 7))
    place = ir.IRBuilder(g.blocks[0]).alloca(POINTER)
    ir.IRBuilder(g.blocks[0]).store(
        ir.IRBuilder(g.blocks[0]).bitcast(f, POINTER), place
    )
    texts = cuts.cut(m)
    assert len(texts) == 2 and not any("= or" in x for x in texts)
    assert value(texts, 1) == 9


def test_others_stay_with_their_callers(everywhere):
    m = ir.Module()
    f = twice_plus(m, alone=False)
    calling(m, "f", (f, None, 7))
    calling(m, "g", (f, None, 7))
    assert len(cuts.cut(m)) == 1
    assert value(cuts.cut(m), 1, "g") == 9


# ---------------------------------------------------------------- threads


def test_results_are_in_order_and_by_all_threads(count):
    count(4)
    meet, names = threading.Barrier(4, timeout=20), set()

    def work(x):
        names.add(threading.get_ident())
        if x < 4:
            meet.wait()  # nobody goes on alone
        return x * x

    before = threading.active_count()
    assert hands.at_once(work, range(9)) == [x * x for x in range(9)]
    assert len(names) == 4 and threading.get_ident() in names
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["here", "in another thread"])
def test_an_error_in_any_thread_is_raised_here(count, error, where):
    count(2)
    here, meet, done = threading.get_ident(), threading.Barrier(2, timeout=20), []

    def work(x):
        if x < 2:
            meet.wait()
            if (threading.get_ident() == here) == (where == "here"):
                raise error("it went wrong")
        done.append(x)

    before = threading.active_count()
    with pytest.raises(error, match="it went wrong"):
        hands.at_once(work, range(100))
    assert len(done) < 100 and threading.active_count() == before


def test_one_thread_starts_no_other(count, monkeypatch):
    monkeypatch.setattr(threading, "Thread", None)
    count(1)
    assert hands.at_once(abs, [-1, 2, -3]) == [1, 2, 3]
    count(4)
    assert hands.at_once(abs, [-1]) == [1]
    monkeypatch.setattr(threading, "stack_size", lambda: 2**16)  # too small for LLVM
    assert hands.at_once(abs, [-1, 2, -3]) == [1, 2, 3]


def test_where_no_thread_is_to_be_had_there_is_one(count, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    count(4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert hands.at_once(abs, [-1, 2, -3]) == [1, 2, 3]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_one_module_reaches_the_user(monkeypatch, count, small_cuts, error):
    count(4)
    real, failed = machine.machine_code, []

    def refused(text, effort=3):
        if 'define void @"run"' not in text and effort and not failed:
            failed.append(text)
            raise error("no code of this one")
        return real(text, effort)

    monkeypatch.setattr(cache, "load", lambda key: None)
    monkeypatch.setattr(machine, "machine_code", refused)
    step = Trained()
    step.after(1)
    before = [p.detach().numpy().copy() for p in step.net.parameters()]
    with pytest.raises(error, match="no code of this one"):
        step.step(step.x)
    for p, x in zip(step.net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), x)
    assert np.isfinite(step.step(step.x).item()) and failed


def test_two_threads_of_python_compile_at_once(count, small_cuts, monkeypatch):
    count(3)
    monkeypatch.setattr(cache, "load", lambda key: None)
    # The seed is the process's, so each is made here, and called there.
    steps = [Trained(width=n) for n in (40, 24)]
    expected = [Trained(width=n).after() for n in (40, 24)]
    found, meet = {}, threading.Barrier(2, timeout=20)

    def call(i):
        meet.wait()
        found[i] = steps[i].after()

    both = [threading.Thread(target=call, args=(i,)) for i in range(2)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    for i in range(2):
        same(found[i], expected[i])
