"""Threads: the same bits for any number of them, and they are nobody's trouble."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.compiler import alone
from adjoint.core import threads as counting
from adjoint.errors import ArgumentError, ArgumentTypeError

pytest.importorskip("llvmlite")
from adjoint.compiler.native import sharing

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def restored():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


@pytest.fixture
def cut(monkeypatch):
    """However small a kernel is, it is cut."""
    monkeypatch.setattr(sharing, "LEAST", -1.0)
    monkeypatch.setattr(sharing, "WORTH", -1.0)
    monkeypatch.setattr(sharing, "GRAIN", 1.0)


def rand(*shape):
    return ad.tensor(
        np.random.default_rng(sum(shape)).normal(size=shape), dtype=ad.float32
    )


def mlp():
    """A training step of a network with two layers."""
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 70), nn.Tanh(), nn.Linear(70, 10))
    opt = optim.Adam(model.parameters(), lr=1e-2)
    x, t = rand(37, 40), ad.tensor(np.arange(37) % 10)

    def step(x, t):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        opt.step()
        return loss, *(p.detach() for p in model.parameters())

    return step, (x, t)


def convolutions():
    """Convolution, batch norm and pooling, forward and backward."""
    ad.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 17, 3, padding=1),
        nn.MaxPool2d(2),
    )
    opt = optim.SGD(model.parameters(), lr=1e-2)

    def step(x):
        opt.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss, *(p.detach() for p in model.parameters())

    return step, (rand(5, 3, 12, 12),)


def rows():
    """Softmax and layer norm with their gradients: sums of rows and of columns."""
    g, b = rand(53).requires_grad_(), rand(53).requires_grad_()

    def f(x):
        x = x.detach().requires_grad_()
        h = nn.functional.layer_norm(x, (53,), g, b)
        y = (h * h.softmax(-1)).sum(0).sin().sum()
        return y, *ad.autograd.grad(y, (x, g, b))

    return f, (rand(129, 53),)


def lstm():
    """A recurrent network with its gradients, a loop in the program."""
    ad.manual_seed(0)
    model = nn.LSTM(11, 20)

    def f(x):
        y = model(x)[0].square().sum()
        return y, *ad.autograd.grad(y, tuple(model.parameters()))

    return f, (rand(6, 9, 11),)


def attention():
    """Scaled products with a causal mask."""

    def f(q, k, v):
        q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        loss = y.square().sum()
        return y, *ad.autograd.grad(loss, (q, k, v))

    return f, tuple(rand(2, 3, 19, 8) + i for i in range(3))


def embedding():
    """Rows looked up, and gradients added where they came from."""
    table = rand(31, 17).requires_grad_()

    def f(i):
        y = nn.functional.embedding(i, table).sin().sum()
        return y, *ad.autograd.grad(y, (table,))

    return f, (ad.tensor(np.arange(600).reshape(20, 30) % 13),)


def whole():
    """Sums of everything, in one pass and in two."""

    def f(x):
        return x.mean(), x.amax(), x.std(), (x.exp() * 2).sum((0, 2)), x.flatten().sum()

    return f, (rand(7, 50, 21),)


def odd():
    """Spaces that no vector divides, or that have one dim that can be cut."""

    def f(x, y):
        return x.T.exp() + y, (x[:, 1:] * 2).cumsum(1), ad.cat([x, x * 2]), x.flip(0)

    return f, (rand(3, 1001), rand(1001, 3))


def deep():
    """Gradients of weights that sum over many rows, which threads share."""

    def f(x, g):
        h = (g * 2).tanh()
        return h.T @ x, x.T @ h, (h * 0.5).T @ (x + 1)

    return f, (rand(1000, 131), rand(1000, 96))


WORK = [mlp, convolutions, rows, lstm, attention, embedding, whole, odd, deep]


def bits(make, count):
    """What three calls give with so many threads, all from the same start."""
    ad.set_num_threads(count)
    f, args = make()
    f = ad.compile(f)
    for _ in range(3):
        out = f(*args)
    assert f.programs
    return [x.detach().numpy().copy() for x in out]


@pytest.mark.parametrize("make", WORK, ids=lambda f: f.__name__)
def test_the_same_bits_for_any_number_of_threads(make, cut):
    """One thread and four; and nearly what eager gives."""
    f, args = make()
    for _ in range(3):
        eager = f(*args)
    one = bits(make, 1)
    for count in (2, 3, 4):
        for x, y in zip(bits(make, count), one, strict=True):
            assert x.tobytes() == y.tobytes()
    for x, y in zip(one, eager, strict=True):
        assert np.allclose(x, y.detach().numpy(), rtol=2e-4, atol=2e-4)


def test_products_of_many_rows_are_cut_along_the_rows(cut):
    """In parts of which each sum is one of registers; not where there are few rows."""
    f, args = deep()
    f = ad.compile(f)
    for _ in range(2):
        f(*args)
    found = f._native(*args).part.deep.values()
    assert [d.parts for d in found] == [4, 4, 4]
    few = [x[:200] for x in args]
    for _ in range(2):
        f(*few)
    assert not f._native(*few).part.deep


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, [2]])
def test_numbers_of_threads_that_make_no_sense(n):
    """PyTorch's rule: a positive int; beyond it, None asks for what the machine grants."""
    for f in (ad.set_num_threads, ad.set_num_interop_threads):
        with pytest.raises((ArgumentError, ArgumentTypeError), match=f.__name__):
            f(n)


