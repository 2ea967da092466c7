"""What every pass makes of some programs, with where each operation comes from."""

from pathlib import Path

import pytest

import adjoint as ad
from adjoint.ir.passes import PASSES, prepared
from adjoint.ir.trace import trace
from programs_golden import PROGRAMS

FOLDER = Path(__file__).parent / "golden"


def after_each_pass(make) -> str:
    """The captured program, then what each pass changed of it."""
    f, args = make()
    f(*args)  # makes what state there is
    f = ad.compile(f)
    last, texts = f.program(*args), {"captured": f.program(*args, lines=True)}
    for name in PASSES:
        now = f.program(*args, after=name)
        same = now == last
        last = now
        if not same:
            texts[name] = f.program(*args, after=name, lines=True)
    return "\n".join(f"after {name}\n{text}\n" for name, text in texts.items())


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_passes(make, request):
    file, now = FOLDER / f"{make.__name__}.txt", after_each_pass(make)
    if request.config.getoption("--update-golden"):
        file.write_text(now, encoding="utf-8")
    assert now == file.read_text(encoding="utf-8"), "see pytest --update-golden"


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_every_operation_knows_its_line(make):
    """After all passes, too; but for the copies of what is returned as it came."""
    f, args = make()
    f(*args)
    f = ad.compile(f)
    text = f.program(*args, after="all", lines=True)
    lines = [x for x in text.split("\n") if " = " in x]
    assert lines
    for line in lines:
        seed = "ones_like" in line or "zeros_like" in line or "contiguous" in line
        assert seed or "programs_golden.py:" in line, line


def test_the_verifier_looks_at_every_pass(monkeypatch):
    def wrong(graph):
        graph.operations.reverse()
        return graph

    graph = trace(lambda x: x.exp().sin())(ad.ones(2)).graph
    monkeypatch.setitem(PASSES, "join", wrong)
    with pytest.raises(ad.errors.ArgumentError, match="before it is assigned"):
        prepared(graph)
    monkeypatch.setenv("ADJOINT_VERIFY", "0")
    assert prepared(graph).operations


def test_values_have_names_of_their_own():
    """In a loop whose matrix is turned before it, and in its reverse, the names were twice."""
    rnn = ad.nn.LSTM(3, 4, num_layers=2)

    @ad.compile
    def step(x):
        rnn.zero_grad()
        loss = rnn(x)[0].sum()
        loss.backward()
        return loss

    x = ad.ones(5, 2, 3)
    for _ in range(2):
        step(x)
    for name in PASSES:
        lines = step.program(after=name).split("\n")
        ops = lines[1 : next(i for i, x in enumerate(lines) if "return" in x)]
        made = [x.strip() for line in ops for x in line.split(" = ")[0].split(",")]
        assert len(set(made)) == len(made) > 10
    step.programs.popitem()[1].captured.graph.verify()
