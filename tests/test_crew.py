"""The crew's judgement, whether help is worth its cost, on clocks that the tests invent."""

import ctypes

import pytest

pytest.importorskip("llvmlite")
import adjoint as ad
from adjoint.compiler.native import sharing
from adjoint.compiler.native.crew import code as crew_code
from adjoint.compiler.native.crew import crew
from adjoint.compiler.native.crew.balance import KEPT, LONGEST, SHORTEST
from adjoint.compiler.native.crew.words import PLACES, WORDS
from adjoint.compiler.native.llvm.machine import Library, machine_code

if not sharing.possible():
    pytest.skip("needs POSIX threads", allow_module_level=True)

MS = 1_000_000


class Judge:
    """A crew without threads: jobs are told to it, with the work and the time that they took."""

    def __init__(self):
        self.library = Library(machine_code(str(crew_code.Code().module), effort=0))
        kind = ctypes.c_int64 * WORDS
        self.words = kind.from_address(self.library.data("crew"))
        self.words[PLACES["period"]] = SHORTEST
        kinds = [ctypes.c_int64] * 3 + [ctypes.c_bool]
        judge = ctypes.CFUNCTYPE(None, *kinds)
        self.judge, self.now = judge(self.library.address("judge")), 0

    def word(self, name) -> int:
        return self.words[PLACES[name]]

    @property
    def alone(self) -> bool:
        """Whether the next job is done by its caller alone, as `parallel` decides."""
        state = self.word("alone")
        if state == KEPT and self.now >= self.word("held"):
            self.words[PLACES["alone"]] = state = 0
        return state != 0

    def job(self, together: float, alone: float) -> bool:
        """A job of 1 ms of work that takes the given times, by the way it is done."""
        by_one = self.alone
        took = int(MS * (alone if by_one else together))
        self.now += took
        if self.word("alone") != KEPT:
            self.judge(MS, took, self.now, by_one)
        return by_one

    def share(self, seconds: float, together: float, alone: float) -> float:
        """The part of the time in which jobs were done alone."""
        spent = {True: 0, False: 0}
        start = self.now
        while self.now < start + seconds * 1e9:
            before = self.now
            by_one = self.job(together, alone)
            spent[by_one] += self.now - before
        return spent[True] / (self.now - start)


@pytest.fixture(scope="module")
def code():
    return Judge()


@pytest.fixture
def judge(code):
    ctypes.memset(code.words, 0, ctypes.sizeof(code.words))
    code.words[PLACES["period"]], code.now = SHORTEST, 0
    return code


def test_with_help_that_pays_nobody_works_alone(judge):
    assert judge.share(5, together=0.3, alone=1.0) == 0


def test_help_that_pays_nothing_is_hardly_asked_for(judge):
    """Less and less often, up to every two seconds."""
    judge.share(5, together=3.0, alone=2.0)
    assert judge.share(20, together=3.0, alone=2.0) > 0.95
    assert judge.word("period") == LONGEST


def test_help_that_pays_a_little_on_a_busy_machine_is_kept(judge):
    """All are slow; it is tried how slow one is, now and then."""
    judge.share(5, together=1.5, alone=2.0)
    assert judge.share(20, together=1.5, alone=2.0) < 0.05


def test_when_others_are_gone_help_is_back_at_the_next_try(judge):
    judge.share(10, together=3.0, alone=2.0)
    assert judge.share(2.2, together=0.3, alone=1.0) < 1
    assert not judge.alone
    assert judge.share(5, together=0.3, alone=1.0) == 0
    assert judge.word("period") == SHORTEST


def test_less_than_twenty_milliseconds_decide_nothing(judge):
    for _ in range(6):
        assert not judge.job(together=3.0, alone=1.0)
    assert not judge.alone
    judge.job(together=3.0, alone=1.0)
    assert judge.alone


def test_a_job_that_takes_long_is_known():
    """It is not passed over with brief ones, of which few are judged."""
    before = ad.get_num_threads()
    ad.set_num_threads(2)
    try:
        f, x = ad.compile(lambda x: x.exp().sin().sum(0)), ad.ones(2048, 2048)
        for _ in range(3):
            f(x)
        place = crew.crew().library.data("crew") + 8 * PLACES["long"]
        assert ctypes.c_int64.from_address(place).value != 0
    finally:
        ad.set_num_threads(before)