def test_another_number_needs_no_other_program(cut):
    """It counts from the next call on."""
    f = ad.compile(lambda x: (x * 2).tanh())
    x = rand(64, 64)
    for n in (1, 4, 2, 1, 3):
        ad.set_num_threads(n)
        assert ad.get_num_threads() == n
        assert np.allclose(f(x).numpy(), np.tanh(2 * x.numpy()), rtol=1e-6)
    assert len(f.programs) == 1


def test_several_threads_of_python_call_at_once(cut):
    """One of them has the crew; the others work alone; all are right."""
    ad.set_num_threads(3)
    failed = []

    def work(seed):
        f = ad.compile(lambda x: (x.exp() * seed).softmax(-1).sum(0))
        x = rand(90 + seed, 70)
        first = f(x).numpy()
        for _ in range(150):
            if not np.allclose(f(x).numpy(), first, rtol=1e-5):
                failed.append(seed)

    working = [threading.Thread(target=work, args=(i,)) for i in range(1, 6)]
    for t in working:
        t.start()
    for t in working:
        t.join(60)
    assert not failed and not any(t.is_alive() for t in working)


def test_threads_share_a_training_step_from_its_first_call_on():
    """None sees what stands for state while another captures the step."""
    w = ad.nn.Parameter(ad.ones(3))
    opt = ad.optim.SGD([w], lr=0.125)

    @ad.compile
    def step(x):
        opt.zero_grad()
        (w * x).sum().backward()
        time.sleep(0.01)  # others have their turn, were they to take it
        opt.step()

    failed = []

    def work():
        try:
            for _ in range(5):
                step(ad.ones(3))
        except Exception as error:
            failed.append(error)

    working = [threading.Thread(target=work) for _ in range(4)]
    for t in working:
        t.start()
    for t in working:
        t.join(60)
    assert not failed
    assert w.tolist() == [1 - 20 * 0.125] * 3


def test_who_waits_for_a_thread_that_waits_for_it_goes_on(monkeypatch):
    monkeypatch.setattr(alone, "PATIENCE", 0.05)
    inner = ad.compile(lambda x: x * 2)
    results = []

    @ad.compile
    def outer(x):
        t = threading.Thread(target=lambda: results.append(inner(ad.ones(1)).item()))
        t.start()
        t.join(60)
        return x + 1

    assert [outer(ad.ones(1)).item() for _ in range(3)] == [2.0] * 3
    assert results == [2.0] * len(results) and results


def test_many_short_jobs_of_different_sizes(cut):
    """Who comes late to a job takes no chunk of the next one by mistake."""

    def f(x, w):
        def body(x, _):
            h = (x @ w).tanh()
            return (h + h.mean(0) + h.amax(1, keepdim=True)).softmax(-1), h[:, :3]

        return ad.scan(body, x, length=60)

    f, args = ad.compile(f), (rand(40, 33), rand(33, 33))
    ad.set_num_threads(1)
    f(*args)
    want = [y.numpy().tobytes() for y in f(*args)]
    ad.set_num_threads(4)
    for _ in range(150):
        assert [y.numpy().tobytes() for y in f(*args)] == want


