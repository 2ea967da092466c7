"""Programs compiled as on another machine, compared with eager: `python machines.py NAME`.

What the compiler is told of the processor is changed before it looks. Lesser processors of the
own kind run what was made for them, which has no instruction of what they lack. As virtual
machines show them, they may have the name of another, the second word, and features hidden that
others need, the words behind it. Of a processor of another kind all is taken but the machine code:
programs are written for it and run here, and LLVM makes its machine code besides.
"""

import itertools
import platform
import re
import sys

import numpy as np

import adjoint as ad
from adjoint import nn, optim
from adjoint.compiler.native.llvm import library, machine

FEATURES = {
    "x86-64": "64bit cmov cx8 fxsr mmx sse sse2 x87",
    "sandybridge": "crc32 cx16 popcnt sahf sse3 sse4.1 sse4.2 ssse3 avx pclmul xsave",
    "haswell": "avx2 bmi bmi2 f16c fma fsgsbase lzcnt movbe rdrnd",
}
# What only a feature brings: registers, or instructions by how their names begin.
SIGNS = {
    "avx512f": r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|[23]\d)",
    "avx": r"%ymm|\tv[a-z]",
    "avx2": r"\tv(pgather|pbroadcast|psllv|psrlv|perm[dq])",
    "fma": r"\tvfn?m(add|sub)",
    "f16c": r"\tvcvtp[hs]2p[sh]",
    "sse4.1": r"\t(round[ps]|blend|pmov[sz]x|pmulld|pmin[su]d|pextr[bdq]|pinsr[bdq])",
    "ssse3": r"\tp(shufb|abs|alignr)",
    "bmi": r"\t(andn[lq]|bls|tzcnt)",
    "bmi2": r"\t(mulx|shlx|shrx|sarx|pdep|pext[lq])",
    "lzcnt": r"\tlzcnt",
    "popcnt": r"\tpopcnt",
}
OWN = library.processor()
ARM = "apple-m1", "+fp-armv8,+fullfp16,+neon"
TRIPLES = itertools.cycle(["aarch64-unknown-linux-gnu", "arm64-apple-darwin"])
SIZES = (33, 65, 17), (1, 300, 20), (70, 4, 1)  # of products
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")


def features_of(name):
    """Those of a processor, and of all before it; or "own"."""
    if name == "own":
        return [f[1:] for f in OWN[1].split(",") if f[0] == "+"]
    found = []
    for known, features in FEATURES.items():
        found += features.split()
        if known == name:
            return found
    raise KeyError(name)


def pretend(name, called="", *hidden):
    """Have the compiler take this machine for another one, or for itself with less."""
    if name != "arm":
        known = {*features_of(name)} - {*hidden}
        features = [f if f[1:] in known else f"-{f[1:]}" for f in OWN[1].split(",")]
        library.processor = lambda: (called or name, ",".join(features))
        return

    class Machine(library.Machine):
        def __init__(self, name, features, effort):
            super().__init__(*OWN, effort)

    library.processor, library.Machine = lambda: ARM, Machine
    machine._is_x86, machine.is_arm = (lambda: False), (lambda: True)


def numbers(*shape, dtype="float32"):
    rng = np.random.default_rng(sum(shape))
    return ad.tensor(rng.normal(size=shape)).to(getattr(ad, dtype))


def functions(x):
    """Whatever is computed by polynomials, or by what a rounding lost."""
    a = x.abs() + 0.1
    some = [x.exp(), x.tanh(), x.erf(), a.log(), (30 * x).sin(), nn.functional.gelu(x)]
    more = [a**x, x.atan(), x.expm1(), a.lgamma(), x.sigmoid(), (9 * x).fmod(a)]
    z = 3 * x
    whole = [z.round(), z.floor(), z.ceil(), z.trunc(), z // a, z.maximum(-z)]
    return ad.stack([*some, *more, *whole])


def trained():
    ad.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(36, 20), nn.LayerNorm(20), nn.GELU(), nn.Linear(20, 10)),
    )
    adam = optim.Adam(model.parameters(), lr=0.01)

    def step(x, t):
        adam.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        adam.step()
        return loss

    return step


