"""Random worlds and what is done to them between calls, eager against compiled.

Each seed is a text: state (tensors, aliases, modules, an optimizer, containers), a function of
it, and what somebody does between its calls. Both ways must leave the same numbers, gradients,
identities and shared memory behind. More of them: `ADJOINT_WORLDS=5000 pytest
tests/test_world_fuzz.py`.
"""

import copy
import logging
import os
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.errors import TraceError

COUNT = int(os.environ.get("ADJOINT_WORLDS", "60"))
CHUNK = 10
FACTS = "ADJOINT_FUZZ_FACTS" in os.environ  # also who is and shares what
NAMES = "abc"
PLACES = ["a", "b", "c", "net.w", "net.h", "net.inner.w", "obj.t", "items[0]"]
PLACES += ["items[1]", "table['k']", "m", "part", "net.alone"]
FLAT = PLACES[:10]  # those of four elements
KEEPERS = ["obj.t", "items[0]", "items[1]", "table['k']", "net.h", *NAMES]
OPTIMIZERS = [
    "optim.SGD({}, lr=0.1)",
    "optim.SGD({}, lr=0.1, momentum=0.9)",
    "optim.Adam({}, lr=0.1)",
    "optim.AdamW({}, lr=0.1, amsgrad=True)",
    "optim.RMSprop({}, lr=0.1)",
    "optim.Adagrad({}, lr=0.1)",
]


class Leaf(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.w = nn.Parameter(ad.full((4,), start))
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x * self.w)


class Net(nn.Module):
    def __init__(self, start=0.3):
        super().__init__()
        self.w = nn.Parameter(ad.full((4,), start))
        self.alone = nn.Parameter(ad.full((4,), start / 2))
        self.register_buffer("h", ad.full((4,), 0.2))
        self.inner = Leaf(start * 2)

    def forward(self, x):
        if self.training:
            with ad.no_grad():
                self.h.mul_(0.9).add_(x.detach() * 0.1)
        return self.inner(x.tanh()) * self.w + self.h + self.alone


class Holder:
    pass


