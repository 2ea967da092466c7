"""The examples run in small form, and their figures are what they claim.

The function for an example has its name, is given what makes it small, and checks what its `main`
returns.
"""

import functools
import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import adjoint as ad
from adjoint import nn, train
from adjoint.compiler.capture.capture import Capture
from adjoint.core.bind import floor
from adjoint.optim import Optimizer

FOLDER = Path(__file__).parents[1] / "examples"
CHECKS = {}
SMALL = {}  # by its name, the arguments of an example that is to take a second


def example(**small):
    """Register the check of the example of its name."""

    def register(check):
        name = check.__name__
        CHECKS[name], SMALL[name] = check, small
        return check

    return register


@example(size=4, gradients=1000)
def rosenbrock_lbfgs(figures):
    """L-BFGS is at the minimum long before the others come near it."""
    best = figures.pop("L-BFGS")
    assert best["value"] < 1e-10 and best["calls"] < 150 and best["away"] < 1e-4
    for other in figures.values():
        assert other["calls"] > 5 * best["calls"] and other["value"] > best["value"]


@example(points=60)
def gaussian_process(figures):
    """More likely than the truth, noise found, predictions better than the data."""
    assert figures["best"] >= figures["true"]
    assert 0.14 < figures["noise"] < 0.28
    assert 0.4 < figures["length"] < 1.2
    assert figures["error"] < 0.2 and figures["inside"] > 0.8


@example(points=600, steps=400)
def gmm_by_gradient(figures):
    """The maximum that EM finds, near the true means."""
    assert abs(figures["value"] - figures["em"]) < 1e-4
    assert figures["apart"] < 0.01 and figures["off"] < 0.3


@example(size=10)
def implicit_differentiation(figures):
    """Exact where the solution is known, else as the unrolled iterations."""
    assert figures["kepler"] < 1e-12 and figures["layer"] < 1e-10
    ridge = figures["ridge"]
    assert ridge["last"] <= ridge["grid"] + 1e-6 < ridge["first"]


@example(steps=200)
def logistic_map(figures):
    """Derivatives as in closed form, log 2, and 1 + √5."""
    assert figures["worst"] < 1e-8 and abs(figures["r"] - 1 - 5**0.5) < 1e-12
    exponents = figures["exponents"]
    assert abs(exponents[4.0] - math.log(2)) < 0.02
    assert (
        abs(exponents[2.8] - math.log(0.8)) < 1e-3
    )  # |f'| = |2 − r| at the fixed point
    assert exponents[3.2] < 0 and exponents[3.5] < 0 < exponents[3.7]


@example(points=150, steps=150)
def sine_robust(figures):
    """All losses that grow slowly are nearer to the true curve than the squared one."""
    squared = figures.pop("squared")
    assert figures.pop("log-cosh") < 0.75 * squared
    assert all(error < 0.5 * squared for error in figures.values())


@example(width=128, epochs=25)
def autoencoder(errors):
    """Better than the mean image, and than the best linear map of the same width."""
    assert errors["network"] < 0.8 * errors["pca"] < 0.8 * 0.5 * errors["mean"]


@example(size=48, layers=1, context=32, steps=150, batch=16, rate=1e-2, letters=80)
def char_gpt(figures):
    """Starts at chance, ends well below what counting letters gives, and writes letters."""
    assert abs(figures["first"] - math.log(51)) < 0.3
    assert figures["last"] < figures["alone"] - 0.5
    assert len(figures["text"]) == 88 and figures["text"].startswith("Shall I ")


@example(length=20, size=24, steps=400)
def lstm(errors):
    """Gates carry a number over twenty steps, a plain network does not."""
    assert max(errors["LSTM"], errors["GRU"]) < 0.02 < 0.1 < errors["RNN"]


@example(epochs=15)
def digits_mlp(accuracy):
    """The network wins over logistic regression."""
    assert accuracy["network"] >= 0.965
    assert accuracy["network"] > accuracy["logistic regression"] + 0.01 > 0.94


