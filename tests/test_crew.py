"""The crew's judgement, whether help is worth its cost, on clocks that the tests invent."""

import ctypes
import threading
import time
from collections import Counter

import pytest

pytest.importorskip("llvmlite")
import adjoint as ad
from adjoint.compiler.native import sharing
from adjoint.compiler.native.crew import code as crew_code
from adjoint.compiler.native.crew import crew
from adjoint.compiler.native.crew.balance import KEPT, LONGEST, PAUSE, SHORTEST, STARTS
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
        self.judge, self.compare = (
            self._function("judge", 4),
            self._function("compare", 3),
        )
        self.fresh()

    def _function(self, name, args):
        kinds = [ctypes.c_int64] * args
        return ctypes.CFUNCTYPE(None, *kinds)(self.library.address(name))

    def fresh(self) -> None:
        """As at the start of a process."""
        ctypes.memset(self.words, 0, ctypes.sizeof(self.words))
        for name, value in STARTS.items():
            self.words[PLACES[name]] = value
        self.now = 0

    def word(self, name) -> int:
        return self.words[PLACES[name]]

    @property
    def alone(self) -> bool:
        """Whether the next job is done by its caller alone, as `parallel` decides."""
        state = self.word("alone")
        if state == KEPT and self.now >= self.word("held"):
            self.words[PLACES["alone"]] = state = 0
            self.words[PLACES["last"]] = self.now
        return state != 0

    def job(
        self, together: float, alone: float, reckoned: float = 1.0, place: int = 16
    ) -> bool:
        """A job of 1 ms of work that takes the given times, by the way it is done."""
        by_one, start = self.alone, self.now
        self.now += int(MS * (alone if by_one else together))
        if not by_one:
            self.judge(place, int(MS * reckoned), start, self.now)
        elif self.word("alone") != KEPT:
            self.compare(place, start, self.now)
        return by_one

    def share(self, seconds: float, **job: float) -> float:
        """The part of the time in which jobs were done alone."""
        spent = {True: 0, False: 0}
        start = self.now
        while self.now < start + seconds * 1e9:
            before = self.now
            by_one = self.job(**job)
            spent[by_one] += self.now - before
        return spent[True] / (self.now - start)


@pytest.fixture(scope="module")
def code():
    return Judge()


@pytest.fixture
def judge(code):
    code.fresh()
    return code


def test_with_help_that_pays_nobody_works_alone(judge):
    assert judge.share(5, together=0.3, alone=1.0) == 0


def test_help_that_pays_nothing_is_hardly_asked_for(judge):
    """Less and less often, up to every two seconds."""
    judge.share(5, together=3.0, alone=2.0)
    assert judge.share(20, together=3.0, alone=2.0) > 0.9
    assert judge.word("period") == LONGEST


def test_help_that_pays_a_little_on_a_busy_machine_is_kept(judge):
    """All are slow; it is tried how slow one is, now and then."""
    judge.share(5, together=1.5, alone=2.0)
    assert judge.share(20, together=1.5, alone=2.0) < 0.1


def test_what_is_reckoned_decides_nothing(judge):
    """Whether one thread is better is seen from how long laps take it."""
    judge.share(5, together=1.5, alone=1.0, reckoned=1.4)
    assert judge.share(20, together=1.5, alone=1.0, reckoned=1.4) > 0.85
    judge.fresh()
    judge.share(5, together=1.0, alone=1.5, reckoned=0.4)
    assert judge.share(20, together=1.0, alone=1.5, reckoned=0.4) < 0.1


def test_help_has_to_pay_to_be_asked_for_where_it_seemed_to_pay_nothing(judge):
    """One thread is never slower than one thread."""
    judge.share(5, together=2.0, alone=2.2)
    assert judge.share(20, together=2.0, alone=2.2) > 0.9


def test_laps_are_compared_and_not_single_jobs(judge):
    """Those of a step differ: of two kernels help makes one slow and does much for the other."""

    def steps(seconds):
        spent, start = {True: 0, False: 0}, judge.now
        while judge.now < start + seconds * 1e9:
            for place, together, alone in (16, 40, 20), (32, 20, 55):
                before = judge.now
                by_one = judge.job(together, alone, 15, place)
                spent[by_one] += judge.now - before
        return spent[True] / (judge.now - start)

    steps(10)
    assert steps(20) < 0.1


def test_a_place_that_does_not_come_again_is_given_up(judge):
    judge.job(3.0, 2.0, place=48)
    assert judge.share(5, together=3.0, alone=2.0) > 0.7


def test_pauses_between_jobs_hardly_count(judge):
    """However long, PAUSE at most."""
    judge.job(3.0, 1.0)
    judge.now += 1000 * MS
    judge.job(3.0, 1.0)
    assert 3 * MS < judge.word("span") <= PAUSE + 3 * MS


def test_when_others_are_gone_help_is_back_at_the_next_try(judge):
    judge.share(10, together=3.0, alone=2.0)
    assert judge.share(2.2, together=0.3, alone=1.0) < 1
    assert not judge.alone
    assert judge.share(5, together=0.3, alone=1.0) == 0
    assert judge.word("period") == SHORTEST


def test_less_than_twenty_milliseconds_decide_nothing(judge):
    for _ in range(7):  # from the end of the first on
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


def test_a_worker_is_told_how_many_chunks_of_the_job_it_has_done():
    """Those of earlier jobs do not count; each chunk is done once."""
    number, place = ctypes.c_int64, ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(None, place, number, number, place, number)
    shared = ctypes.CFUNCTYPE(None, kind, place, number, place, number)
    parallel = shared(crew.crew().parallel)
    before = ad.get_num_threads()
    ad.set_num_threads(3)
    try:
        for chunks in (1, 2, 7, 64, 5):
            calls: list = []

            @kind
            def job(context, first, last, room, done, calls=calls):
                calls.append((threading.get_ident(), first, last, done))
                time.sleep(0.002)  # others come meanwhile

            parallel(job, None, chunks, None, 0)
            seen = Counter()
            for who, first, last, done in calls:
                assert done == seen[who]
                seen[who] += last - first
            found = sorted(i for _, first, last, _ in calls for i in range(first, last))
            assert found == [*range(chunks)]
    finally:
        ad.set_num_threads(before)