def test_the_environment_and_the_quota_limit_the_number(monkeypatch, tmp_path):
    """ADJOINT_NUM_THREADS first, then OMP_NUM_THREADS, then cores and control groups."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7,3")
    monkeypatch.delenv("ADJOINT_NUM_THREADS", raising=False)
    assert counting.granted() == 7
    monkeypatch.setenv("ADJOINT_NUM_THREADS", "5")
    assert counting.granted() == 5
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n1:cpu,cpuacct:/c\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert counting.quota(tmp_path, own) == np.inf
    (tmp_path / "a" / "cpu.max").write_text("250000 100000\n")
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert counting.quota(tmp_path, own) == 2.5
    first = tmp_path / "cpu,cpuacct" / "c"
    first.mkdir(parents=True)
    (first / "cpu.cfs_quota_us").write_text("150000\n")
    (first / "cpu.cfs_period_us").write_text("100000\n")
    assert counting.quota(tmp_path, own) == 1.5
    (first / "cpu.cfs_quota_us").write_text("-1\n")
    assert counting.quota(tmp_path, own) == 2.5
    assert counting.quota(tmp_path, tmp_path / "none") == np.inf
    own.write_bytes(b"\nno group\n0::/\xff\n1:cpu,cpuacct:/c\n")
    (first / "cpu.cfs_quota_us").write_text("150000\n")
    assert counting.quota(tmp_path, own) == 1.5


def test_systems_that_tell_of_no_affinity(monkeypatch):
    """It is missing, as on macOS, or refused."""

    def refused(pid):
        raise PermissionError

    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(os, "sched_getaffinity", refused, raising=False)
    assert counting.cores() == 6
    monkeypatch.delattr(os, "sched_getaffinity")
    assert counting.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert counting.cores() == 1


# ---------------------------------------------------------------- processes

START = """
import os, signal, sys, threading, time
import numpy as np
import adjoint as ad
from adjoint.compiler.native import sharing
sharing.LEAST = sharing.WORTH = -1.0
sharing.GRAIN = 1.0
f = ad.compile(lambda x: (x * 2).exp())
x = ad.tensor(np.full((300, 300), 0.5, np.float32))
def right():
    return np.allclose(f(x).numpy(), np.e, rtol=1e-5)
"""


def program(text, timeout=60, **kwargs):
    """Run a script that ends with the exit code it should have."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "ADJOINT_NUM_THREADS": "3"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    code = START + textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        timeout=timeout,
        capture_output=True,
        text=True,
        **kwargs,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@LINUX
def test_no_more_threads_than_asked_for():
    """Started when they are needed, gone when they are too many."""
    program("""
    def count():
        return len(os.listdir("/proc/self/task"))
    def soon(n):
        for _ in range(2000):
            assert right()
            if count() == n:
                return True
        return False
    assert count() == 1
    right(), right()
    assert count() == 3, count()
    ad.set_num_threads(2)
    assert soon(2), count()
    ad.set_num_threads(1)
    assert soon(1), count()
    ad.set_num_threads(4)
    assert soon(4), count()
    """)


@POSIX
def test_children_of_a_fork_have_a_crew_of_their_own():
    """Also when another thread was in the program; and theirs end with them."""
    program(
        """
    right(), right()
    busy = threading.Thread(target=lambda: [right() for _ in range(400)])
    busy.start()
    for _ in range(8):
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if right() and right() else 1)
        assert right()
        assert os.waitpid(child, 0)[1] == 0
    busy.join()
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(pool.map(lambda_free, range(4)))
    """.replace("lambda_free", "check").replace(
            "right(), right()\n",
            "right(), right()\n    def check(i):\n        return right()\n",
            1,
        )
    )


def test_the_interpreter_ends_while_threads_wait():
    """At once, without a crash."""
    for end in ("", "sys.exit(0)", "os._exit(0)"):
        program(f"right(), right()\n{end}")


def test_the_interpreter_ends_while_another_thread_computes():
    """A daemon thread is in the program."""
    program("""
    right(), right()
    def on():
        while True:
            right()
    threading.Thread(target=on, daemon=True).start()
    time.sleep(0.05)
    """)


@POSIX
def test_an_interrupt_comes_through():
    """Ctrl-C reaches Python's own thread, and programs work after it."""
    program("""
    right(), right()
    for _ in range(5):
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            while True:
                right()
        except KeyboardInterrupt:
            pass
        timer.join()
        assert right()
    """)


