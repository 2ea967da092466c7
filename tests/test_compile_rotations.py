"""State that goes from place to place: what a place had before a call, in another after it."""

import collections

import pytest

import adjoint as ad
from adjoint import compile


class Places:
    def __init__(self):
        self.a, self.b, self.c = (ad.arange(2.0) + k for k in range(3))
        self.window = [ad.arange(2.0) * k for k in range(3)]
        self.last = collections.deque((ad.arange(2.0) * k for k in range(3)), maxlen=3)
        self.named = {"now": ad.zeros(2), "before": ad.ones(2)}

    def told(self):
        rows = self.a, self.b, self.c, *self.window, *self.last, *self.named.values()
        return [x.tolist() for x in rows]


def need_program(told, backend="native"):
    """What is told with a program is told without, to the bit; there is a program."""
    got, f = told(lambda f: compile(f, backend=backend))
    assert got == told(lambda f: f)[0]
    assert f.programs and not f.unfit


def leapfrog(m, x):
    new = 2 * m.b - m.a + 0.1 * x
    m.a, m.b = m.b, new
    return m.b.sum()


def both(m, x):
    m.a, m.b = m.b, 2 * m.b - m.a + x
    return m.a, m.b


def windowed(m, x):
    y = m.window[0] + m.window[1] * 2 + m.window[2] * 3
    m.window[0], m.window[1], m.window[2] = m.window[1], m.window[2], x * 1
    return y


def popped(m, x):
    y = sum(m.window)
    m.window.pop(0)
    m.window.append(x * 2)
    return y


def appended(m, x):
    y = sum(m.last)
    m.last.append(x * 2)
    return y


def swapped(m, x):
    m.a.add_(x)
    m.a, m.b = m.b, m.a
    return m.a * x


def turned(m, x):
    m.a, m.b, m.c = m.b, m.c, m.a
    return m.a + 2 * m.b + 3 * m.c + x


def named(m, x):
    m.named["before"] = m.named["now"]
    m.named["now"] = m.named["now"] * 0.5 + x
    return x * m.named["before"]


def old(m, x):
    before = m.a
    m.a = m.a * 0.5 + x
    return before


def old_cut_off(m, x):
    before = m.a.detach()[:]
    m.a = m.a * 0.5 + x
    return before, m.a


def old_item(m, x):
    before = m.window[1]
    m.window[1] = x * 1
    return before, m.window[1]


def old_memory(m, x):
    before = m.a.data
    m.a.data = m.a.data * 0.5 + x
    return before


FORMS = [
    leapfrog,
    both,
    windowed,
    popped,
    appended,
    swapped,
    turned,
    named,
    old,
    old_cut_off,
    old_item,
    old_memory,
]


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_it_is_as_without_compile(form, backend):
    def told(wrap):
        m, out = Places(), []
        f = wrap(lambda x: form(m, x))
        for i in range(6):
            ys = f(ad.arange(2.0) + i)
            ys = ys if isinstance(ys, tuple) else (ys,)
            out.append(([y.tolist() for y in ys], m.told()))
        return out, f

    need_program(told, backend)


def test_the_tensors_themselves_go_round():
    m = Places()
    f = compile(lambda x: turned(m, x))
    for i in range(4):
        was = m.a, m.b, m.c
        f(ad.ones(2) * i)
        assert all(x is y for x, y in zip((m.c, m.a, m.b), was, strict=True))


def test_what_is_changed_and_replaced_runs_as_written():
    def told(wrap):
        m, out = Places(), []

        @wrap
        def f(x):
            m.a.grad = x * 2
            m.a = x * 3
            return x

        for i in range(4):
            before = m.a
            f(ad.ones(2) * i)
            out.append((before.grad.tolist(), m.a.tolist(), m.a.grad))
        return out

    assert told(compile) == told(lambda f: f)


def test_what_is_in_two_places_at_first():
    """Which of them was read tells the next call, where they have parted."""

    def told(wrap):
        m, out = Places(), []
        m.a = m.b = m.window[1] = ad.arange(2.0)

        @wrap
        def f(x):
            y = m.window[0] + m.b * 2
            m.window.append(x * 0.5)
            m.window.pop(0)
            m.a = m.a + y
            return y

        for i in range(5):
            out.append((f(ad.arange(2.0) + i).tolist(), m.told()))
        return out, f

    need_program(told)


def test_nested_state_stays_one_program():
    def told(wrap):
        m, out = Places(), []
        m.a = ((ad.zeros(2), ad.ones(2)), ad.ones(2) * 2)

        @wrap
        def f(x):
            (u, v), w = m.a
            m.a = ((v, u + x), w * 0.5)
            return u + v + w

        for i in range(5):
            out.append(f(ad.arange(2.0) + i).tolist())
        return out, f

    need_program(told)


def test_what_has_the_memory_of_a_slot_for_one_call():
    def told(wrap):
        m, seen, out = Places(), [ad.ones(2)], []

        @wrap
        def f(x):
            y = seen[0] * 0.5
            m.a = m.a * 0.5 + y + x
            return y

        for i in range(7):
            if i == 4:
                seen[0] = m.a.detach()[:]
            out.append((f(ad.arange(2.0) + i).tolist(), m.a.tolist()))
        return out

    assert told(compile) == told(lambda f: f)
