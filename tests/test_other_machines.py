"""Compiled programs are right on processors with less than this one has, or of another kind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")
from machines import IS_X86

FILE = Path(__file__).with_name("machines.py")
SRC = str(FILE.parent.parent / "src")


def run(*names):
    """What the programs say of the machine, if all agree with eager."""
    env = {**os.environ, "PYTHONPATH": SRC, "ADJOINT_CACHE": "off"}
    line = [sys.executable, str(FILE), *names]
    got = subprocess.run(line, capture_output=True, text=True, env=env)
    assert got.returncode == 0, got.stderr[-3000:]
    return got.stdout.split()


@pytest.mark.skipif(not IS_X86, reason="lesser processors of this kind")
@pytest.mark.parametrize(
    "name, called, bits",
    [
        ("x86-64", "znver4", 128),
        ("sandybridge", "sapphirerapids", 256),
        ("haswell", "haswell", 256),
    ],
)
def test_lesser_processors(name, called, bits):
    """Of few vectors, without fused products, without instructions for float16; by their own
    names, or by those of others, of which a virtual machine shows no more than this.
    """
    assert run(name, called) == [called, str(bits), "16"]


@pytest.mark.skipif(not IS_X86, reason="lesser processors of this kind")
@pytest.mark.parametrize(
    "name, called, hidden, bits",
    [
        ("own", "skylake-avx512", "fma", 256),
        ("own", "znver4", "avx512f", 256),
        ("haswell", "generic", "sse4.1", 128),
    ],
)
def test_features_hidden_that_others_need(name, called, hidden, bits):
    """LLVM takes all of them away, and ended the process at what was written for them."""
    assert run(name, called, hidden) == [called, str(bits), "16"]


def test_another_kind_of_processor():
    """What is written for ARM is right, and LLVM has machine code for all of it."""
    from llvmlite import binding

    binding.initialize_all_targets()
    try:
        binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM knows its own processors only")
    assert run("arm") == ["apple-m1", "128", "32"]
