"""What compiled functions tell about themselves."""

import errno
import functools
import json

import pytest

pytest.importorskip("llvmlite")
import adjoint as ad
from adjoint import nn, optim
from adjoint.errors import ArgumentError, TraceError

ARGS = ad.ones(32, 8), ad.zeros(32).long()


@pytest.fixture
def step():
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    opt = optim.Adam(model.parameters())

    @ad.compile
    def step(x, t):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        opt.step()
        return loss

    step(*ARGS)
    return step


def test_explain(step):
    before = step(*ARGS).item()
    told = step.explain(*ARGS)
    assert "contract" in [r.kind for r in told.regions]
    assert all(r.seconds >= 0 and r.floor > 0 for r in told.regions)
    assert sum(r.flop for r in told.regions) > 2 * 32 * 8 * 16 * 2
    assert any("cross_entropy" in line for r in told.regions for line in r.lines)
    assert "of limit" in str(told)
    assert "region" in repr(told)
    assert step(*ARGS).item() < before


def test_measuring_changes_nothing():
    w = ad.zeros(3)

    @ad.compile
    def f(x):
        w.add_(x)
        return ad.rand(3) + w

    x = ad.ones(3)
    for _ in range(2):
        f(x)
    state = ad.random.get_rng_state()
    assert len(f.explain(x).regions) > 0
    assert w.tolist() == [2.0] * 3
    assert ad.equal(state, ad.random.get_rng_state())


def test_texts(step):
    step(*ARGS)
    assert "relu" not in step.program()
    assert "einsum" in step.program() or "linear" in step.program()
    assert "define" in step.llvm()
    assert "ret" in step.asm()


def test_memory(step):
    told = step.memory(*ARGS)
    parameters = 8 * 16 + 16 + 16 * 3 + 3
    assert told.states >= 3 * 4 * parameters
    parts = told.inside, told.states, told.results, told.arguments
    assert told.peak == sum(parts)
    assert "peak" in str(told)


def test_profile_is_a_trace(step):
    trace = step.profile(*ARGS)
    assert json.loads(json.dumps(trace))["traceEvents"][0]["ph"] == "X"


def test_no_program_yet():
    with pytest.raises(RuntimeError, match="no program yet"):
        ad.compile(lambda x: x).explain()


def test_what_is_left_out_is_not_counted():
    """Columns under a causal mask are not computed; a loop is its steps."""
    x = ad.randn(2, 4, 128, 32)

    def work(f):
        f = ad.compile(f)
        for _ in range(2):
            f(x)
        return sum(r.flop for r in f.explain(x).regions)

    F = nn.functional
    half, whole = (
        work(lambda x, c=c: F.scaled_dot_product_attention(x, x, x, is_causal=c))
        for c in (True, False)
    )
    products = 2 * 2 * 2 * 4 * 128 * 128 * 32
    assert products < whole < 1.3 * products
    assert 0.5 * products < half < 0.72 * products
    w = ad.randn(32, 32)
    steps = work(lambda x: ad.scan(lambda h, _: (h @ w, None), x[0, 0], length=9)[0])
    assert steps == pytest.approx(9 * 2 * 128 * 32 * 32, rel=0.01)


def test_regions_name_their_place_and_are_measured_without_arguments(step):
    step(*ARGS)
    told = step.explain()
    assert all(r.seconds >= 0 and r.share > 0 for r in told.regions)
    assert str(told).endswith("measured on arbitrary numbers")
    assert any(
        "Sequential.0 (Linear), backward" in x for r in told.regions for x in r.lines
    )
    assert any(" and " in row and " more" in row for row in str(told).split("\n"))
    assert "one: " in str(told) and "are two: " in str(told)


def test_after_the_first_call_there_is_a_program_to_look_at(step):
    """The fixture has called it once."""
    assert step.memory().peak > 0 and len(step.programs) == 1
    assert repr(step) == "<compiled step>"
    before = step(*ARGS)
    assert step(*ARGS) < before and len(step.programs) == 1