def test_the_number_changes_while_others_compute():
    """Threads of Python that set it do not disturb those that call."""
    program("""
    stop = []
    def change():
        n = 0
        while not stop:
            n += 1
            ad.set_num_threads(1 + n % 5)
    changing = threading.Thread(target=change)
    changing.start()
    wrong = []
    def on():
        for _ in range(300):
            if not right():
                wrong.append(1)
    working = [threading.Thread(target=on) for _ in range(3)]
    for t in working: t.start()
    for t in working: t.join()
    stop.append(1)
    changing.join()
    assert not wrong and right()
    """)


def test_a_program_within_a_program():
    """What NumPy does in a program may call another one, on the same crew."""
    program("""
    from adjoint.core.primitive import op
    inner, built, eager = [], [], type(op.fft).eager
    def calls(*args, **params):
        if built:
            inner.append(right())
        return eager(*args, **params)
    type(op.fft).eager = staticmethod(calls)
    right(), right()
    g = ad.compile(lambda x: ad.fft.fft((x * 2).exp()).real.exp())
    z = ad.tensor(np.zeros((200, 64), np.float32))
    want = [g(z).numpy() for _ in range(3)][-1]
    built.append(1)
    for _ in range(6):
        assert (g(z).numpy() == want).all()
    assert len(inner) == 6 and all(inner)
    """)


@POSIX
def test_an_interrupt_during_a_long_call_is_served_after_it():
    """The call ends; then KeyboardInterrupt is raised, once, and state is whole."""
    program("""
    def body(y, _):
        return (y @ y * 0.01).tanh(), None
    g = ad.compile(lambda y: ad.scan(body, y, None, length=4000)[0])
    y = ad.tensor(np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32))
    g(y)
    want = g(y).numpy()
    start = time.perf_counter()
    g(y)
    whole = time.perf_counter() - start
    timer = threading.Timer(whole / 4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    try:
        for _ in range(50):
            g(y)
        assert False, "not interrupted"
    except KeyboardInterrupt:
        assert time.perf_counter() - start < 4 * whole + 1
    timer.join()
    assert (g(y).numpy() == want).all()
    """)


@LINUX
def test_cores_that_are_taken_away_while_it_runs():
    """On one core from then on: all is right, and not much slower than one thread."""
    program("""
    right(), right()
    cores = os.sched_getaffinity(0)
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {min(cores)})
    start = time.perf_counter()
    assert all(right() for _ in range(200))
    shared = time.perf_counter() - start
    ad.set_num_threads(1)
    start = time.perf_counter()
    assert all(right() for _ in range(200))
    assert shared < 5 * (time.perf_counter() - start) + 0.5
    """)


@LINUX
def test_threads_that_cannot_be_started():
    """Without memory for their stacks the caller does all."""
    program("""
    import resource
    ad.set_num_threads(1)
    right(), right()
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**22, -1))
    ad.set_num_threads(4)
    assert all(right() for _ in range(20))
    assert len(os.listdir("/proc/self/task")) == 1
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    ad.set_num_threads(4)
    assert all(right() for _ in range(20))
    assert len(os.listdir("/proc/self/task")) == 4
    """)


@POSIX
def test_many_programs_in_many_threads_of_python():
    """Each of its own shape, built and run at the same time; then a child does the same."""
    program("""
    def work(seed, good):
        h = ad.compile(lambda x: (x.exp() * seed).sum(0))
        z = ad.tensor(np.full((50 + seed, 64), 0.25, np.float32))
        want = np.exp(np.float32(0.25)) * seed * (50 + seed)
        for _ in range(40):
            if not np.allclose(h(z).numpy(), want, rtol=1e-4):
                return
        good.append(seed)
    def all_of_them():
        good = []
        working = [threading.Thread(target=work, args=(i, good)) for i in range(1, 9)]
        for t in working: t.start()
        for t in working: t.join()
        return len(good) == 8
    assert all_of_them()
    child = os.fork()
    if not child:
        signal.alarm(40)
        os._exit(0 if all_of_them() else 1)
    assert os.waitpid(child, 0)[1] == 0
    """)


def test_without_posix_threads_there_is_one():
    """As on Windows: programs are not cut, and `explain` says why."""
    program("""
    import random  # which asks for os.fork alone
    del os.register_at_fork
    assert right() and right() and right()
    assert threading.active_count() == 1 and ad.get_num_threads() == 3
    (region,) = f.explain().regions
    assert region.chunks == 1 and region.alone == "this system has no POSIX threads"
    """)