class World:
    """The texts of one seed: what there is, the function, and what is done between calls."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.count = 0
        self.setup = self.made()
        self.values = ["x"]
        self.wide = self.often(0.4)
        lines = [self.statement() for _ in range(self.rng.integers(2, 6))]
        more = ["x = sum(others, x * k)"] * self.wide
        self.body = [*more, *lines, f"return ({', '.join(self.results())},)"]
        self.rounds = [self.between(i) for i in range(8)]

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def often(self, p):
        return self.rng.random() < p

    def new(self):
        return f"ad.tensor({np.round(self.rng.uniform(-1, 1, 4), 2).tolist()})"

    def place(self):
        return self.pick(*FLAT, *NAMES)

    def value(self):
        """Something with four elements that there is."""
        if self.often(0.45):
            return self.pick(*self.values)
        return self.pick(self.place(), "m.reshape(4)", "part.sum() * x", "net.alone")

    def alias(self, of):
        form = self.pick(
            "{}", "{}.detach()", "{}.data", "{}.view(4)", "{}[:]", "{}.detach()[:]"
        )
        return form.format(of)

    # ------------------------------------------------------------ what there is

    def made(self):
        pick, often = self.pick, self.often
        needs = f", requires_grad={often(0.6)}"
        lines = ["net = Net()", f"a = {self.new()[:-1]}{needs})"]
        lines.append(f"b = {self.new()}" if often(0.5) else f"b = {self.alias('a')}")
        of = pick("a", "b", "net.w", "net.h")
        lines.append(
            f"c = {self.alias(of)}" if often(0.8) else f"c = nn.Parameter({of}.data)"
        )
        of = pick("a", "b", "c", "net.w", "net.h")
        matrix = pick(
            "{}.detach().view(2, 2)", "{}.view(2, 2).t()", "{}.data.view(2, 2).t()"
        )
        lines.append(f"m = {matrix.format(of)}")
        lines.append(f"part = {pick('m[0]', 'a[1:3]', 'b.detach()[:2]', 'net.h[::2]')}")
        lines += ["obj = Holder()", "items = [None, None]", "table = {}"]
        for keeper in ("obj.t", "items[0]", "items[1]", "table['k']"):
            of = (
                self.new() if often(0.5) else self.alias(pick(*NAMES, "net.w", "net.h"))
            )
            lines.append(f"{keeper} = {of}")
        if often(0.3):
            lines.append(
                pick("net.inner.w = net.w", "net.alone = net.w", "obj.t = net.h")
            )
        groups = pick(
            "[p for p in {a, *net.parameters()} if p.is_leaf and p.requires_grad]",
            "net.parameters()",
            "[{'params': [net.w]}, {'params': [net.alone], 'lr': 0.01}]",
        ).replace("{a, *net.parameters()}", "dict.fromkeys([a, *net.parameters()])")
        lines.append(f"opt = {pick(*OPTIMIZERS).format(groups)}")
        return lines

    # ------------------------------------------------------------ the function

    def named(self, text):
        self.count += 1
        self.values.append(f"y{self.count}")
        return f"y{self.count} = {text}"

    def results(self):
        n = self.rng.integers(1, 4)
        return [self.pick(*self.values, *self.values, self.value()) for _ in range(n)]

    def write(self, to, of):
        """In place, unseen."""
        return self.pick(
            f"{to}.mul_(0.5)",
            f"{to}.add_({of})",
            f"{to}.copy_({of})",
            f"{to}[0] = {of}[1]",
            f"{to}[1:3].add_({of}[:2])",
            f"{to}.detach().add_(0.25)",
            f"{to}.data.mul_({of})",
            "m.add_(0.1)",
            "part.mul_(0.7)",
        )

    def statement(self):
        kinds = [self.reads, self.reads, self.aliases, self.writes, self.writes]
        kinds += [self.sets, self.gradients, self.gradients, self.steps, self.flows]
        kinds += [self.moves]
        return self.pick(*kinds)()

    def reads(self):
        u, v = self.value(), self.value()
        return self.named(
            self.pick(
                f"{u} * {v}.sin()",
                f"({u} + {v}) * 0.5",
                f"net({u})",
                f"ad.rand(4) * {u}",
                f"{u}.sum() * {v}",
                f"{u}.clone()",
            )
        )

    def aliases(self):
        of = self.alias(self.value())
        return self.named(f"{of}.detach().requires_grad_()" if self.often(0.35) else of)

    def writes(self):
        to = self.place() if self.often(0.7) else self.pick(*self.values)
        if self.often(0.12):
            return self.write(to, self.value())
        return f"with ad.no_grad(): {self.write(to, self.value())}"

    def sets(self):
        v = self.value()
        fresh = self.pick(f"{v}.detach() * 0.5", f"{v} * 0.5", f"{v}.detach()", v)
        where = self.pick(
            "obj.t",
            "items[0]",
            "items[1]",
            "table['k']",
            "net.h",
            *NAMES,
            "data",
            "data",
        )
        if where == "data":
            return f"{self.place()}.data = {fresh}"
        return f"{where} = {fresh}"

    def moves(self):
        """What a place had goes elsewhere."""
        u, v = self.pick(*KEEPERS), self.pick(*KEEPERS)
        fresh = f"({self.value()} * 0.5).detach()"
        if self.often(0.5):
            old = self.named(self.pick(u, f"{u}.detach()", f"{u}[:]", f"{u}.data"))
            return f"{old}\n    {u}{self.pick('', '', '.data')} = {fresh}"
        return self.pick(
            f"{u}, {v} = {v}, {u}",
            f"{u}, {v} = {v}, {fresh}",
            "items.reverse()",
            f"items.append({fresh}); items.pop(0)",
            f"{v}.data = {v}.data * 0.5 + {fresh}",
        )

    def gradients(self):
        u, v = self.place(), self.pick(*self.values, self.place())
        loss = f"({u} * {self.value()}).sin().sum()"
        n = self.count = self.count + 1
        made = self.pick(
            f"l{n} = {loss} + net(x).sum()\n    l{n}.backward()",
            f"l{n} = {loss}\n    if l{n}.requires_grad: l{n}.backward()",
            f"if {v}.requires_grad and {v}.is_leaf: ({v} * {u}).sum().backward()",
            f"{u}.grad = None",
            f"{u}.grad = {self.value()}.detach() * 0.5",
            f"y{n} = {u}.grad * 2 if {u}.grad is not None else x",
            f"y{n} = net.w.grad if net.w.grad is not None else x",
            f"y{n} = ad.autograd.grad({loss} + net.w.sum(), net.w)[0]",
        )
        self.values += [f"y{n}"] * made.startswith("y")
        return made

    def steps(self):
        return self.pick(
            f"opt.zero_grad(set_to_none={self.often(0.5)})",
            "opt.step()",
            "opt.zero_grad(); net(x).sum().backward(); opt.step()",
        )

    def flows(self):
        u, v, s = self.value(), self.value(), self.place()
        return self.named(
            self.pick(
                f"ad.cond(x.sum() > 0, lambda: {u} * 2, lambda: {v} + {s})",
                f"ad.scan(lambda c, r: (c * 0.5 + r * {s}, c), {u} * 1, ad.stack([x, x * 2]))[0]",
                f"ad.fori_loop(0, 2, lambda i, c: c.sin() + {s}, {u} * 1)",
            )
        )

    # ------------------------------------------------------------ between calls

    def between(self, i):
        """(what is done, how the function is called)."""
        calm = i < 2 or self.often(0.4)
        done = [] if calm else [self.event() for _ in range(self.rng.integers(1, 3))]
        x = self.argument(i, calm)
        if self.often(0.08):
            return (
                done,
                f"f.within({self.pick('ad.no_grad', 'ad.inference_mode')}, {x})",
            )
        return done, f"{self.pick('f', 'f', 'f.walked' if self.walks() else 'f')}({x})"

    def walks(self):
        """Whether eager gradients are to be trusted, and None and zeros do the same."""
        lines = [*self.setup, *self.body]
        if any(".data" in x for x in lines) and any(
            "_(" in x or "] = " in x for x in self.body
        ):
            return False  # writes that the graph does not see
        return not (
            self.branches() and any("grad" in x or "opt" in x for x in self.body)
        )

    def argument(self, i, calm):
        """What it is called with: calm calls are most often like the one before."""
        x = (
            f"x{i}"
            if self.often(0.9 if calm else 0.5)
            else self.pick(
                self.place(), f"x{i} * {self.place()}", f"x{i}.clone().requires_grad_()"
            )
        )
        if not self.wide or self.often(0.4):
            return x
        return x + self.pick(
            ", 2", ", k=2", f", others=[x{i}]", f", 1, (x{i}, {self.place()})"
        )

    def event(self):
        u, v, new = self.place(), self.place(), self.new()
        keeper = self.pick(
            "obj.t", "items[0]", "items[1]", "table['k']", *NAMES, "net.h"
        )
        return self.pick(
            f"{u}.data = {new}",
            f"{u}.data = {new}",
            f"{u}.data = {self.alias(v)}",
            f"with ad.no_grad(): {self.write(u, v)}",
            f"with ad.no_grad(): {self.write(u, v)}",
            "net.load_state_dict({k: v + 0.1 for k, v in net.state_dict().items()}, "
            f"assign={self.often(0.5)})",
            f"net.{self.pick('w', 'alone', 'inner.w')} = nn.Parameter({new})",
            f"net.inner = {self.pick('Leaf(0.4)', 'copy.deepcopy(net.inner)')}",
            "net = copy.deepcopy(net)",
            f"net.{self.pick('train', 'eval')}()",
            f"{u}.grad = None",
            f"{u}.grad = {new}",
            f"{u}.requires_grad_({self.often(0.5)})",
            f"{keeper} = {new}",
            f"{keeper} = {self.alias(v)}",
            "a, b = b, a",
            "items.reverse()",
            "opt.param_groups[0]['lr'] *= 0.5",
            f"opt.add_param_group({{'params': [nn.Parameter({new})]}})",
            f"opt.zero_grad(set_to_none={self.often(0.5)})",
            "ad.manual_seed(7)",
            f"{u}.detach_()",
            "net.inner.w = net.w",
        )

    def branches(self):
        return any(
            f"ad.{k}(" in x for x in self.body for k in ("cond", "scan", "fori_loop")
        )

    def text(self):
        body = "\n    ".join([f"global {', '.join(NAMES)}", *self.body])
        rounds = "\n".join("\n".join([*done, call]) for done, call in self.rounds)
        return "\n".join([*self.setup, f"{HEAD}\n    {body}", rounds])


# ---------------------------------------------------------------- one world, run


HEAD = "def f(x, k=1, others=()):"


class Called:
    """The function, and ways to call it."""

    def __init__(self, f):
        self.f = f

    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)

    def within(self, mode, *args, **kwargs):
        with mode():
            return self.f(*args, **kwargs)

    def walked(self, *args, **kwargs):
        """The results are walked back at once, all together."""
        results = self.f(*args, **kwargs)
        if roots := [y.sum() for y in results if y.requires_grad]:
            sum(roots).backward()
        return results


def spaces():
    """The names that the texts of a world have."""
    return {
        "ad": ad,
        "nn": nn,
        "optim": optim,
        "copy": copy,
        "Net": Net,
        "Leaf": Leaf,
        "Holder": Holder,
    }


def found(result, names):
    """What can be seen of the state, and of what the function has returned."""
    state = [y for p in PLACES if (y := look(p, names)) is not None]
    grads = [None if y.grad is None else y.grad for y in state]
    rows = [("numbers", *state), ("grads", *grads), ("results", *result)]
    numbers = [
        (k, [None if y is None else y.detach().numpy().copy() for y in ys])
        for k, *ys in rows
    ]
    held = list(state)
    facts = {
        "same": [[y is z for z in held] for y in held],
        "shared": [[shares(y, z) for z in held] for y in held],
        "needs": [y.requires_grad for y in held],
        "leaves": [y.is_leaf for y in held],
        "results that are": [
            [y is z and not z._is_view() for z in held] for y in result
        ],
        "results that share": [[shares(y, z) for z in held] for y in result],
    }
    return numbers, facts


def look(place, names):
    try:
        return eval(place, names)
    except (NameError, AttributeError, KeyError, IndexError):
        return None


def shares(y, z):
    return bool(np.shares_memory(y.detach().numpy(), z.detach().numpy()))


def told(world, wrap):
    """After each call what is found, until an error: it comes last."""
    names, seen = spaces(), []
    ad.manual_seed(3)
    r = np.random.default_rng(1)
    body = "\n    ".join([f"global {', '.join(NAMES)}", *world.body])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec("\n".join([*world.setup, f"{HEAD}\n    {body}"]), names)
            names["f"] = Called(wrap(names["f"]))
            for i, (done, call) in enumerate(world.rounds):
                names[f"x{i}"] = ad.tensor(np.round(r.uniform(-1, 1, 4), 2))
                exec("\n".join(done), names)
                seen.append(found(eval(call, names), names))
        except Exception as error:
            seen.append(error)
    return seen


def difference(world, backend="numpy"):
    """Where the two ways part, or None."""
    with _double():
        want = told(world, lambda f: f)
        got = told(world, lambda f: ad.compile(f, backend=backend))
    for i, (a, b) in enumerate(zip(want, got, strict=False)):
        if isinstance(a, Exception):
            return None
        if isinstance(b, Exception):
            known = (
                isinstance(b, TraceError) and "hint" in str(b)
            ) or "inference" in str(b)
            return None if known else f"call {i}: {type(b).__name__}: {b}"
        for (k, ys), (_, zs) in zip(a[0], b[0], strict=True):
            for j, (y, z) in enumerate(zip(ys, zs, strict=True)):
                if k == "grads" and y is None and not np.any(z) and world.branches():
                    continue  # branches and loops add zeros to what they read
                if (y is None) != (z is None):
                    return f"call {i}: {k} {j}: {y} {z}"
                if y is not None and np.abs(y).max(initial=0) > 1e6:
                    return None
                if y is not None and not np.allclose(y, z, 1e-6, 1e-8, equal_nan=True):
                    return f"call {i}: {k} {j}: {y} {z}"
        if FACTS and a[1] != b[1]:
            k = next(k for k in a[1] if a[1][k] != b[1][k])
            return f"call {i}: {k}: {a[1][k]} {b[1][k]}"
    return None


class _double:
    def __enter__(self):
        self.before = ad.get_default_dtype()
        ad.set_default_dtype(ad.float64)

    def __exit__(self, *_):
        ad.set_default_dtype(self.before)


def smaller(world, backend="numpy"):
    """A world of fewer lines in which the two ways still part."""
    changed = True
    while changed:
        changed = False
        lists = [
            world.body,
            *(done for done, _ in world.rounds),
            world.rounds,
            world.setup,
        ]
        for lines in lists:
            for i in reversed(range(len(lines))):
                line = lines.pop(i)
                if difference(world, backend):
                    changed = True
                else:
                    lines.insert(i, line)
    return world


@pytest.mark.parametrize("start", range(0, COUNT, CHUNK))
def test_random_worlds(start, caplog):
    caplog.set_level(logging.CRITICAL, "adjoint")
    for seed in range(start, min(start + CHUNK, COUNT)):
        world = World(seed)
        where = difference(world, "native" if seed % 20 == 7 else "numpy")
        assert where is None, f"{seed}: {where}\n{world.text()}"
