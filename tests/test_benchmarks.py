"""The benchmarks' own arithmetic, and that the workloads run."""

import sys
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from harness import competitors, report, scaling, session, workload

WORKLOADS = workload.load()
SMALL = [
    "scalar_call",
    "sgd_line_calls",
    "tiny_mlp_calls",
    "digits",
    "lenet",
    "pinn",
    "hessian",
    "hvp",
    "jacobian",
    "neural_ode_1",
    "eager_chain",
    "eager_two_variables",
    "eager_rows",
]


@pytest.mark.parametrize("name", SMALL)
def test_a_workload_runs_eagerly(name):
    row = WORKLOADS[name]
    run = row.forms[session.ORACLE](ad, row.data())
    run.step()
    results = run.result()
    assert results
    assert all(np.isfinite(x).all() for x in results)


def test_every_workload_has_our_form_and_known_competitors():
    for name, row in WORKLOADS.items():
        assert session.ORACLE in row.forms, name
        assert set(row.forms) <= set(competitors.COMPETITORS), name
    assert set(competitors.MEANS) >= set(competitors.COMPETITORS) - {session.ORACLE}


def test_distance_is_relative_and_minds_shapes():
    x = np.ones(4)
    assert session.distance([x], [x]) == 0
    assert session.distance([2 * x], [x]) == 1
    assert session.distance([x], [x[None]]) == float("inf")
    assert not session.distance([x * np.nan], [x]) <= 1


def figures():
    a = session.Measured("adjoint", 1, times=[1e-6, 2e-6, 1e-6])
    b = session.Measured("jax", 1, times=[3e-6, 6e-6, 3e-6], version="1")
    c = session.Measured("torch", 1, failure="ValueError: a | b")
    d = session.Measured("machine", 1, times=[1.0, 1.0], rate=4e9)
    return [a, b, c, d]


def test_the_report_states_ratio_goal_share_and_failure():
    row = workload.Workload("a step", dict, {}, goal=2, flop=1e3)
    text = report.text(figures(), row, 1)
    assert "fastest (jax) / ours = 3.00; goal 2; 25% of the machine's 4 GF/s" in text
    assert "ValueError: a | b" in text
    page = report.document(
        [{"found": figures(), "workload": row, "threads": 1}],
        {"date": "today", "machine": "one", "adjoint": "0"},
        {"mlx": "no wheel"},
    )
    assert "| a step | 1 us | 3 us jax | 3.00 | 2 | 25% |" in page
    assert "| mlx | absent | no wheel |" in page
    assert "a \\| b" in page


@pytest.mark.parametrize(
    ("t", "said"),
    [(2.5, "2.5 s"), (1.5e-3, "1.5 ms"), (9.999e-4, "1000 us"), (0, "0 ns")],
)
def test_seconds(t, said):
    assert report.seconds(t) == said


def test_the_report_compares_one_thread_with_all():
    """Times on a quiet and on a busy machine, and their ratios."""
    row = workload.Workload("a step", dict, {})
    one = session.Measured("adjoint", 1, times=[4e-3, 4e-3, 4e-3])
    many = session.Measured("adjoint", 4, times=[1e-3, 1.25e-3, 1.25e-3])
    died = session.Measured("adjoint", 4, failure="it died")
    copies = session.Measured("adjoint", 1, times=[1.1e-3, 1.1e-3, 1e-3])
    found = [
        scaling.Scaling(row, [one, many, copies], [one, one]),
        scaling.Scaling(row, [one, died, copies], [one, died]),
    ]
    page = report.document(
        [],
        {"date": "today", "machine": "one", "adjoint": "0"},
        {},
        [*scaling.section(found, 4)],
    )
    assert "| a step | 4 ms | 1.25 ms | 3.20 | 3.64 | 4 ms | 4 ms | 1.00 |" in page
    assert "| a step | it died |" in page


class Answering:
    """A worker that answers without a process."""

    def __init__(self, times, died=False):
        self.line, self.times, self.died = self, times, died
        self.measured, self.start = (
            session.Measured("adjoint", 1),
            {"call": 1e-3, "steps": 1},
        )

    def send(self, what):
        self.asked = what

    def answer(self):
        return None if self.died else (self.times, 2 * self.times)

    def fail(self, why):
        self.measured.failure = why


def test_copies_count_as_one_that_does_what_all_do(monkeypatch):
    made = iter([Answering(2.0), Answering(3.0), Answering(6.0)])
    monkeypatch.setattr(scaling, "Worker", lambda *_: next(made))
    copies = scaling.Copies("mnist", 3, scaling.QUIET, "")
    assert copies.ask((0.1, 0.2)) == pytest.approx((1.0, 2.0))
    assert [w.asked for w in copies.workers] == 3 * [(0.1, 0.2)]
    copies.workers[1].died = True
    assert copies.ask((0.1, 0.2)) is None
    assert copies.measured.failure == "one of the copies has ended"
