"""How programs are built: what is written once, and that the same is written every time."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler.native import writer
from adjoint.compiler.native.llvm import machine
from adjoint.ir.graph import frozen

SRC = str(Path(__file__).parents[1] / "src")


def trained(net, x, calls=3):
    """(losses of a few steps, the compiled step)."""
    opt = optim.Adam(net.parameters(), lr=1e-2)

    @compile
    def step(x):
        opt.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    return [step(x).item() for _ in range(calls)], step


def tower():
    ad.manual_seed(0)
    layers = (
        m for _ in range(4) for m in (nn.Linear(9, 9), nn.LayerNorm(9), nn.GELU())
    )
    return nn.Sequential(*layers)


def attention():
    ad.manual_seed(0)
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True), 3
    )


def bodies(text):
    """The functions of a module in no order, without the numbers of kernels."""
    functions = re.split(r"\n(?=define|declare)", text)
    return sorted(re.sub(r'"(kernel|convolution)\d+"', "kernel", f) for f in functions)


NETS = {"tower": (tower, (5, 9)), "attention": (attention, (2, 3, 8))}


@pytest.mark.parametrize("name", NETS)
def test_kernels_that_are_said_to_be_alike_read_alike(name, monkeypatch):
    build, shape = NETS[name]
    monkeypatch.setattr(writer, "MANY", 0)
    x = ad.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    losses, step = trained(build(), x)
    text, known = step.llvm(), writer.likeness
    found = []

    def unlike(e, k):
        key, values = known(e, k)
        found.append(key)
        return None, values

    monkeypatch.setattr(writer, "likeness", unlike)
    assert bodies(step.llvm()) == bodies(text)
    assert len(set(found)) < 0.8 * len(found)  # so that there was something to find
    assert trained(build(), x)[0] == losses


def test_the_same_text_every_time():
    x = ad.ones(5, 9)
    first, second = (trained(tower(), x)[1].llvm() for _ in range(2))
    assert first == second


PROGRAM = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from test_build import ad, tower, trained
print(hashlib.sha256(trained(tower(), ad.ones(5, 9))[1].llvm().encode()).hexdigest())
"""


def test_the_same_text_in_every_process():
    texts = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": SRC, "PYTHONHASHSEED": seed}
        program = PROGRAM.format(tests=str(Path(__file__).parent))
        got = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=env
        )
        assert got.returncode == 0, got.stderr
        texts.add(got.stdout)
    assert len(texts) == 1


SCALAR = """
import sys
import adjoint as ad
before = set(sys.modules)
f = ad.compile(lambda x: ad.sin(x) * ad.exp(-x))
for _ in range(2):
    f(ad.tensor(0.7))
assert f.programs[next(iter(f.programs))].native is not None
parts = [m for m in sys.modules if m.startswith(("adjoint.compiler", "adjoint.ir"))]
files = [m for m in parts if not hasattr(sys.modules[m], "__path__")]
print(*(m.rpartition(".")[2] for m in files), *(sys.modules.keys() - before - {*parts}))
"""


def test_what_a_program_does_not_need_is_not_imported(tmp_path):
    env = {**os.environ, "PYTHONPATH": SRC, "ADJOINT_CACHE": str(tmp_path)}

    def imported():
        got = subprocess.run(
            [sys.executable, "-c", SCALAR], capture_output=True, text=True, env=env
        )
        assert got.returncode == 0, got.stderr
        return {*got.stdout.split()}

    first, second = imported(), imported()
    late = (
        "afterwards again apart bands blocks chains contractions conv crew deep economy "
        "form inner invariants latency layouts memory narrow residuals slices sorting "
        "tasks together vectors winograd "
        "hashlib json logging random"  # Python's own
    )
    planning = {"plan", "part", "schedule", "entry", "writer", "emit", "lanes"}
    assert first.isdisjoint(late.split())
    assert second.isdisjoint(late.split())
    assert first & planning == planning, "what is asked for below is spelled as it is"
    assert "program" in second
    assert second.isdisjoint(planning), "what is found on disk is planned again"


def test_a_product_that_one_thread_does_is_one_block():
    f = compile(lambda x, y: x @ y)
    for _ in range(2):
        z = f(ad.ones(20, 30), ad.ones(30, 40))
    np.testing.assert_array_equal(z.numpy(), np.full((20, 40), 30.0, np.float32))
    (step,) = f.programs.values()
    functions = re.findall(r'^define .*?"(product.*?)"', step.native.text(), re.M)
    named = [x for x in functions if x.startswith("product.")]
    assert [x.rpartition(".")[2] for x in named] == ["block"]


def test_what_is_rare_is_a_module_without_effort():
    f = compile(lambda x: ad.sin(x))
    f(ad.tensor(0.7)), f(ad.tensor(0.7))
    (step,) = f.programs.values()
    program, rare = (
        re.findall(r'^define .*?"(.*?)"', text, re.M) for text in step.native.texts()
    )
    finder = "memory of a tensor of 0 dims, in no graph"
    assert {"adjoint.far.f32", "call", finder} <= {*rare}
    assert "run" in program
    assert {*program}.isdisjoint(rare)
    names = re.findall(r"^(\w+):", step.native.assembly(), re.M)
    assert {"run", "call"} <= {*names}
    assert f(ad.tensor(1e30)).item() == np.sin(np.float32(1e30))


def test_powers_of_an_optimizer_are_computed_together():
    _, step = trained(tower(), ad.ones(5, 9))
    powers = [r for r in step.explain().regions if "pow" in r.operations]
    assert [r.space for r in powers] == [(32,)]  # two of each of 16 parameters


def test_powers_of_numbers_are_one_function():
    def f(x, y):
        return ad.sin(x**1.3), (y + x) ** 1.3

    step = compile(f)
    for _ in range(2):
        step(ad.tensor(0.5), ad.tensor(1.5))
    text = step.llvm()
    assert len(re.findall(r'define internal float @"adjoint.pow', text)) == 1
    assert len(re.findall(r'call float @"adjoint.pow', text)) == 2


@pytest.mark.parametrize("x", [0.3, -2.5, 40.0, float("nan"), float("inf"), 0.0])
def test_functions_of_one_number_are_those_of_vectors(x):
    def f(x):
        return ad.sin(x) * ad.exp(-x), 0.9**x, ad.erf(x), ad.lgamma(x)

    alone, side = compile(f), compile(f)
    many = ad.tensor([x] * 16)
    for _ in range(2):
        one, all_ = alone(ad.tensor(x)), side(many)
    for a, b in zip(one, all_, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy()[0])


def test_a_parameter_minus_zero_is_not_zero():
    assert frozen({"x": 0.0}) != frozen({"x": -0.0})
    assert frozen({"x": float("nan")}) == frozen({"x": float("nan")})
    assert frozen((1, 1.0, True)) != frozen((1.0, 1, True))


def test_every_pass_is_known():
    text = "define i32 @f(i32 %x) {\n  %y = add i32 %x, 0\n  ret i32 %y\n}\n"
    assert "ret" in machine.assembly(text)
    library = machine.Library(machine.machine_code(text))
    assert library.address("f")
    assert library.address("g") == 0


def test_building_leaves_the_search_for_garbage_as_it_was():
    f = compile(lambda x: x + 1)
    for _ in range(2):
        f(ad.ones(2))
    assert gc.isenabled()
    gc.disable()
    try:
        f(ad.ones(3))
        assert not gc.isenabled()
    finally:
        gc.enable()
