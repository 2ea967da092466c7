"""The engine from scratch: what `adjoint` does, told in one file for a learner.

It has the real thing's ideas in the real thing's order: a primitive with its rule,
`bind`, levels that nest, forward mode, reverse mode. It leaves out shapes, dtypes,
memory, errors and speed. Run by the tests; read it from top to bottom.

>>> f = lambda x, y: x * y + sin(x)
>>> jvp(f, (2.0, 3.0), (1.0, 0.0)) == (f(2.0, 3.0), 3.0 + math.cos(2.0))
True
>>> grad(f)(2.0, 3.0) == (3.0 + math.cos(2.0), 2.0)
True
"""

import math
from itertools import count

# ------------------------------------------------------------------ primitives
# An operation is one record: how to compute it, and for each input how its partial
# derivative is *applied* to t. In forward mode t is a tangent, in reverse mode a
# cotangent: for numbers both are a multiplication, so one rule serves both.


class Primitive:
    """A name, a way to compute it, and a rule `(t, y, *xs) -> derivative` an input."""

    def __init__(self, name, eager, *rules):
        self.name, self.eager, self.rules = name, eager, rules

    def __call__(self, *xs):
        return bind(self, *xs)


add = Primitive("add", lambda a, b: a + b, lambda t, y, a, b: t, lambda t, y, a, b: t)
neg = Primitive("neg", lambda a: -a, lambda t, y, a: -t)
mul = Primitive(
    "mul", lambda a, b: a * b, lambda t, y, a, b: t * b, lambda t, y, a, b: t * a
)
sin = Primitive("sin", math.sin, lambda t, y, a: t * cos(a))
cos = Primitive("cos", math.cos, lambda t, y, a: -(t * sin(a)))
exp = Primitive("exp", math.exp, lambda t, y, a: t * y)
log = Primitive("log", math.log, lambda t, y, a: t * exp(-log(a)))

# The rules are written with the operators and primitives themselves, never with `math`.
# So a rule can be differentiated like any other program, and derivatives of any order
# need nothing more than what is here.

# ------------------------------------------------------------------ bind and levels
# A Box is a number that some interpreter looks after. Interpreters nest: each `grad`
# or `jvp` that runs is one level deeper. `bind` finds the deepest level among the
# inputs and lets it process the operation; with no box about, it is plain arithmetic.


class Box:
    """A value and the level that looks after it; operators turn into `bind`."""

    def __init__(self, level, value):
        self.level, self.value = level, value

    def __add__(self, other):
        return add(self, other)

    def __mul__(self, other):
        return mul(self, other)

    def __neg__(self):
        return neg(self)

    def __sub__(self, other):
        return add(self, neg(other))

    def __rsub__(self, other):
        return add(other, neg(self))

    __radd__, __rmul__ = __add__, __mul__


def bind(primitive, *xs):
    """Hand an operation to the interpreter its inputs ask for, and nothing else."""
    levels = [x.level for x in xs if isinstance(x, Box)]
    if not levels:
        return primitive.eager(*xs)
    return max(levels, key=lambda level: level.depth).process(primitive, xs)


_depths = count(1)


class Level:
    """An interpreter; later ones are deeper. Boxes of others are constants to it."""

    def __init__(self):
        self.depth = next(_depths)

    def mine(self, x):
        """Whether this level looks after `x`."""
        return isinstance(x, Box) and x.level is self

    def below(self, x):
        """`x` as the level below sees it."""
        return x.value if self.mine(x) else x


# ------------------------------------------------------------------ forward mode
# A dual number carries a value and its tangent. Processing an operation means: compute
# the value one level below, apply the rules to the tangents, add up. The values in the
# rules may themselves be boxes of a lower level and bind again: that is all of nesting.


class Dual(Level):
    """Forward mode."""

    def box(self, value, tangent):
        """A dual number of this level."""
        x = Box(self, value)
        x.tangent = tangent
        return x

    def process(self, primitive, xs):
        """Value from below, tangent by the chain rule."""
        vs = [self.below(x) for x in xs]
        y, t = bind(primitive, *vs), 0.0
        for x, rule in zip(xs, primitive.rules, strict=True):
            if self.mine(x):
                t = t + rule(x.tangent, y, *vs)
        return self.box(y, t)


def jvp(f, xs, tangents):
    """The value of f at xs and its derivative along tangents."""
    level = Dual()
    y = f(*map(level.box, xs, tangents))
    return (y.value, y.tangent) if level.mine(y) else (y, 0.0)


# ------------------------------------------------------------------ reverse mode
# The tape only writes down: an entry an operation, with its inputs and values. Backward
# reads the list from the end. A box that was used twice receives twice, hence `+`.


class Tape(Level):
    """Reverse mode: a list of operations, walked backwards."""

    def __init__(self):
        super().__init__()
        self.entries = []

    def process(self, primitive, xs):
        """Value from below, and an entry on the tape."""
        vs = [self.below(x) for x in xs]
        y = Box(self, bind(primitive, *vs))
        self.entries.append((primitive, xs, vs, y))
        return y

    def backward(self, y):
        """The cotangent of every box that y depends on, by identity."""
        g = {id(y): 1.0}
        for primitive, xs, vs, y in reversed(self.entries):
            if id(y) in g:
                for x, rule in zip(xs, primitive.rules, strict=True):
                    if self.mine(x):
                        g[id(x)] = g.get(id(x), 0.0) + rule(g[id(y)], y.value, *vs)
        return g


def grad(f):
    """The function that returns the derivatives of f by each of its arguments."""

    def gradient(*xs):
        tape = Tape()
        boxes = [Box(tape, x) for x in xs]
        y = f(*boxes)
        g = tape.backward(y)
        return tuple(g.get(id(x), 0.0) for x in boxes)

    return gradient


# ----------------------------------------------------------------- what follows from it


def derivative(f):
    """The derivative of a function of one number.

    It nests: the third derivative of sin is -cos.

    >>> derivative(derivative(derivative(sin)))(0.5) == -math.cos(0.5)
    True

    Modes mix: forward over reverse, reverse over forward.

    >>> g = lambda x: log(x) * x
    >>> slope = lambda f: lambda x: jvp(f, (x,), (1.0,))[1]
    >>> both = (slope, derivative)
    >>> [round(d(e(g))(2.0), 9) for d in both for e in both]
    [0.5, 0.5, 0.5, 0.5]

    Levels keep perturbations apart: the inner derivative of x + y by y is 1, whatever
    the outer one does with x, so this is d/dx (x * 1) = 1 and not 2.

    >>> slope(lambda x: x * slope(lambda y: x + y)(1.0))(1.0)
    1.0
    """
    return lambda x: grad(f)(x)[0]


def lecture(x1, x2):
    """f = x1**2 + (x1 - x2) - log(x1**2 + x2**2); its gradient at (2, 1): (4.2, -1.4).

    >>> print(f"{lecture(2.0, 1.0):.6f}")
    3.390562
    >>> print(*(round(g, 9) for g in grad(lecture)(2.0, 1.0)))
    4.2 -1.4
    """
    r = x1 * x1 + x2 * x2
    return x1 * x1 + (x1 - x2) - log(r)