def test_before_the_first_call():
    f = ad.compile(lambda x: (x @ x.T).relu().sum())
    x = ad.ones(8, 4)
    assert f.memory(x).arguments == 4 * 32
    assert "einsum" in f.program(x) and "define" in f.llvm(x)
    assert f(x).item() == 256
    model = nn.Linear(2, 2)
    sgd = optim.SGD(model.parameters(), momentum=0.9)

    @ad.compile
    def train(x):
        model(x).sum().backward()
        sgd.step()

    with pytest.raises(RuntimeError, match="makes no state on the way"):
        train.memory(ad.ones(1, 2))


def test_what_cannot_be_measured_without_arguments():
    loop = ad.compile(lambda x: ad.while_loop(lambda x: x < 9, lambda x: x * 2, x))
    solve = ad.compile(lambda x: ad.linalg.cholesky(x - 9 * ad.eye(2)))
    for f, x, why in (
        (loop, ad.tensor(1.0), "depends on numbers"),
        (solve, 99 * ad.eye(2), "refuses arbitrary numbers"),
    ):
        told = f.explain(x)
        assert told.regions[0].seconds is not None
        assert f.explain().regions[0].seconds is None and why in str(f.explain())
        with pytest.raises(ad.errors.ArgumentError, match="give the arguments"):
            f.profile()
        assert f.profile(x)["traceEvents"]


def test_a_program_for_any_number_of_examples():
    w = ad.ones(3, 2)
    f = ad.compile(lambda x: (x @ w).exp().sum(), batch=True)
    for n in (4, 4, 3, 7):
        f(ad.ones(n, 3))
    for given in ((), (ad.ones(7, 3),)):
        assert all(r.seconds is not None for r in f.explain(*given).regions)


def test_a_trace_in_a_file(step, tmp_path):
    file = tmp_path / "step.json"
    trace = step.profile(*ARGS, to=file)
    read = json.loads(file.read_text())
    assert read == trace
    spans = [e for e in read["traceEvents"] if e["ph"] == "X"]
    ends = [e["ts"] + e["dur"] for e in spans]
    assert [e["ts"] for e in spans[1:]] == pytest.approx(ends[:-1])
    assert any("cross_entropy" in line for e in spans for line in e["args"]["lines"])


def test_provenance(step):
    text = step.program(*ARGS, lines=True)
    (line,) = (x for x in text.split("\n") if "tanh" in x)
    assert "# Sequential.1 (Tanh), test_insight.py:" in line
    assert "Sequential.2 (Linear), backward, test_insight.py:" in text
    after = step.program(*ARGS, after="expand", lines=True)
    (number,) = (x.split(" = ")[0].strip() for x in text.split("\n") if "log_soft" in x)
    assert sum(f"# of {number}: " in x for x in after.split("\n")) > 3


def test_the_reverse_of_a_loop_is_told_by_its_own_line():
    def f(x):
        def body(c, v):
            c = c.sqrt()  # the one that makes it
            return c * v, None

        return ad.scan(body, x[0], x)[0]

    g = ad.compile(lambda x: ad.grad(f)(x), check="inf")
    with pytest.raises(ad.errors.NotFiniteError, match=r"backward.*the one that makes"):
        g(ad.tensor([0.0, 1.0, 1.0]))
        g(ad.tensor([0.0, 1.0, 1.0]))
    text = ad.compile(ad.grad(f)).program(ad.ones(3), lines=True)
    assert all(".py:" in line for line in text.split("\n") if " = " in line)


def shifted(x, by):
    return x + by


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (shifted, "shifted"),
        (functools.partial(functools.partial(shifted), by=2.0), "shifted"),
        (nn.Tanh().forward, "forward"),
    ],
)
def test_names(f, name):
    fast = ad.compile(f)
    args = (ad.ones(2), 1.0)[: 2 if f is shifted else 1]
    for _ in range(2):
        fast(*args)
    assert repr(fast) == f"<compiled {name}>"
    assert str(fast.explain()).startswith(f"{name}: 1 region, built in ")


