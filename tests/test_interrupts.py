"""Ctrl-C in a compiled loop that runs long: it ends, nothing has changed, the next call works."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("llvmlite")

LOOPS = {
    "a while_loop without end": """
def f(x, n):
    w.add_(1)
    return ad.while_loop(lambda y: (y < n).all(), lambda y: y * 0.5, x) + w.sum()
given, endless = (ad.zeros(4), ad.tensor(0.0)), (ad.zeros(4), ad.tensor(1.0))
""",
    "one inside of a scan, after other work": """
def f(x, n):
    p = ad.tanh(x @ ad.ones(4, 4))
    w.add_(p.sum() + 1)
    def step(y, t):
        return ad.while_loop(lambda y: (y < n).all(), lambda y: y * 0.5, y), y * t
    return ad.scan(step, x + p, ad.ones(3))[0]
given, endless = (ad.zeros(4), ad.tensor(0.0)), (ad.zeros(4), ad.tensor(1.0))
""",
    "a scan of elements": """
def f(x, ts):
    w.add_(1)
    return ad.scan(lambda y, t: (ad.sin(y + t), y[0]), x, ts)
given, endless = (ad.zeros(20000), ad.ones(3)), (ad.zeros(20000), ad.ones(400000))
""",
    "a scan whose rows threads share": """
a = ad.randn(64, 64) * 0.01
def f(x, ts):
    w.add_(1)
    return ad.scan(lambda y, t: (ad.tanh(y @ a + t), None), x, ts)[0]
given, endless = (ad.zeros(256, 64), ad.ones(3)), (ad.zeros(256, 64), ad.ones(400000))
""",
    "a fori_loop": """
def f(x, n):
    w.add_(1)
    return ad.fori_loop(0, 10**6 if n else 1, lambda i, y: ad.sin(y) + i, x)
given, endless = (ad.zeros(20000), 0), (ad.zeros(20000), 1)
""",
    "draws, and what NumPy does": """
def f(x, n):
    ad.debug.check(x.sum() < 1, "large")
    r = ad.rand(4)
    w.add_(r)
    return ad.while_loop(lambda y: (y.prod() < n).all(), lambda y: y * 0.5, x) + r
given, endless = (ad.zeros(4), ad.tensor(0.0)), (ad.zeros(4), ad.tensor(1.0))
""",
}
PROGRAM = """
import os, signal, sys, threading, time
import adjoint as ad
ad.set_num_threads(int(sys.argv[1]))
w = ad.zeros(4)
{loop}
expected = f(*given)  # eagerly, and the first call of what is compiled
g = ad.compile(f)
for _ in range(3):
    g(*given)
before, state = w.tolist(), ad.get_rng_state().tolist()
def told(number, frame):
    {first}
    raise {error}("told")
signal.signal(signal.SIGINT, told)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
started = time.monotonic()
try:
    g(*endless)
except {error} as error:
    assert str(error) == "told", error
    assert time.monotonic() - started < 8
    assert w.tolist() == before, (w, before)
    g(*given)
    assert w.tolist() != before
    print("good")
"""


def _run(loop, threads, error="KeyboardInterrupt", first=""):
    code = PROGRAM.format(loop=LOOPS[loop], error=error, first=first)
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(threads)],
        env=where,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "good\n", done.stderr


@pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="signals as POSIX has them"
)
class TestSignals:
    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("loop", LOOPS)
    def test_ctrl_c_ends_a_loop(self, loop, threads):
        _run(loop, threads)

    def test_whatever_a_handler_raises_ends_it(self):
        _run("a while_loop without end", 1, "TimeoutError")

    def test_a_handler_may_call_what_it_interrupts(self):
        _run(
            "a while_loop without end", 1, first="assert g(*given)[0] == 20; w.sub_(1)"
        )