@example(filters=8, epochs=6)
def digits_cnn(found):
    """Fewer parameters than the plain network's, fewer mistakes."""
    assert found["accuracy"] >= 0.975
    assert found["parameters"] < 9_610


@example(turns=1.0, points=200, epochs=60)
def spiral(accuracy):
    """A straight border is as good as chance, two hidden layers are nearly right."""
    assert abs(accuracy[()] - 0.5) < 0.15
    assert accuracy[(32, 32)] > 0.95
    assert accuracy[()] < accuracy[(4,)] < accuracy[(32, 32)]


@example(widths=(1, 4, 16), steps=60)
def universal_approximation(errors):
    """Errors fall with the width, most for the smoothest function."""
    assert all(by_width[16] < 0.1 * by_width[1] for by_width in errors.values())
    smooth, kink, steep = (by_width[16] for by_width in errors.values())
    assert smooth < 1e-3 < kink < steep < 0.05


@example(steps=1200)
def pinn_heat(figures):
    """The equation alone gives the temperature that the closed form has."""
    assert figures["error"] < 0.06 < 0.5 < figures["first"]
    assert figures["residual"] < 0.05


@example(width=32, steps=600)
def neural_ode(figures):
    """The learned law gives the path, and one from a start that it has not seen."""
    assert figures["after"] < 0.5 < 1 < figures["before"]
    assert figures["elsewhere"] < 0.2


@example(depths=(2, 6, 12), epochs=40, width=96)
def dropout_depth(found):
    """Gradients vanish through sigmoids, not through relu; dropout resists wrong labels."""
    ratios, scores = found["ratios"], found["dropout"]
    assert ratios["Sigmoid"][-1] < 1e-5 < 0.1 < ratios["ReLU"][-1] < 10
    assert scores[0.6]["accuracy"] > scores[0.0]["accuracy"] + 0.03
    assert scores[0.6]["own"] < scores[0.0]["own"]


@pytest.mark.parametrize("name", list(CHECKS))
def test_example(name, capsys):
    CHECKS[name](loaded(name).main(**SMALL[name]))
    assert capsys.readouterr().out.count("\n") > 3


def loaded(name):
    """The example as a module of its own."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- compiled

# What examples compute besides modules, steps of optimizers and `fit`.
FUNCTIONS = {
    "gaussian_process": ["covariance", "log_likelihood"],
    "gmm_by_gradient": ["log_densities"],
    "implicit_differentiation": ["mixed"],
    "rosenbrock_lbfgs": ["rosenbrock"],
    "universal_approximation": ["best_outputs"],
}
LONG = {"char_gpt", "lstm", "neural_ode", "pinn_heat"}  # for `make fuzz`
ALL = "ADJOINT_FUZZ" in os.environ
# Training that has arrived, and chaos, multiply what rounding does: (relative, absolute).
ROUGH = {"universal_approximation": (0.2, 2e-4), "logistic_map": (0.02, 1e-9)}


@pytest.fixture
def double():
    """Runs of hundreds of steps stay near each other in double precision."""
    before = ad.get_default_dtype()
    ad.set_default_dtype(ad.float64)
    yield
    ad.set_default_dtype(before)


def compiled_everywhere(monkeypatch, example, programs):
    """Modules, closures and steps of optimizers, what is mapped and functions run as programs."""
    ready: dict = {}

    def program(key, f):
        if key not in ready:
            ready[key] = ad.compile(f), key
            programs.append(ready[key][0])
        return ready[key][0]

    def call(self, *args, **kwargs):
        if isinstance(floor.get(), Capture):
            return plain(self, *args, **kwargs)
        return program(self, functools.partial(plain, self))(*args, **kwargs)

    def fit(*args, **kwargs):
        with monkeypatch.context() as m:  # whose steps are programs as a whole
            m.setattr(nn.Module, "__call__", plain)
            m.setattr(Optimizer, "step", step)
            return whole(*args, **kwargs, compile=True)

    def stepped(self, closure=None):
        if closure is None:
            return program(("step", self), functools.partial(step, self))()
        return step(self, program(closure, closure))

    def mapped(f, **options):
        return program(f, vmap(f, **options))

    plain, step, whole = nn.Module.__call__, Optimizer.step, train.fit
    vmap = ad.vmap
    monkeypatch.setattr(ad, "vmap", mapped)
    monkeypatch.setattr(nn.Module, "__call__", call)
    monkeypatch.setattr(Optimizer, "step", stepped)
    monkeypatch.setattr(train, "fit", fit)
    for name in FUNCTIONS.get(example.__name__, ()):
        monkeypatch.setattr(example, name, program(name, getattr(example, name)))


def near(a, b, rel, end):
    """The same figures, but for rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(near(a[k], b[k], rel, end) for k in a)
    if isinstance(a, (list, tuple)):
        pairs = zip(a, b, strict=True)
        return len(a) == len(b) and all(near(x, y, rel, end) for x, y in pairs)
    return a == b if isinstance(a, str) else a == pytest.approx(b, rel=rel, abs=end)


