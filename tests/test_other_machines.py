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


def run(name, cache="off"):
    """What the programs say of the machine, if all agree with eager."""
    env = {**os.environ, "PYTHONPATH": SRC, "ADJOINT_CACHE": str(cache)}
    line = [sys.executable, str(FILE), name]
    got = subprocess.run(line, capture_output=True, text=True, env=env)
    assert got.returncode == 0, got.stderr[-3000:]
    return got.stdout.split()


@pytest.mark.skipif(not IS_X86, reason="lesser processors of this kind")
@pytest.mark.parametrize(
    "name, bits", [("x86-64", 128), ("sandybridge", 256), ("haswell", 256)]
)
def test_lesser_processors(name, bits):
    """Of few vectors, without fused products, without instructions for float16."""
    assert run(name) == [name, str(bits), "16"]


def test_another_kind_of_processor():
    """What is written for ARM is right, and LLVM has machine code for all of it."""
    from llvmlite import binding

    binding.initialize_all_targets()
    try:
        binding.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM knows its own processors only")
    assert run("arm") == ["apple-m1", "128", "32"]
