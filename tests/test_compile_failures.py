"""When compiling or running goes wrong: what was trained stays, and the next call works."""

import logging
import os
import signal
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler import compiled, step
from adjoint.compiler.capture import capture, screens
from adjoint.compiler.capture.changes import Changes
from adjoint.errors import AdjointError, TraceError
from adjoint.ir import passes

pytest.importorskip("llvmlite")
from adjoint.compiler.native import bound, budget, plan, writer
from adjoint.compiler.native.llvm import machine

PHASES = {
    "capture": (compiled, "capture"),
    "the end of capture": (capture, "Ending"),
    "passes": (passes.PASSES, "simplify"),
    "parts": (budget, "Part"),
    "emission": (writer.Writer, "part"),
    "LLVM": (machine, "_made"),
    "machine code": (machine, "machine_code"),
    "loading": (machine.Library, "__init__"),
    "binding": (bound.Bound, "__init__"),
}
X = ad.arange(15.0, dtype=ad.float64).reshape(5, 3)
ERRORS = {"a bug": RuntimeError, "no memory": MemoryError, "Ctrl-C": KeyboardInterrupt}


class Trained:
    """A step of training with state of every kind, and what it has now."""

    def __init__(self, wrap=compile):
        ad.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1)
        ).double()
        self.opt = optim.Adam(self.net.parameters(), lr=0.1)
        self.trouble = lambda where: None
        self.step = wrap(self.written)

    def written(self, x):
        """A step, with places where something may go wrong."""
        self.opt.zero_grad()
        self.trouble("at first")
        loss = self.net(x).square().mean()
        self.trouble("before backward")
        loss.backward()
        self.trouble("after backward")
        self.opt.step()
        self.trouble("at last")
        return loss

    def state(self, grads=True):
        """All numbers that it keeps."""
        kept = [*self.net.state_dict().values()]
        kept += [v for s in self.opt.state.values() for v in s.values()]
        if grads:  # and where the generator is
            kept += [p.grad for p in self.net.parameters() if p.grad is not None]
            kept.append(ad.get_rng_state())
        return [np.asarray(detached(v)).copy() for v in kept]


def detached(x):
    return x.detach() if isinstance(x, ad.Tensor) else x


def same(a, b):
    """Whether two states have the same numbers."""
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def goes_on(trained, calls):
    """It trains as if nothing had been: as one that is not compiled, after as many calls."""
    x, here = X.clone(), ad.get_rng_state()
    eager = Trained(lambda f: f)
    want = [eager.step(x).item() for _ in range(calls + 2)]
    ad.set_rng_state(here)
    got = [trained.step(x).item() for _ in range(2)]
    assert got == pytest.approx(want[calls:], rel=1e-9)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("phase", PHASES)
def test_what_stops_a_build(phase, error, monkeypatch):
    trained, x = Trained(), X.clone()
    trained.step(x)
    before = trained.state()

    def stop(*args, **kwargs):
        raise ERRORS[error]("on the way")

    place, name = PHASES[phase]
    with monkeypatch.context() as m:
        (m.setitem if isinstance(place, dict) else m.setattr)(place, name, stop)
        with pytest.raises(ERRORS[error], match="on the way"):
            trained.step(x)
    same(trained.state(), before)
    goes_on(trained, 1)
    assert len(trained.step.programs) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, TraceError])
@pytest.mark.parametrize(
    "where", ["at first", "before backward", "after backward", "at last"]
)
def test_the_function_raises_while_it_is_captured(where, error):
    trained, x = Trained(), X.clone()
    trained.step(x)
    before = trained.state()

    def trouble(here):
        if here == where:
            raise error("of the user")

    trained.trouble = trouble
    for _ in range(2):
        with pytest.raises(error, match="of the user"):
            trained.step(x)
        same(trained.state(), before)
    trained.trouble = lambda where: None
    goes_on(trained, 1)


def test_llvm_refuses_the_text(monkeypatch):
    trained, x = Trained(), X.clone()
    trained.step(x)
    before = trained.state()
    with monkeypatch.context() as m:
        m.setattr(plan.Plan, "efforts", lambda self: [("define nothing", 3)])
        with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
            trained.step(x)
    same(trained.state(), before)
    goes_on(trained, 1)


