"""The memory of compiled programs: what a build leaves, what a step takes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjoint as ad

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
    arena = pytest.importorskip("adjoint.compiler.native.arena")
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
    arena = pytest.importorskip("adjoint.compiler.native.arena")
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

    x, w = ad.randn(512, 64), ad.randn(64, 64) / 8
    eager = f(x, w)
    assert ad.allclose(f(x, w), eager, rtol=1e-4, atol=1e-5)
    assert f.memory(x, w).inside <= 2.1 * 512 * 64 * 4