def rows(x):
    return nn.functional.softmax(x, 1) + x.cumsum(1) + x.sort(1)[0] + x.amax(0)


def scanned(w, x):
    def step(h, row):
        h = (h @ w + row).tanh()
        return h, h

    return ad.scan(step, x[0], x)[1]


def convolved(x, w):
    def f(x, w):
        y = nn.functional.conv2d(x, w, padding=1)
        return (nn.functional.conv2d(y.tanh(), w, padding=1) ** 2).mean()

    return ad.func.grad(f, argnums=(0, 1))(x, w)


def programs():
    """(what makes a function, its arguments, what may differ)."""
    near = {"float32": 2e-5, "float64": 1e-11, "float16": 1e-2, "bfloat16": 5e-2}
    for dtype in ("float32", "float64", "float16"):
        yield lambda: functions, (numbers(131, dtype=dtype),), near[dtype]
    for dtype in near:
        for m, k, n in SIZES if dtype == "float32" else SIZES[:1]:
            xs = numbers(m, k, dtype=dtype), numbers(n, k, dtype=dtype)
            yield lambda: lambda x, w: x @ w.T, xs, near[dtype]
            yield lambda: ad.matmul, (xs[0], xs[1].T.contiguous()), near[dtype]
    yield lambda: rows, (numbers(20, 45),), near["float32"]
    yield lambda: scanned, (numbers(5, 5), numbers(7, 5)), near["float32"]
    for k, padding in ((5, 2), (2, 0)):
        xs = numbers(3, 9, 12, 12), numbers(10, 9, k, k)
        f = lambda x, w, p=padding: nn.functional.conv2d(x, w, padding=p)  # noqa: E731
        yield lambda f=f: f, xs, near["float32"]
    xs = numbers(4, 16, 12, 12), numbers(16, 16, 3, 3) * 0.1
    yield lambda: convolved, xs, near["float32"]
    x, t = numbers(16, 1, 14, 14), ad.tensor(np.arange(16) % 10)
    yield trained, (x, t), 1e-4
    yield lambda: lambda: ad.rand(99) + ad.randn(99), (), near["float32"]


def arrays(y):
    ys = y if isinstance(y, tuple) else (y,)
    return [np.asarray(y.detach().to(ad.float64).numpy()) for y in ys]


def compare(make, args, near):
    """Some calls of a function and of what is compiled of it."""
    plain, compiled = make(), ad.compile(make())
    for _ in range(3):
        ad.manual_seed(1)
        want = arrays(plain(*args))
        ad.manual_seed(1)
        got = arrays(compiled(*args))
        for x, y in zip(got, want, strict=True):
            np.testing.assert_allclose(x, y, near, near, err_msg=str(args))
    return compiled


def objects(f, args):
    """The sizes of a program's machine code for one or another system of another kind."""
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple = next(TRIPLES)
    target = binding.Target.from_triple(triple).create_target_machine(
        *ARM, opt=1, codemodel="jitdefault", jit=True
    )
    for text in f._native(*args).texts():
        module = binding.parse_assembly(text)
        module.triple = triple
        module.verify()
        yield len(target.emit_object(module))


def foreign(f, args):
    """Instructions of a program's machine code that this processor has not."""
    lacks = [signs for x, signs in SIGNS.items() if not machine.has(x)]
    signs = re.compile(rf".*({'|'.join(lacks) or '(?!)'}).*")
    for text in f._native(*args).texts():
        yield from (x[0] for x in signs.finditer(machine.assembly(text)))


if __name__ == "__main__":
    name, hidden = sys.argv[1], sys.argv[3:]
    pretend(*sys.argv[1:])
    some = 4 if hidden else 1  # what lanes there are, more than what is done with them
    for make, args, near in itertools.islice(programs(), 0, None, some):
        f = compare(make, args, near)
        if name == "arm":
            assert all(objects(f, args))
        else:
            found = {*foreign(f, args)}
            assert not found, sorted(found)[:20]
    print(machine.processor()[0], machine.vector_bits(), machine.registers())