def test_a_step_that_fails_when_it_runs():
    trained, x = Trained(), X.clone()
    table = ad.eye(2)

    def step(x):
        return trained.written(x) + ad.linalg.cholesky(table).sum() * 0

    trained.step = compile(step)
    for _ in range(3):
        trained.step(x)
    before = trained.state(grads=False)
    table.neg_()
    for _ in range(2):
        with pytest.raises(ad.linalg.LinAlgError):
            trained.step(x)
        same(trained.state(grads=False), before)
    table.neg_()
    assert np.isfinite(trained.step(x).item())


@pytest.mark.parametrize("place", ["get_ident", "_screened"])
def test_ctrl_c_while_a_tensor_comes_behind_its_screen(monkeypatch, place):
    trained, x = Trained(), X.clone()
    trained.step(x)
    before, usual, came = trained.state(), getattr(screens, place), []

    def interrupted(*args):
        if not came:
            came.append(place)
            signal.raise_signal(signal.SIGINT)
        return usual(*args)

    monkeypatch.setattr(screens, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained.step(x)
    same(trained.state(), before)
    goes_on(trained, 1)


def test_ctrl_c_a_second_time_while_all_is_undone(monkeypatch):
    trained, x = Trained(), X.clone()
    trained.step(x)
    before, came = trained.state(), []
    undo = Changes.undo

    def interrupted(self):
        came.append(signal.raise_signal(signal.SIGINT))
        undo(self)

    with monkeypatch.context() as m:
        m.setattr(Changes, "undo", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained.step(x)
    assert len(came) == 1
    same(trained.state(), before)
    goes_on(trained, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_fork_waits_for_what_another_thread_captures():
    """Else the child has tensors and modes of a capture that nobody ends, and locked locks."""
    code = """
import os, threading, time
import adjoint as ad
from adjoint import nn
model, inside = nn.Dropout(), threading.Event()

@ad.compile
def f(x):
    model.eval()
    inside.set()
    time.sleep(0.3)
    return model.train()(x * 2)

f(ad.ones(2))
inside.clear()
thread = threading.Thread(target=f, args=(ad.ones(2),))
thread.start()
inside.wait()
if (child := os.fork()) == 0:
    whole = model.training and f(ad.ones(3)).shape == (3,) and f(ad.ones(3)).shape == (3,)
    os._exit(0 if whole else 1)
thread.join()
deadline = time.monotonic() + 60
while (found := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
    time.sleep(0.05)
if found == (0, 0):
    os.kill(child, 9)
print(found[1] == 0 and found[0] == child)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "ADJOINT_CACHE": "off"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_ctrl_c_while_llvm_works():
    code = """
import os, signal, threading, numpy as np, adjoint as ad
from adjoint import nn, optim
net = nn.Sequential(*(nn.Linear(24, 24) for _ in range(24)), nn.LayerNorm(24))
opt = optim.Adam(net.parameters())

@ad.compile
def step(x):
    opt.zero_grad()
    loss = net(x).tanh().square().mean()
    loss.backward()
    opt.step()
    return loss

x = ad.ones(4, 24)
step(x)
before = [p.detach().numpy().copy() for p in net.parameters()]
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    step(x)
    print("too late")
except KeyboardInterrupt:
    for a, p in zip(before, net.parameters()):
        assert (a == p.detach().numpy()).all()
    print("stopped")
print(np.isfinite(step(x).item()), np.isfinite(step(x).item()), len(step.programs))
"""
    env = {**os.environ, "ADJOINT_CACHE": "off"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == ["True", "True", "1"]


# ---------------------------------------------------------------- what is asked wrongly


@pytest.mark.parametrize("size", [(7, 3), (1, 3), (5, 3)])
def test_another_shape_is_another_program(size):
    f = compile(lambda x: (x * 2).sum(0))
    f(ad.ones(5, 3)), f(ad.ones(5, 3))
    for _ in range(3):
        assert f(ad.ones(size)).tolist() == [2.0 * size[0]] * 3


def test_a_shape_that_does_not_fit_is_the_error_of_eager():
    trained, x = Trained(), X.clone()
    for _ in range(3):
        trained.step(x)
    before = trained.state()
    for _ in range(2):
        with pytest.raises(AdjointError, match="4"):
            trained.step(ad.ones(5, 4).double())
        same(trained.state(), before)
    goes_on(trained, 3)


def test_results_that_are_no_tensors():
    class Thing:
        pass

    thing = Thing()
    f = compile(lambda x: (x * 2, "two", 2, None, thing, {"k": [x + 1]}))
    for _ in range(3):
        y, word, n, none, same_thing, kept = f(ad.ones(2))
        assert (y.tolist(), word, n, none) == ([2.0, 2.0], "two", 2, None)
        assert same_thing is thing
        assert kept["k"][0].tolist() == [2.0, 2.0]
    g = compile(lambda x: None)
    assert [g(ad.ones(1)) for _ in range(3)] == [None] * 3
    h = compile(lambda x: x.numpy() if False else np.float64(3.0))
    assert [h(ad.ones(1)) for _ in range(3)] == [3.0] * 3


SWAPPED = np.arange(3.0).astype(np.dtype("f8").newbyteorder("S"))
NO_TENSORS = [SWAPPED, np.array(["a", "b"]), np.array([1, None]), np.zeros(2, "M8[D]")]


@pytest.mark.parametrize("array", NO_TENSORS, ids=lambda x: x.dtype.kind)
def test_arrays_that_no_tensor_holds_are_left_as_they_are(array, caplog):
    f = compile(lambda x, array: (x * 2, array))
    for _ in range(3):
        y, same = f(ad.ones(2), array)
        assert y.tolist() == [2.0, 2.0]
        assert same is array
    (said,) = (r.message for r in caplog.records)
    assert f"no tensor holds an array of {array.dtype}, which it is given" in said
    assert ("this machine's byte order" in said) == (array is SWAPPED)


def test_an_array_of_traced_numbers_is_told():
    f = compile(lambda x: x.numpy())
    f(ad.ones(2))
    with pytest.raises(TraceError, match="no numbers yet"):
        f(ad.ones(2))


def test_recursion():
    @compile
    def power(x, n):
        return x if n == 0 else power(x, n - 1) * x

    for _ in range(3):
        assert power(ad.tensor(2.0), 5).item() == 64.0

    @compile
    def endless(x):
        return endless(x + 1)

    for _ in range(2):
        with pytest.raises(RecursionError):
            endless(ad.ones(1))
    assert compile(lambda x: x + 1)(ad.ones(1)).item() == 2.0


def test_state_that_is_gone():
    holder = {"w": ad.ones(2)}
    f = compile(lambda x: x * holder["w"])
    for _ in range(3):
        f(ad.ones(2))
    gone = weakref.ref(holder["w"])
    holder["w"] = ad.full((2,), 3.0)
    assert f(ad.ones(2)).tolist() == [3.0, 3.0]
    assert gone() is None or len(f.programs) <= 2
    del holder["w"]
    for _ in range(2):
        with pytest.raises(KeyError):
            f(ad.ones(2))
    holder["w"] = ad.ones(3)
    assert f(ad.ones(3)).tolist() == [1.0] * 3


def test_state_that_has_another_size_now():
    w = ad.ones(2)
    f = compile(lambda x: (x * w).sum())
    for _ in range(3):
        f(ad.ones(1))
    w.data = ad.ones(5)
    assert [f(ad.ones(1)).item() for _ in range(3)] == [5.0] * 3


def test_a_thread_that_fails_leaves_the_others_alone():
    trained, x = Trained(), X.clone()
    for _ in range(2):
        trained.step(x)
    errors = []

    def other():
        try:
            trained.step(ad.ones(2, 9).double())
        except AdjointError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(errors) == 1
    goes_on(trained, 2)


def no_llvmlite(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    return "llvmlite is not installed"


def a_later_llvmlite(monkeypatch):
    import llvmlite

    monkeypatch.setattr(llvmlite, "__version__", "0.99.1rc2")
    return "llvmlite is 0.99.1rc2 instead of 0.45 to 0.50"


def a_llvmlite_of_its_own(monkeypatch):
    import llvmlite

    monkeypatch.setattr(llvmlite, "__version__", "unknown")
    return "llvmlite is unknown instead of 0.45 to 0.50"


def llvmlite_without_its_library(monkeypatch):
    from llvmlite import utils

    monkeypatch.setattr(utils, "get_library_name", lambda: "nothing.so")
    return "llvmlite has no library"


def llvmlite_that_raises(monkeypatch, error=None):
    class Broken:
        def find_spec(name, *_):
            if name == "llvmlite":
                raise error or OSError("libffi.so.7: cannot open shared object file")

    for name in [n for n in sys.modules if n.partition(".")[0] == "llvmlite"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    return f"llvmlite cannot be imported ({error or 'libffi.so.7: cannot open'}"


def llvmlite_without_what_it_needs(monkeypatch):
    return llvmlite_that_raises(monkeypatch, ModuleNotFoundError("no ffi", name="ffi"))


@pytest.mark.parametrize(
    "broken",
    [
        no_llvmlite,
        llvmlite_that_raises,
        llvmlite_without_what_it_needs,
        a_later_llvmlite,
        a_llvmlite_of_its_own,
        llvmlite_without_its_library,
    ],
)
def test_without_llvmlite_a_step_trains(monkeypatch, caplog, broken):
    why = broken(monkeypatch)
    for name in [n for n in sys.modules if n.startswith("adjoint.compiler.native")]:
        monkeypatch.delitem(sys.modules, name)
    step.native_code.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "adjoint.compiler"):
            trained, x = Trained(), X.clone()
            trained.step(x)
            goes_on(trained, 1)
        assert why in caplog.text
        assert "compiled functions run on NumPy" in caplog.text
        (made,) = trained.step.programs.values()
        assert made.native is None
    finally:
        step.native_code.cache_clear()


ROWS = ad.arange(20.0, dtype=ad.float64).reshape(4, 5)
F = nn.functional
POSITIONS = {
    "cross_entropy": lambda x, i: F.cross_entropy(x, i),
    "smoothed": lambda x, i: F.cross_entropy(x, i, label_smoothing=0.1),
    "weighted": lambda x, i: F.cross_entropy(x, i, weight=x.detach()[0]),
    "ignored": lambda x, i: F.cross_entropy(x, i, ignore_index=1, reduction="none"),
    "nll_loss": lambda x, i: F.nll_loss(F.log_softmax(x, 1), i),
    "multi_margin_loss": lambda x, i: F.multi_margin_loss(x, i),
    "multilabel_margin_loss": lambda x, i: F.multilabel_margin_loss(
        x[:, :4], i.expand(4, 4)
    ),
    "multiclass_hinge_loss": lambda x, i: F.multiclass_hinge_loss(x, i),
    "squared_expectation_loss": lambda x, i: F.squared_expectation_loss(x, i),
    "ctc_loss, labels": lambda x, i: F.ctc_loss(
        x[:, None].log_softmax(2), i[None, 1:], ad.tensor([4]), ad.tensor([2])
    ),
    "ctc_loss, lengths": lambda x, i: F.ctc_loss(
        x[:, None].log_softmax(2), ad.tensor([[1]]), i[3:], ad.tensor([1])
    ),
    "embedding": lambda x, i: F.embedding(i, x.T),
    "embedding_bag": lambda x, i: F.embedding_bag(i[None], x.T),
    "one_hot": lambda x, i: F.one_hot(i, 5) * x,
    "gather": lambda x, i: x.gather(1, i[:, None]),
    "take_along_dim": lambda x, i: x.take_along_dim(i[:, None], 1),
    "index_select": lambda x, i: x.index_select(1, i),
    "take": lambda x, i: x.take(4 * i),
    "index": lambda x, i: x[:, i],
    "scatter": lambda x, i: x.scatter(1, i[:, None], 0.0),
    "scatter_add": lambda x, i: x.scatter_add(1, i[:, None], x),
    "scatter_reduce": lambda x, i: x.scatter_reduce(1, i[:, None], x, "amax"),
    "index_add": lambda x, i: x.index_add(1, i, x[:, :4]),
    "index_copy": lambda x, i: x.index_copy(1, i, x[:, 1:]),
    "index_fill": lambda x, i: x.index_fill(1, i, 1.0),
    "index_put": lambda x, i: x.index_put((ad.arange(4), i), x[0, :4]),
}


def told(f, *args):
    """What an error says, without the line that it is about."""
    with pytest.raises((AdjointError, IndexError)) as caught:
        f(*args)
    return type(caught.value), str(caught.value).split("\n")[0]


@pytest.mark.parametrize("bad", [5, 2**40, -1, -6, -100])
@pytest.mark.parametrize("name", POSITIONS)
def test_positions_out_of_range_are_errors_that_change_nothing(name, bad):
    """The error of eager, where eager has one; state and gradients stay as they were."""
    f, index = POSITIONS[name], ad.tensor([2, 0, 1, 3])
    x, calls = ROWS.clone().requires_grad_(), ad.zeros(())

    def step(i):
        x.grad = None
        y = f(x, i)
        calls.add_(1)
        if y.requires_grad:
            y.sum().backward()
        return y

    program = compile(step)
    for _ in range(3):
        program(index)
    index[3] = bad
    grad, before = x.grad, None if x.grad is None else x.grad.clone()
    try:
        with ad.no_grad():
            want = f(x, index)
    except AdjointError as error:
        expected = type(error), str(error).split("\n")[0]
    else:  # from the end, or ignored
        np.testing.assert_allclose(program(index).detach(), want, rtol=1e-12)
        return
    for _ in range(2):
        assert told(program, index) == expected
        assert x.grad is grad
        assert grad is None or np.array_equal(grad, before)
        assert calls.item() == 3
    index[3] = 3
    program(index)
    assert calls.item() == 4


def _after(w, x, i):
    w.square().sum().backward()
    return x[i]


def _in_a_call(w, x, i):
    w.square().sum().backward()
    return ad.linalg.cholesky(ad.eye(2) * (4 - i[0]))


def _in_lots(w, x, i):
    """A loop whose rows threads share."""
    rows = ad.zeros(64, 64, dtype=ad.float64) + w.sum()
    at = i.expand(40, 64, 64)
    y, _ = ad.scan(lambda h, j: ((h + x[0][j]).tanh(), h.sum()), rows, at)
    return y.sum()


@pytest.mark.parametrize("late", [_after, _in_a_call, _in_lots])
def test_gradients_outlast_an_error_that_comes_after_them(late):
    w, x = ad.arange(64.0, requires_grad=True), ROWS.clone()

    def step(i):
        w.grad = None
        (w * w * i[0]).sum().backward()
        with ad.no_grad():
            w.mul_(0.5)
        y = late(w.detach().requires_grad_(), x, i)
        with ad.no_grad():
            w.add_(1 + 0 * y.sum())

    program = compile(step)
    good, bad = ad.tensor([1]), ad.tensor([7])
    for _ in range(3):
        program(good)
    grad, numbers, before = w.grad, w.grad.clone(), w.detach().clone()
    for _ in range(3):
        with pytest.raises(AdjointError):
            program(bad)
        assert w.grad is grad
        np.testing.assert_array_equal(grad, numbers)
        np.testing.assert_array_equal(w.detach(), before)
    program(good)
    np.testing.assert_allclose(w.grad, 2 * before, rtol=1e-6)


UNUSED = {
    "index": lambda x, i: x[i],
    "embedding": lambda x, i: F.embedding(i, x),
    "gather": lambda x, i: x.gather(0, i.reshape(2, 1)),
    "write": lambda x, i: (x * 1).index_put_((i,), x[0, 0]),
    "loss": lambda x, i: F.cross_entropy(x[:2], i),
    "division": lambda x, i: i // (i - 3),
    "one_hot": lambda x, i: F.one_hot(i, 3),
}


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_refused_is_refused_though_its_result_is_not_needed(name):
    w = ad.zeros(2)

    def f(x, i):
        UNUSED[name](x, i)
        w.add_(1)
        return x * 2

    g, x = compile(f), ad.arange(6.0).reshape(3, 2)
    for good in ([0, 1], [1, 0], [1, 1]):
        g(x, ad.tensor(good))
    before = w.clone()
    with pytest.raises(AdjointError) as want:
        UNUSED[name](x, ad.tensor([0, 3]))
    with pytest.raises(type(want.value)) as got:
        g(x, ad.tensor([0, 3]))
    assert str(got.value).splitlines()[0] == str(want.value).splitlines()[0]
    assert w.tolist() == before.tolist()
    g(x, ad.tensor([1, 0]))
    assert g.programs and not g.unfit


def test_positions_that_an_operation_gives_are_not_looked_at_in_vain():
    f = compile(lambda x: (x.topk(2).indices, x.max(0).indices, x.sort(0).indices))
    for _ in range(2):
        f(ad.arange(6.0).reshape(3, 2))
    assert "tried" not in f.program()


LENGTHS = {
    "bincount": (lambda i: ad.bincount(i, minlength=5), "scatter_add"),
    "unique": (lambda i: i.unique(), "sort"),
    "unique_consecutive": (lambda i: i.unique_consecutive(), "sort"),
    "repeat_interleave": (lambda i: ad.ones(3).repeat_interleave(i), "a list"),
    "one_hot": (lambda i: ad.nn.functional.one_hot(i), "num_classes"),
    "nonzero": (lambda i: i.nonzero(), "where"),
    "mask": (lambda i: i[i > 0], "where"),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_only_numbers_tell(name):
    f, hint = LENGTHS[name]
    fast = compile(f)
    fast(ad.tensor([0, 2, 1]))
    with pytest.raises(TraceError, match=f"shape of this result depends[^!]*{hint}"):
        fast(ad.tensor([0, 2, 1]))


def its_line(f, *args):
    """The line that the error of a call names."""
    with pytest.raises(ad.errors.AdjointError) as caught:
        f(*args)
    return str(caught.value).split("\n")[1].partition(": ")[2]


def a_class(x, i):
    y = x * 2
    return nn.functional.cross_entropy(y, i)  # the class


def a_row(x, i):
    return nn.functional.embedding(i, x).sum()  # the row


def a_position(x, i):
    y = x[i]  # the position
    return y.sum()


def a_position_along_a_dim(x, i):
    return x.gather(1, i[:, None])  # along a dim


def a_divisor(x, i):
    return 7 // (i - 9)  # the divisor


def a_position_in_a_loop(x, i):
    def body(c, j):
        return c + x[j].sum(), None  # in a loop

    return ad.scan(body, ad.tensor(0.0), i)[0]


def a_class_and_its_gradient(x, i):
    x = x.detach().requires_grad_()
    loss = nn.functional.nll_loss(x.log_softmax(-1), i)  # forward
    loss.backward()
    return x.grad


@pytest.mark.parametrize(
    "f",
    (
        a_class,
        a_row,
        a_position,
        a_position_along_a_dim,
        a_divisor,
        a_position_in_a_loop,
        a_class_and_its_gradient,
    ),
    ids=lambda f: f.__name__,
)
def test_an_error_of_numbers_names_the_line_within_the_function(f):
    x, compiled = ad.ones(3, 3), ad.compile(f)
    for _ in range(2):
        compiled(x, ad.tensor([0, 1, 2]))
    want = its_line(f, x, ad.tensor([0, 9, 1]))
    assert "#" in want
    assert its_line(compiled, x, ad.tensor([0, 9, 1])) == want
    compiled(x, ad.tensor([0, 1, 2]))


def test_of_two_lines_that_may_have_failed_none_is_named():
    @ad.compile
    def f(x, i, j):
        y = x[i]
        return y + x[j]

    x, good = ad.ones(3), ad.tensor([0, 1])
    for _ in range(2):
        f(x, good, good + 1)
    assert "its_line" not in its_line(f, x, good, good + 2)
    assert "f(*args)" in its_line(f, x, good, good + 2)
