"""The command line: what it prints, its exit codes, and that it runs nobody's code."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.cli import plain
from adjoint.cli.expression import KNOWN, UsageError, expression, functions
from adjoint_cli import main

SRC = str(Path(__file__).parents[1] / "src")


def answer(capsys, *argv):
    """(exit code, the JSON answer) of a command."""
    code = main([*map(str, argv), "--json"])
    return code, json.loads(capsys.readouterr().out)


def spoken(capsys, *argv):
    """(exit code, standard output, standard error) of a command."""
    code = main([*map(str, argv)])
    got = capsys.readouterr()
    return code, got.out, got.err


# ---------------------------------------------------------------- words


def test_help_does_not_wait_for_the_engine():
    program = (
        "import sys; from adjoint_cli import main; code = main(['--help']); "
        "heavy = {'numpy', 'adjoint'} & set(sys.modules); sys.exit(9 if heavy else code)"
    )
    env = {**os.environ, "PYTHONPATH": SRC}
    got = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env
    )
    assert got.returncode == 0, got.stderr
    for command in ("demo", "grad", "train", "info", "check"):
        assert command in got.stdout


def test_every_command_has_help(capsys):
    for command in ("demo", "grad", "train", "info", "check"):
        code, out, _ = spoken(capsys, command, "--help")
        assert code == 0
        assert f"usage: adjoint {command}" in out
        assert "--json" in out


def test_usage_errors_are_2_and_guess(capsys):
    cases = {
        "trian": "did you mean train?",
        "train digits --epoch-s 3": "did you mean --epochs?",
        "train digits --optimizer adamm": "did you mean adam",
        "demo --epoch-s 3": "did you mean --epochs?",
        "demo --nope": "adjoint demo: error: unrecognized arguments: --nope\n"
        "  adjoint demo --help tells what there is",
        "demo --optimiser": "adjoint demo --help tells",  # a word of another command
        "train": "example: adjoint train digits",
        "train digits --epochs 0": "must be a positive whole number",
        "train digits --dropout 1.5": r"must be in [0, 1)",
        "train digits --lr -1": "must be a positive number",
        "train digits --epochs many": "must be a positive whole number, got many",
        "grad": "the following arguments are required: EXPR",
        "grad ": "\n  example: adjoint grad 'x**2",
    }
    for line, words in cases.items():
        code, out, err = spoken(capsys, *line.split())
        assert code == 2, line
        assert words in err, line
        assert out == ""
    assert spoken(capsys)[0] == 2


def test_version_and_module(capsys):
    code, out, _ = spoken(capsys, "--version")
    assert (code, out) == (0, f"adjoint {ad.__version__}\n")
    env = {**os.environ, "PYTHONPATH": SRC}
    for module in ("adjoint", "adjoint_cli"):
        got = subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, env=env
        )
        assert got.stdout.decode().strip() == f"adjoint {ad.__version__}"


def test_info(capsys):
    code, found = answer(capsys, "info")
    assert code == 0
    assert found["adjoint"] == ad.__version__
    assert found["packages"]["numpy"] == np.__version__
    assert {"float32", "bfloat16", "int64"} <= set(found["dtypes"])
    assert [getattr(ad, d).name for d in found["dtypes"]] == found["dtypes"]
    assert found["usable_cores"] >= 1
    assert "functions" in spoken(capsys, "info")[1]


def test_a_closed_pipe_is_no_error():
    env = {**os.environ, "PYTHONPATH": SRC}
    line = f"{sys.executable} -m adjoint_cli info | head -c 1"
    got = subprocess.run(line, shell=True, capture_output=True, env=env)
    assert got.returncode == 0
    assert b"Traceback" not in got.stderr


FULL = Path("/dev/full")


def ended(line):
    """(exit code, standard error) of a line of the shell; A is the command."""
    env = {**os.environ, "PYTHONPATH": SRC}
    line = line.replace("A ", f"{sys.executable} -m adjoint_cli ", 1)
    got = subprocess.run(line, shell=True, capture_output=True, text=True, env=env)
    return got.returncode, got.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", ["--version", "info", "info --json", "grad x x=1"])
def test_output_that_has_no_room_is_one_line(words):
    code, error = ended(f"A {words} > {FULL}")
    assert code == 1
    assert error == "adjoint: error: standard output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="of POSIX's shell")
@pytest.mark.parametrize("words", ["--version", "info", "train digits --epochs 1"])
def test_without_standard_output_a_command_does_its_work(words, tmp_path):
    out = f" --out {tmp_path}" if "train" in words else ""
    assert ended(f"A {words}{out} >&-") == (0, "")
    assert (tmp_path / "model.safetensors").exists() is ("train" in words)


# ---------------------------------------------------------------- grad


def test_grad_tells_value_gradient_and_adjoints(capsys):
    code, found = answer(capsys, "grad", "x1**2 + sin(x1*x2)", "x1=2", "x2=1")
    assert code == 0
    assert found["value"] == pytest.approx(4 + math.sin(2))
    assert found["gradient"]["x1"] == pytest.approx(4 + math.cos(2))
    assert found["gradient"]["x2"] == pytest.approx(2 * math.cos(2))
    table = {r["name"]: r for r in found["adjoints"]}
    assert table["z2"]["value"] == 2.0
    assert table["z2"]["adjoint"] == pytest.approx(math.cos(2))
    assert table["x1"]["adjoint"] == found["gradient"]["x1"]
    assert "z3 = sin(z2)" in found["program"]
    code, out, _ = spoken(capsys, "grad", "x1**2 + sin(x1*x2)", "x1=2", "x2=1")
    assert code == 0
    assert "d/dx1     3.58385" in out
    assert "f(x1: float64[], x2: float64[]):" in out


def test_grad_of_vectors_and_of_what_is_not_finite(capsys):
    _, found = answer(capsys, "grad", "sum(x**2) / 2 + x[1] * y", "x=[1,2,3]", "y=4")
    assert found["gradient"] == {"x": [1.0, 6.0, 3.0], "y": 2.0}
    _, found = answer(capsys, "grad", "log(x)", "x=0")
    assert found["value"] == "-inf"
    assert found["gradient"]["x"] == "inf"
    _, found = answer(capsys, "grad", "where(x > 1, x**2, 3*x) + x[()]*0", "x=2")
    assert found["gradient"]["x"] == 4.0
    assert plain({1: float("nan")}) == {"1": "nan"}


ATTACKS = (
    "__import__('os').system('true')",
    "x.__class__",
    "().__class__",
    "(lambda: 1)()",
    "[y for y in x]",
    "open('/etc/passwd')",
    "eval('1')",
    "f'{x}'",
    "x if x else 1",
    "sum.__globals__",
    "x[y]",
    "x[sum(x)]",
    "(x := 1)",
    "sin(*x)",
    "sin(**x)",
    "'a' * 9",
    "{x: 1}",
    "x and y",
    "True + x",
    "1j * x",
    "...",
)


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_but_mathematics_is_carried_out(text):
    with pytest.raises(UsageError):
        expression(text)


def test_numbers_do_not_explode(capsys):
    _, found = answer(capsys, "grad", "x * 9**9**9**9", "x=1")
    assert found["value"] == "inf"
    assert spoken(capsys, "grad", "x" + "+x" * 4000, "x=1")[0] == 2
    assert spoken(capsys, "grad", "(" * 900 + "x" + ")" * 900, "x=1")[0] == 2
    assert spoken(capsys, "grad", "x+" * 6000 + "x", "x=1")[0] == 2


def test_expressions_that_are_wrong(capsys):
    cases = {
        ("x +", "x=1"): "is no expression: invalid syntax",
        ("sinn(x)", "x=1"): "did you mean sin?",
        ("x^2", "x=1"): "a power is written **",
        ("x*y", "x=1"): "y without a value",
        ("x", "x=1", "z=2"): "'z' does not occur in the expression",
        ("x", "x=one"): "x=one is no number",
        ("x", "x"): "'x' is no value",
        ("x*2", "x=[1,2]"): "hint: sum(...) makes one of many",
        ("1+1",): "has no variable",
        ("sin(x, 2, 3)", "x=1"): "sin(x, 2, 3)",
        ("0 < x < 2", "x=1"): "one comparison at a time",
        ("x + ([1] * 2)", "x=1"): "lists are arguments",
        ("x + -[1]", "x=1"): "bad operand type",
        ("x * (2 > [1])", "x=1"): "not supported between",
        ("x * (2 @ 3)", "x=1"): "2 @ 3",
    }
    for argv, words in cases.items():
        code, out, err = spoken(capsys, "grad", *argv)
        assert code in (1, 2), argv
        assert words in err, (argv, err)
        assert out == ""
        assert "Traceback" not in err
    code, found = answer(capsys, "grad", "x +", "x=1")
    assert code == 2
    assert "no expression" in found["error"]


def test_every_known_function_can_be_called():
    assert all(callable(functions()[name]) for name in KNOWN)


# ---------------------------------------------------------------- check


def test_check_agrees_or_fails(capsys):
    code, found = answer(capsys, "check", "sin(x)*y + x**3", "x=1", "y=2", "--second")
    assert (code, found["agrees"]) == (0, True)
    code, found = answer(capsys, "check", "relu(x)", "x=0")
    assert (code, found["agrees"]) == (1, False)
    assert "0.5" in found["why"]
    code, out, _ = spoken(capsys, "check", "relu(x)", "x=0")
    assert (code, out) == (1, "")
    assert spoken(capsys, "check", "exp(x)", "x=1")[1].startswith("derivatives agree")


@pytest.mark.parametrize(
    ("text", "at", "value"), [("sqrt(x)", -1, "nan"), ("1/x", 0, "inf")]
)
def test_where_there_is_no_value_nothing_agrees(capsys, text, at, value):
    code, found = answer(capsys, "check", text, f"x={at}")
    assert (code, found["agrees"]) == (1, False)
    assert found["why"].startswith(f"at x = {at} the value is {value}: there is no")


# ---------------------------------------------------------------- train


def table(path, n=80, classes=True, seed=0):
    """A CSV file of a problem that a line solves, far from unit scale."""
    rng = np.random.default_rng(seed)
    x = rng.normal([100.0, -3.0], [25.0, 0.01], (n, 2))
    y = (x[:, 0] - 100) / 25 + (x[:, 1] + 3) / 0.01
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["size", "depth", "kind" if classes else "cost"])
        for (a, b), v in zip(x, y, strict=True):
            out.writerow(
                [a, b, ("low", "high")[int(v > 0)] if classes else 1000 * v + 7]
            )
    return x, y


def test_train_on_a_table_of_classes(capsys, tmp_path):
    x, y = table(tmp_path / "t.csv")
    out = tmp_path / "run"
    code, found = answer(
        capsys, "train", tmp_path / "t.csv", "--out", out, "--hidden", "16",
        "--epochs", 30, "--lr", 0.02, "--batch-size", 16, "--quiet",
    )  # fmt: skip
    assert code == 0
    assert found["last"]["val_accuracy"] >= 0.85
    for name in ("weights", "report", "history"):
        assert Path(found[name]).stat().st_size > 100
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    model.load_state_dict(ad.io.load_file(found["weights"]))
    scores = model(ad.tensor(x, dtype=ad.float32))  # the file's own numbers, not scaled
    labels = np.array(["high", "low"])[scores.argmax(1).numpy()]
    assert (labels == np.where(y > 0, "high", "low")).mean() > 0.85
    html = Path(found["report"]).read_text()
    assert "Confusion matrix" in html and "high" in html
    rows = Path(found["history"]).read_text().splitlines()
    assert len(rows) - 1 == found["epochs"] == 30


def test_train_on_numbers(capsys, tmp_path):
    x, y = table(tmp_path / "t.csv", classes=False)
    code, found = answer(
        capsys, "train", tmp_path / "t.csv", "--out", tmp_path / "run", "--target", "cost",
        "--hidden", "16", "--epochs", 60, "--lr", 0.02, "--batch-size", 16, "--quiet",
    )  # fmt: skip
    assert code == 0
    assert found["last"]["val_r2"] > 0.9
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    model.load_state_dict(ad.io.load_file(found["weights"]))
    given = model(ad.tensor(x, dtype=ad.float32)).detach().numpy()[:, 0]
    want = 1000 * y + 7
    assert 1 - ((given - want) ** 2).mean() / want.var() > 0.85
    assert "Predictions" in Path(found["report"]).read_text()


def test_train_on_an_archive_and_resume(capsys, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    np.savez(tmp_path / "d.npz", x=x, y=(x[:, 0] > 0).astype(int))
    line = ["train", tmp_path / "d.npz", "--out", tmp_path / "run", "--quiet"]
    _, whole = answer(capsys, *line, "--epochs", 4, "--out", tmp_path / "whole")
    answer(capsys, *line, "--epochs", 2)
    code, found = answer(capsys, *line, "--epochs", 4, "--resume")
    assert code == 0
    assert found["epochs"] == 4
    assert found["last"]["val_loss"] == whole["last"]["val_loss"]
    a, b = (ad.io.load_file(f["weights"]) for f in (whole, found))
    assert all((a[k] == b[k]).all() for k in a)


def test_digits_with_everything(capsys, tmp_path):
    code, out, _ = spoken(
        capsys, "train", "digits", "--out", tmp_path, "--epochs", 2, "--hidden", "32,16",
        "--activation", "gelu", "--dropout", 0.1, "--optimizer", "adamw",
        "--precision", "bfloat16", "--early-stopping", 1,
    )  # fmt: skip
    assert code == 0
    assert "\r" not in out
    assert out.splitlines()[0].split()[:2] == ["epoch", "loss"]
    assert f"report  {tmp_path / 'report.html'}" in out


def test_a_dry_run_writes_nothing(capsys, tmp_path):
    code, found = answer(
        capsys, "train", "digits", "--dry-run", "--out", tmp_path / "no"
    )
    assert code == 0
    assert "nothing was changed" in found["dry_run"]
    assert not (tmp_path / "no").exists()


def test_bad_data_is_one_line(capsys, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\nx,3\n")
    np.savez(tmp_path / "nan.npz", x=np.array([[1.0], [np.nan], [2]]), y=np.zeros(3))
    np.savez(tmp_path / "few.npz", x=np.ones((1, 1)), y=np.zeros(1))
    cases = {
        "nowhere.csv": "No such file",
        "data.xls": "is no data that can be read",
        tmp_path / "bad.csv": "",
        tmp_path / "nan.npz": "NaN or Inf in 1 of 3 places, first in row 2, column 1",
        tmp_path / "few.npz": "too few to train on",
    }
    for data, words in cases.items():
        code, _, err = spoken(capsys, "train", data, "--out", tmp_path / "out")
        assert code == 1, data
        assert words in err, (data, err)
        assert err.startswith("adjoint train: error: ")
        assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert spoken(capsys, "train", "digits", "--hidden", "a,b")[0] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_is_130_and_keeps_the_work(tmp_path):
    env = {**os.environ, "PYTHONPATH": SRC}
    command = [
        sys.executable,
        "-u",
        "-m",
        "adjoint_cli",
        "train",
        "digits",
        "--epochs",
        "100000",
    ]
    run = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for line in run.stdout:
        if line.split()[:1] == ["1"]:
            break
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "interrupted in epoch" in out or "interrupted after epoch" in out
    assert (tmp_path / "run" / "last.ckpt").exists()
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_killed_at_any_time_it_goes_on_bit_for_bit(tmp_path, capsys):
    line = ["train", "digits", "--epochs", "6", "--hidden", "8", "--out"]
    assert main([*line, str(tmp_path / "whole"), "--quiet"]) == 0
    env = {**os.environ, "PYTHONPATH": SRC}
    command = [sys.executable, "-u", "-m", "adjoint_cli", *line, str(tmp_path / "run")]
    for epoch in ("1", "3"):
        run = subprocess.Popen(
            [*command, "--resume"], env=env, text=True, stdout=subprocess.PIPE
        )
        for row in run.stdout:
            if row.split()[:1] == [epoch]:
                break
        run.kill()
        run.communicate()
        assert not (tmp_path / "run" / "model.safetensors").exists()
    assert main([*line, str(tmp_path / "run"), "--resume", "--quiet"]) == 0
    whole, rest = (
        ad.io.load_file(tmp_path / k / "model.safetensors") for k in ("whole", "run")
    )
    assert all((whole[k] == rest[k]).all() for k in whole)


# ---------------------------------------------------------------- demo


def test_demo_reads_digits_and_reports(capsys, tmp_path):
    began = time.perf_counter()
    code, found = answer(capsys, "demo", "--out", tmp_path)
    assert code == 0
    assert found["test_accuracy"] >= 0.97
    assert time.perf_counter() - began < 60  # ten seconds on two free cores
    html = Path(found["report"]).read_text()
    for part in ("Confusion matrix", "Mistakes", "Its program", "relu(z2)", "<svg"):
        assert part in html
    code, out, _ = spoken(capsys, "demo", "--out", tmp_path, "--epochs", 1)
    assert "reverse:" in out
    assert "x1.grad = 4.2" in out


def test_what_a_file_of_weights_holds(tmp_path, capsys):
    w = ad.zeros(3, 2)
    state = {"a.weight": w, "tied": w, "n": ad.tensor(1)}
    path = str(tmp_path / "model.safetensors")
    ad.io.save_file(state, path, {"by": "me"})
    assert main(["info", path]) == 0
    assert capsys.readouterr().out == (
        "name      dtype  shape        bytes\n"
        "n         I64    []               8\n"
        "a.weight  F32    [3, 2]          24\n"
        "tied             is a.weight\n"
        "by: me\n"
        "tensors 2, numbers 7, bytes 32\n"
    )
    assert main(["info", path, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["aliases"] == {"tied": "a.weight"}
    assert answer["tensors"][1] == {
        "name": "a.weight", "dtype": "F32", "shape": [3, 2], "bytes": 24,
    }  # fmt: skip
    for file, words in {
        str(tmp_path): "is a folder, not a file\n  hint: it holds model.safetensors",
        str(tmp_path / "none"): "No such file",
        __file__: "not a safetensors file",
    }.items():
        assert main(["info", file]) == 1
        assert words in capsys.readouterr().err