@pytest.mark.parametrize("name", [n for n in CHECKS if ALL or n not in LONG])
def test_compiled_example_is_the_eager_one(name, double, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(ad, "compile", lambda f: f)
        want = loaded(name).main(**SMALL[name])
    example, programs = loaded(name), []
    compiled_everywhere(monkeypatch, example, programs)
    got = example.main(**SMALL[name])
    assert near(got, want, *ROUGH.get(name, (1e-5, 1e-9))), (
        f"eager {want}\ncompiled {got}"
    )
    assert any(p.programs for p in programs)


# ---------------------------------------------------------------- as commands

NAMES = sorted(p.stem for p in FOLDER.glob("*.py"))


def command(name, *words, cwd=None, **options):
    """The example as a process of its own, at its end."""
    line = [sys.executable, FOLDER / f"{name}.py", *words]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, **options)


@pytest.mark.parametrize("name", NAMES)
def test_help_tells_what_an_example_shows_and_takes(name):
    done = command(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    if name != "demo":  # whose words are the command's
        for line in loaded(name).__doc__.split("\n"):
            assert line.strip() in done.stdout
        assert done.stdout.count("default: ") == done.stdout.count("\n  --")
        assert "default: " in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_example_refuses_what_it_does_not_know(name, tmp_path):
    """Before any work, in a line that tells what is wrong."""
    for words, said in (
        (["--smal"], "unrecognized arguments: --smal"),
        (["--seed", "x"] if name != "demo" else ["--epochs", "0"], "--"),
    ):
        done = command(name, *words, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        assert said in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_words_change_what_an_example_does(tmp_path):
    words = "--turns", "1.5", "--points", "40", "--epochs", "2"
    seeds = [command("spiral", *words, "--seed", s).stdout for s in "001"]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0].startswith("two spirals of 1.5 turns, 40 points, 2 epochs\n")
    done = command("spiral", *words, "a.svg", cwd=tmp_path)
    assert done.stdout.endswith("  a.svg\n")
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    done = command("spiral", "--epochs", "-1", "a.svg", "b.svg", cwd=tmp_path)
    assert done.returncode == 2 and "must be a positive whole number" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    line = [sys.executable, FOLDER / "logistic_map.py", "--steps", "50"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        p.stdout.close()
        assert p.stderr.read() == b"" and p.wait() == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    "name, words, line",
    [
        ("digits_mlp", ["--epochs", "100000"], "  model "),  # in fit
        ("rosenbrock_lbfgs", ["--gradients", "100000000"], "  "),  # in plain Python
        ("neural_ode", ["--steps", "100000000"], "  untrained "),  # in compiled steps
    ],
)
def test_ctrl_c_ends_an_example_in_a_word(name, words, line):
    run = [sys.executable, "-u", FOLDER / f"{name}.py", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(run, **pipes) as p:
        while not p.stdout.readline().startswith(line):
            pass
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        try:
            _, said = p.communicate(timeout=60)
        finally:
            p.kill()
    assert (p.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert "Traceback" not in said
