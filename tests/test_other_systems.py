"""What only some systems have is missed by nobody: compiled functions run without it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")
from adjoint.compiler.native.digest import _libc
from adjoint.compiler.native.llvm import machine

SRC = str(Path(__file__).parents[1] / "src")
# What Windows does not have, of that which is looked at; nor has it a C library of no name,
# and none but Linux has /proc and /sys.
WITHOUT = """
import builtins, ctypes, io, os, random, signal, subprocess, sys, time
import numpy as np

for name in ("register_at_fork", "fork", "sched_getaffinity", "confstr", "confstr_names",
             "sysconf", "geteuid", "getuid", "killpg", "getloadavg"):
    if hasattr(os, name):
        delattr(os, name)
for place, start in ((signal, ("SIG_", "pthread_")), (time, ("CLOCK_", "clock_get"))):
    for name in [x for x in vars(place) if x.startswith(start)]:
        if name not in ("SIG_DFL", "SIG_IGN"):
            delattr(place, name)
opened, library = builtins.open, ctypes.CDLL

def open_here(name, *args, **kwargs):
    if str(name).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(name)
    return opened(name, *args, **kwargs)

def named(name, *args, **kwargs):
    if name is None:
        raise TypeError("argument of type 'NoneType' is not iterable")
    return library(name, *args, **kwargs)

builtins.open, ctypes.CDLL = open_here, named
sys.platform = "win32"
import platform
platform.system = lambda: "Windows"
os.environ["LOCALAPPDATA"] = sys.argv[1]
import adjoint as ad
"""


def program(text, tmp_path):
    """Run a script on such a system; what it prints."""
    env = {k: x for k, x in os.environ.items() if k != "ADJOINT_CACHE"}
    env |= {"PYTHONPATH": SRC, "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-c", WITHOUT + textwrap.dedent(text), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_functions_are_compiled_and_found_again(tmp_path):
    """Products, sums, loops, random numbers and a step of training, with cache and `explain`."""
    text = """
    from adjoint import nn, optim
    model = nn.Sequential(nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 5))
    adam = optim.Adam(model.parameters())

    def step(x):
        adam.zero_grad()
        y = (model(x) ** 2).mean()
        y.backward()
        adam.step()
        return y

    def loop(x):
        h = ad.scan(lambda h, _: ((h @ h * 0.01).tanh(), None), x, None, length=300)[0]
        return h + ad.rand(40, 40) + x.sort()[0]

    x = ad.tensor(np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32))
    for f in map(ad.compile, (step, loop)):
        for _ in range(3):
            f(x)
        assert all(r.chunks == 1 for r in f.explain().regions)
        print(f._native().cached)
    assert not ad.set_flush_denormal(True)
    assert ad.get_num_threads() >= 1
    """
    assert program(text, tmp_path).split() == ["False"] * 2
    assert list(tmp_path.rglob("adjoint/code*/*.code"))
    assert program(text, tmp_path).split() == ["True"] * 2


def test_c_libraries_that_do_not_tell_what_they_are(monkeypatch):
    """musl knows the question, and refuses to answer; others have none."""

    def refused(name):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "confstr", refused, raising=False)
    assert _libc()
    monkeypatch.delattr(os, "confstr")
    assert _libc()


def test_caches_of_which_the_system_tells_a_part(tmp_path):
    def told(name, **lines):
        (tmp_path / name).mkdir()
        for what, line in lines.items():
            (tmp_path / name / what).write_text(line + "\n")

    told("index0", type="Data", level="1", size="48K")
    told("index1", type="Instruction", level="1", size="32K")
    told("index2", type="Unified", level="2")
    told("index3", type="Unified", level="3", size="")
    told("index4", type="Unified", level="4", size="64M")
    told("power", type="Unified", level="2", size="9K")
    assert machine._caches(tmp_path) == {1: 48 * 2**10, 4: 64 * 2**20}
    assert machine._caches(tmp_path / "none") == {}
