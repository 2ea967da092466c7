"""The memory of compiled programs: what a build leaves, what a step takes."""

import os
import subprocess
import sys

import pytest

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