def test_why_there_is_no_program():
    seen = []
    f = ad.compile(lambda x: seen.append(x) or x * 1)
    for _ in range(3):
        f(ad.ones(2))
    with pytest.raises(ArgumentError, match="runs as it is written: it changes a list"):
        f.explain()


def test_the_log_says_what_is_other(caplog):
    f = ad.compile(lambda x, k=1: x * k)
    with caplog.at_level("INFO", "adjoint.compiler"):
        for args in [
            (ad.ones(3),),
            (ad.ones(3),),
            (ad.ones(2, 4).t(),),
            (ad.ones(2), 2),
        ]:
            f(*args)
        f(ad.ones(2), 3)
    first, turned, more, number = (r.message.partition(": ")[2] for r in caplog.records)
    assert first == "first"
    assert turned == "argument 1 is float32[4, 2], was float32[3]"
    assert more == "it was given (float32[2], 2), before (float32[4, 2])"
    assert number == "argument 2 is 3, was 2"


def test_texts_of_tensors_have_no_numbers_and_it_is_said(caplog, capsys):
    @ad.compile
    def f(x):
        print(x, x.sum())
        return x

    for _ in range(3):
        f(ad.ones(2))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tensor([1., 1.]) tensor(2.)"
    assert lines[1].startswith("tensor(<traced>, shape=(2,), dtype=adjoint.float32)")
    assert len(lines) == 2
    assert ["ad.debug.print" in r.message for r in caplog.records] == [True]


def test_a_number_of_a_program_cannot_be_formatted():
    f = ad.compile(lambda x: f"{x.sum():.3f}")
    assert f(ad.ones(2)) == "2.000"
    with pytest.raises(TraceError, match="no numbers yet"):
        f(ad.ones(2))


LOOKS = "explain", "program", "llvm", "asm", "memory", "profile"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "around",
    [
        ad.vmap,
        lambda f: ad.grad(lambda x: f(x).sum()),
        lambda f: lambda x: ad.jvp(f, (x,), (x,)),
        ad.compile,
    ],
    ids=["vmap", "grad", "jvp", "compile"],
)
def test_inside_of_transforms_there_are_no_numbers_to_look_at(look, around):
    f, own = ad.compile(lambda x: x * 2), ad.ones(3)

    def inside(x):
        getattr(f, look)(own)
        getattr(f, look)(x)
        return x

    outer = around(inside)
    with pytest.raises(ArgumentError, match="these arguments have no numbers"):
        for _ in range(2):
            outer(ad.ones(2, 3))
    assert f(own).tolist() == [2.0] * 3


def test_a_trace_that_has_no_room_leaves_the_one_before(step, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "trace.json"
    file.write_text("before")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*trace\.json"):
        step.profile(*ARGS, to=file)
    assert [f.read_text() for f in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("now", [None, ad.ones(2), ad.ones(1000).double()])
def test_a_state_that_is_another_by_now(now):
    """The program is measured on memory of its own, as large as what it was made for."""
    kept = {"h": ad.zeros(1000)}

    @ad.compile
    def f(x):
        kept["h"] = kept["h"] + x
        return kept["h"].sum()

    for _ in range(2):
        f(ad.ones(1000))
    kept["h"] = now
    assert all(r.seconds >= 0 for r in f.explain().regions)
    assert kept["h"] is now


def test_a_gradient_that_is_gone():
    w = ad.ones(3, requires_grad=True)

    @ad.compile
    def f(x):
        (w * x).sum().backward()

    for _ in range(3):
        f(ad.ones(3))
    w.grad = None
    assert f.explain().regions
    assert w.grad is None