@LINUX
def test_none_looks_again_at_what_is_granted(monkeypatch):
    for name in counting.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    cores = os.sched_getaffinity(0)
    ad.set_num_threads(7)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert ad.get_num_threads() == 7
        ad.set_num_threads(None)
        assert ad.get_num_threads() == 1
    finally:
        os.sched_setaffinity(0, cores)
    ad.set_num_threads(None)
    assert ad.get_num_threads() == counting.granted()
    monkeypatch.setenv("ADJOINT_NUM_THREADS", "3")
    ad.set_num_threads(None)
    assert ad.get_num_threads() == 3


def seen_meanwhile(look, model, opt):
    """What `look` gives before, while a step is captured, after; in another thread."""
    seen, started, go_on = [], threading.Event(), threading.Event()
    turn = 0

    def work():
        started.wait()
        try:
            seen.append(look())
        except Exception as error:  # told to the test
            seen.append(error)
        go_on.set()

    def pause():
        started.set()
        assert go_on.wait(60)

    @ad.compile
    def step(x):
        opt.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        if turn:
            pause()
        return loss

    x = rand(6, 4)
    step(x)
    turn, thread = 1, threading.Thread(target=work)
    before = look()
    thread.start()
    step(x)  # captured: all is changed on tracers when the other thread looks
    thread.join()
    turn = 0
    assert not step.unfit
    return before, seen[0]


LOOKS = {
    "gradients": lambda model, opt: [p.grad.numpy().copy() for p in model.parameters()],
    "parameters": lambda model, opt: [
        p.detach().numpy().copy() for p in model.parameters()
    ],
    "a sum": lambda model, opt: [model[0].weight.sum().item()],
    "a forward pass": lambda model, opt: [model(rand(6, 4)).detach().numpy()],
    "a backward pass": lambda model, opt: [
        g.numpy()
        for g in ad.autograd.grad(model(rand(6, 4)).sum(), list(model.parameters()))
    ],
    "state": lambda model, opt: [
        x.numpy().copy() for s in opt.state.values() for x in s.values()
    ],
    "a copy": lambda model, opt: [
        p.detach().numpy() for p in copy.deepcopy(model).parameters()
    ],
    "a pickle": lambda model, opt: [
        p.detach().numpy()
        for p in pickle.loads(pickle.dumps(model.state_dict())).values()
    ],
    "buffers": lambda model, opt: [b.numpy().copy() for b in model.buffers()],
    "classes": lambda model, opt: [
        isinstance(p, nn.Parameter) and p.__class__ is nn.Parameter and p.is_leaf
        for p in model.parameters()
    ],
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_other_threads_see_nothing_of_a_capture(look):
    ad.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)
    )
    model[1].eval()
    opt = optim.Adam(model.parameters(), lr=1e-2)
    before, seen = seen_meanwhile(lambda: look(model, opt), model, opt)
    assert not isinstance(seen, Exception), seen
    for a, b in zip(before, seen, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(type(p) is nn.Parameter for p in model.parameters())


def test_what_other_threads_do_to_tensors_meanwhile_stays():
    ad.manual_seed(0)
    model, other = nn.Linear(4, 2), ad.zeros(3)
    opt = optim.SGD(model.parameters(), lr=0.0)

    def look():
        other.add_(1)
        (model.weight.sum() * 2).backward()
        model.bias.grad = ad.full((2,), 7.0)
        model.bias.mine = "something"
        return model.weight.grad.numpy().copy()

    before, seen = seen_meanwhile(look, model, opt)
    np.testing.assert_allclose(seen, before + 2, rtol=1e-6)
    assert model.bias.mine == "something"
    assert other.tolist() == [2, 2, 2]


def test_a_tensor_that_a_capture_puts_elsewhere_is_an_error_for_other_threads():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.last = nn.Parameter(ad.ones(3)), ad.zeros(3)

        def forward(self, x):
            self.last = self.w * x
            return self.last

    model = Model()
    caught = []

    def look():
        try:
            return [(model.last * 2).sum().item()]
        except ad.errors.TraceError as error:
            caught.append(str(error))

    x = ad.ones(3)
    started, go_on = threading.Event(), threading.Event()
    turn = 0

    @ad.compile
    def step(x):
        y = model(x)
        if turn:
            started.set()
            assert go_on.wait(60)
        return y * 2

    def work():
        started.wait()
        look()
        go_on.set()

    step(x)
    turn, thread = 1, threading.Thread(target=work)
    thread.start()
    step(x)
    thread.join()
    assert "another thread captures a function" in caught[0]
    assert model.last.tolist() == [1, 1, 1]
