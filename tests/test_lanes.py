"""Functions in lanes: their errors in ulp over the whole range, their ends, their bits.

float32 is compared with NumPy in float64 on many numbers, float64 with mpmath on fewer.
"""

import functools

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile
from adjoint.compiler.native.arithmetic import kinds
from adjoint.compiler.native.arithmetic.stream import Stream
from adjoint.core.primitive import Elementwise, op
from over_arrays import Kernel

KIND = {"float32": kinds.FLOAT, "float64": kinds.DOUBLE}
INF, NAN = np.inf, np.nan


def mp():
    return pytest.importorskip("mpmath").mp


def _gauss_tail(x):
    m = mp()
    if x < 100:
        return m.exp(x * x) * m.erfc(x)
    terms = (m.fac2(2 * k - 1) / (-2 * x * x) ** k for k in range(1, 9))
    return (1 + sum(terms)) / (x * m.sqrt(m.pi))


# name: (of float64, exact, where it is neither 0 nor infinite nor NaN in float32, float64)
FUNCTIONS = {
    "exp": (np.exp, lambda x: mp().exp(x), (-103, 88.7), (-745, 709.7)),
    "exp2": (np.exp2, lambda x: mp().mpf(2) ** x, (-149, 127.9), (-1074, 1023.9)),
    "expm1": (np.expm1, lambda x: mp().expm1(x), (-200, 88.7), (-800, 709.7)),
    "log": (np.log, lambda x: mp().log(x), (0, INF), (0, INF)),
    "log2": (np.log2, lambda x: mp().log(x, 2), (0, INF), (0, INF)),
    "log10": (np.log10, lambda x: mp().log10(x), (0, INF), (0, INF)),
    "log1p": (np.log1p, lambda x: mp().log1p(x), (-1, INF), (-1, INF)),
    "sqrt": (np.sqrt, lambda x: mp().sqrt(x), (0, INF), (0, INF)),
    "sin": (np.sin, lambda x: mp().sin(x), (-INF, INF), (-INF, INF)),
    "cos": (np.cos, lambda x: mp().cos(x), (-INF, INF), (-INF, INF)),
    "tan": (np.tan, lambda x: mp().tan(x), (-INF, INF), (-INF, INF)),
    "asin": (np.arcsin, lambda x: mp().asin(x), (-1, 1), (-1, 1)),
    "acos": (np.arccos, lambda x: mp().acos(x), (-1, 1), (-1, 1)),
    "atan": (np.arctan, lambda x: mp().atan(x), (-INF, INF), (-INF, INF)),
    "sinh": (np.sinh, lambda x: mp().sinh(x), (-89.4, 89.4), (-710.4, 710.4)),
    "cosh": (np.cosh, lambda x: mp().cosh(x), (-89.4, 89.4), (-710.4, 710.4)),
    "tanh": (np.tanh, lambda x: mp().tanh(x), (-INF, INF), (-900, 900)),
    "asinh": (np.arcsinh, lambda x: mp().asinh(x), (-INF, INF), (-INF, INF)),
    "acosh": (np.arccosh, lambda x: mp().acosh(x), (1, INF), (1, INF)),
    "atanh": (np.arctanh, lambda x: mp().atanh(x), (-1, 1), (-1, 1)),
    "sigmoid": (
        lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
        lambda x: 1 / (1 + mp().exp(-x)),
        (-103, 200),
        (-744, 800),
    ),
    "silu": (
        lambda x: x * np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
        lambda x: x / (1 + mp().exp(-x)),
        (-105, 200),
        (-750, 800),
    ),
    "erf": (op.erf.eager, lambda x: mp().erf(x), (-INF, INF), (-30, 30)),
    "erfc": (op.erfc.eager, lambda x: mp().erfc(x), (-20, 10), (-20, 27.2)),
    "erfcx": (op.erfcx.eager, _gauss_tail, (-9.2, INF), (-26.6, 1e150)),
    "ndtr": (
        op.ndtr.eager,
        lambda x: mp().erfc(-x / mp().sqrt(2)) / 2,
        (-14.1, 30),
        (-38.4, 30),
    ),
    "gelu": (
        op.gelu.eager,
        lambda x: x * mp().erfc(-x / mp().sqrt(2)) / 2,
        (-14.1, 30),
        (-38.4, 30),
    ),
    "log_ndtr": (
        op.log_ndtr.eager,
        lambda x: (
            mp().log(mp().erfc(-x / mp().sqrt(2)) / 2)
            if x < 0
            else mp().log1p(-mp().erfc(x / mp().sqrt(2)) / 2)
        ),
        (-1e18, 14),
        (-100, 38),
    ),
    "logit": (
        op.logit.eager,
        lambda x: mp().log(x / (1 - x)),
        (0, 1),
        (0, 1),
    ),
}
TWO = {
    "pow": (np.power, lambda x, y: mp().power(x, y)),
    "atan2": (np.arctan2, lambda y, x: mp().atan2(y, x)),
    "hypot": (np.hypot, lambda x, y: mp().hypot(x, y)),
}
EXACT = {
    "fmod": np.fmod,
    "remainder": np.remainder,
    "floor_divide": np.floor_divide,
    "nextafter": np.nextafter,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "copysign": np.copysign,
}


@functools.cache
def kernel(name, dtype, count=1, width=16):
    return Kernel(
        lambda b, *xs: getattr(b, name)(*xs), [KIND[dtype]] * (count + 1), width
    )


def run(name, *xs, width=16):
    k = kernel(name, xs[0].dtype.name, len(xs), width)
    return k(*xs, out=np.empty_like(xs[0]))


def strata(dtype, low, high, count):
    """Numbers of all magnitudes and both signs in an interval, and evenly in it near 0."""
    rng = np.random.default_rng(0)
    step = 2**32 // (4 * count)
    if dtype == "float32":
        bits = np.arange(0, 2**32, step, np.uint64) + rng.integers(step, size=4 * count)
        x = bits.astype(np.uint32).view(np.float32)
    else:
        bits = (np.arange(4 * count, dtype=np.uint64) << np.uint64(32)) * np.uint64(
            step
        )
        x = (bits + rng.integers(2**62 // count, size=4 * count, dtype=np.uint64)).view(
            np.float64
        )
    near = rng.uniform(max(low, -10), min(high, 10), count)
    wide = rng.uniform(max(low, -1e3), min(high, 1e3), count)
    some = rng.choice(x[(x > low) & (x < high)], 2 * count)
    return np.concatenate([near, wide, some]).astype(dtype)


def spacing(y, dtype):
    """The distance of the numbers of a format around y, given in higher precision."""
    info = np.finfo(dtype)
    _, e = np.frexp(np.abs(y))
    return np.ldexp(1.0, np.maximum(e - info.nmant - 1, info.minexp - info.nmant))


def exact_error(got, want):
    """How many ulp a float64 is from an mpf."""
    m = mp()
    _, e = m.frexp(want)
    return abs(m.mpf(float(got)) - want) / m.mpf(2) ** max(int(e) - 53, -1074)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_two_ulp(name):
    wide, _, (low, high), _ = FUNCTIONS[name]
    x = strata("float32", low, high, 16 * 1024)
    with np.errstate(all="ignore"):
        want = wide(x.astype(np.float64))
        finite = np.abs(want) < np.finfo(np.float32).max
    error = np.abs(run(name, x) - want)[finite] / spacing(want[finite], np.float32)
    assert error.max() <= 2
    assert np.array_equal(
        run(name, x[:256], width=1), run(name, x[:256]), equal_nan=True
    )


def test_the_slope_of_gelu_is_as_exact_as_its_terms():
    x = strata("float32", -14.1, 30, 16 * 1024)
    m = np.abs(x.astype(np.float64))
    density = m * np.exp(-m * m / 2) / np.sqrt(2 * np.pi)
    below = FUNCTIONS["ndtr"][0](-m) - density
    want = np.where(x < 0, below, 1 - below)
    most = np.maximum(np.abs(want), density)
    error = np.abs(run("gelu_slope", x) - want) / spacing(most, np.float32)
    assert error.max() <= 2
    assert np.array_equal(
        run("gelu_slope", x[:256], width=1), run("gelu_slope", x[:256])
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_within_two_ulp(name):
    _, exact, _, (low, high) = FUNCTIONS[name]
    m = mp()
    x = strata("float64", low, high, 64)
    got = run(name, x)
    with m.workprec(1400 if high > 100 or low < -100 else 600):
        errors = [exact_error(y, exact(m.mpf(v))) for y, v in zip(got, x, strict=True)]
    assert max(errors) <= 2
    assert np.array_equal(run(name, x, width=1), got)


# In float64 as good as eager's; to floats they are rounded once.
ROUNDED = {
    "lgamma": (1e-30, 1e30),
    "digamma": (1e-30, 1e30),
    "i0": (-80, 80),
    "i1": (-80, 80),
    "i0e": (-1e30, 1e30),
    "i1e": (-1e30, 1e30),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_functions_by_way_of_doubles_are_rounded_once(name):
    x = strata("float32", *ROUNDED[name], 512)
    wide = x.astype(np.float64)
    want = getattr(op, name).eager(wide)
    got = run(name, x)
    error = np.abs(got - want) / spacing(want, np.float32)
    assert error.max() <= 0.51
    np.testing.assert_allclose(run(name, wide), want, rtol=1e-14, atol=1e-14)
    x = ends("float64")
    with np.errstate(all="ignore"):
        want = getattr(op, name).eager(x)
    np.testing.assert_allclose(run(name, x), want, rtol=1e-13, atol=1e-320)


@pytest.mark.parametrize("dtype", KIND)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_next_to_multiples_of_a_right_angle(name, dtype):
    """Where the reduced angle is small, and beyond where whole numbers reduce it."""
    rng = np.random.default_rng(0)
    far = 17 if dtype == "float32" else 30
    n = np.concatenate(
        [np.arange(1, 129), *(2.0**k + np.arange(16) for k in range(8, 40))]
    )
    n = np.concatenate([n, rng.integers(1, 2**far, 256)])
    x = (n * (np.pi / 2)).astype(dtype)
    got, m = run(name, x), mp()
    with m.workprec(200):
        want = [getattr(m, name)(m.mpf(float(v))) for v in x]
        exponents = [int(m.frexp(w)[1]) for w in want]
        digits = np.finfo(dtype).nmant + 1
        errors = [
            abs(m.mpf(float(y)) - w) / m.mpf(2) ** (e - digits)
            for y, w, e in zip(got, want, exponents, strict=True)
        ]
    assert max(errors) <= 1.5


def ends(dtype):
    info = np.finfo(dtype)
    tiny = [0.0, info.smallest_subnormal, info.tiny, info.tiny / 2]
    some = [*tiny, info.eps, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 37, 1e5, 1e30, info.max, INF]
    out = np.array([*some, *(-v for v in some), NAN, -NAN], dtype)
    return np.concatenate([out, np.ones(-len(out) % 16, dtype)])


def same_ends(got, want, ulps=4):
    """Equal up to rounding, with the same NaN, infinities and zeros of either sign."""
    eps = np.finfo(want.dtype)
    np.testing.assert_allclose(
        got, want, rtol=ulps * eps.eps, atol=2 * float(eps.smallest_subnormal)
    )
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


@pytest.mark.parametrize("dtype", KIND)
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("sigmoid",)])
def test_ends(name, dtype):
    x = ends(dtype)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name][0](x.astype(np.float64)).astype(dtype)
    same_ends(run(name, x), want)


@pytest.mark.parametrize("dtype", KIND)
@pytest.mark.parametrize("name", [*TWO, *EXACT])
def test_ends_of_two(name, dtype):
    grid = np.meshgrid(ends(dtype), ends(dtype))
    x, y = (np.ascontiguousarray(v.reshape(-1)) for v in grid)
    f = TWO[name][0] if name in TWO else EXACT[name]
    with np.errstate(all="ignore"):
        want = f(x, y)
    same_ends(run(name, x, y), want, 4 if name in TWO else 0)
    assert np.array_equal(run(name, x, y, width=1), run(name, x, y), equal_nan=True)


@pytest.mark.parametrize("dtype", KIND)
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions_of_two(name, dtype):
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [strata(dtype, -INF, INF, 1024), rng.integers(-50, 50, 4096) / 8]
    )
    y = np.concatenate([strata(dtype, -INF, INF, 1024), rng.integers(-9, 9, 4096) / 8])
    x, y = x.astype(dtype), rng.permutation(y.astype(dtype))
    with np.errstate(all="ignore"):
        same_ends(run(name, x, y), EXACT[name](x, y), 0)


def powers(dtype, count):
    rng = np.random.default_rng(2)
    most = 88 if dtype == "float32" else 700
    x = np.abs(strata(dtype, 0, INF, count)).astype(np.float64)
    x[:count] = rng.uniform(0.5, 2, count)
    y = (rng.uniform(-most, most, x.size) / np.log(x)).astype(dtype)
    x[::4], y[::4] = (
        -rng.integers(1, 30, x[::4].size),
        rng.integers(-20, 20, x[::4].size),
    )
    return x.astype(dtype), y


def pairs(name, dtype, count):
    if name == "pow":
        return powers(dtype, count)
    rng = np.random.default_rng(3)
    x = strata(dtype, -1e18, 1e18, count)
    return x, (x * 10 ** rng.uniform(-4, 4, x.size)).astype(dtype)


@pytest.mark.parametrize("name", TWO)
def test_float32_of_two_is_within_two_ulp(name):
    x, y = pairs(name, "float32", 4096)
    want = TWO[name][0](x.astype(np.float64), y.astype(np.float64))
    assert (np.abs(run(name, x, y) - want) / spacing(want, np.float32)).max() <= 2


@pytest.mark.parametrize("name", TWO)
def test_float64_of_two_is_within_two_ulp(name):
    x, y = pairs(name, "float64", 128)
    m = mp()
    with m.workprec(400):
        got, exact = run(name, x, y), TWO[name][1]
        rows = zip(got, x, y, strict=True)
        errors = [exact_error(z, exact(m.mpf(v), m.mpf(w))) for z, v, w in rows]
    assert max(errors) <= 2


# ---------------------------------------------------------------- records

LOWERED = [p for p in ad.op if isinstance(p, Elementwise) and p.lower is not None]
# What cancels: its error is that of a term, not of the result.
CANCELS = {"logaddexp", "logaddexp2", "log_sigmoid", "logistic_loss", "huber", "round"}
CANCELS |= {
    "binary_cross_entropy",
    "logit",
    "elu",
    "gelu_slope",
    "softplus",
    "sub",
    "add",
}
CANCELS |= {"lgamma", "digamma", "i0", "i1", "i1e", "entr", "xlogy", "xlog1py"}
CANCELS |= {"log_ndtr", "spherical_bessel_j0", "gammainc", "gammaincc", "bessel_j1"}


@pytest.mark.parametrize("dtype", KIND)
@pytest.mark.parametrize("prim", LOWERED, ids=lambda p: p.name)
def test_a_compiled_record_is_the_eager_one(prim, dtype):
    for args, params in prim.samples(np.random.default_rng(4)):
        xs = [np.asarray(x) for x in args]
        xs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in xs]
        boxes = [ad.tensor(x) for x in xs]
        step = compile(lambda *xs, prim=prim, params=params: prim(*xs, **params))
        want = step(*boxes).numpy()  # the first call is eager
        got = step(*boxes).numpy()
        assert got.dtype == want.dtype
        if got.dtype.kind != "f":
            np.testing.assert_array_equal(got, want)
            continue
        eps = np.finfo(got.dtype).eps
        loose = prim.name in CANCELS
        np.testing.assert_allclose(got, want, rtol=4 * eps, atol=4 * eps * loose)


# Sums of terms that are infinite or as large as can be, one with a fused product.
SUMS = ("binary_cross_entropy", "logistic_loss")


@pytest.mark.parametrize(
    "prim",
    [p for p in LOWERED if "f" in p.takes and p.nin < 3 and p.name not in SUMS],
    ids=lambda p: p.name,
)
def test_records_at_their_ends(prim):
    if prim.name in ("guard", "ldexp"):
        pytest.skip("of more than floats")
    _, params = prim.samples(np.random.default_rng(0))[0]
    e = ends("float64")
    grid = [e] if prim.nin == 1 else [v.reshape(-1) for v in np.meshgrid(e, e)]
    xs = [ad.tensor(np.ascontiguousarray(x)) for x in grid]
    step = compile(lambda *xs: prim(*xs, **params))
    with np.errstate(all="ignore"):
        want = step(*xs).numpy()
    got = step(*xs).numpy()
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    eps = np.finfo("float64").eps
    least = eps if prim.name in CANCELS else 5e-324
    np.testing.assert_allclose(got, want, rtol=16 * eps, atol=4 * least)
    zero = (want == 0) & (got == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


def whole(dtype, rng):
    """All sizes of integers, and the ends of the dtype."""
    if dtype == "bool":
        return rng.random(70) < 0.5
    info = np.iinfo(dtype)
    some = rng.integers(info.min, info.max, 30, dtype=dtype, endpoint=True)
    small = rng.integers(0 if info.min == 0 else -9, 9, 35).astype(dtype)
    edge = np.array([info.min, info.max, 0, 1, info.max - 1], dtype)
    return np.concatenate([some, small, edge])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize(
    "prim", [p for p in LOWERED if set(p.lowers) & set("bui")], ids=lambda p: p.name
)
def test_whole_numbers(prim, dtype):
    kind = np.dtype(dtype).kind
    if kind not in prim.lowers or kind not in prim.takes:
        pytest.skip("not for this dtype")
    if prim.name in ("exponent", "ldexp", "guard"):
        pytest.skip("of floats")
    rng = np.random.default_rng(5)
    args, params = prim.samples(rng)[0]
    params = {k: abs(int(v)) if isinstance(v, float) else v for k, v in params.items()}
    xs = [whole(dtype, rng) for _ in args]
    xs = [x if i < prim.decides else rng.permutation(x) for i, x in enumerate(xs)]
    if prim.name == "where":
        xs[0] = rng.random(70) < 0.5
    if prim.name in ("remainder", "fmod", "floor_divide"):
        xs[1][xs[1] == 0] = 3  # eagerly an error
    boxes = [ad.tensor(x) for x in xs]
    step = compile(lambda *xs: prim(*xs, **params))
    with np.errstate(all="ignore"):
        want = step(*boxes).numpy()
    got = step(*boxes).numpy()
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


# ---------------------------------------------------------------- conversion

DTYPE = {
    "float32": kinds.FLOAT,
    "float64": kinds.DOUBLE,
    "int8": kinds.ir.IntType(8),
    "uint8": kinds.UINT8,
    "int16": kinds.ir.IntType(16),
    "int32": kinds.INT32,
    "int64": kinds.INT64,
    "float16": kinds.HALF,
    "bfloat16": kinds.BFLOAT,
}


def converted(x, name, width=16):
    dtype = ad.core.dtype.dtype(name).np
    k = Kernel(
        lambda b, x: b.cast(x, DTYPE[name]), [DTYPE[x.dtype.name], DTYPE[name]], width
    )
    return k(x, out=np.empty(x.shape, dtype))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("dtype", KIND)
def test_floats_of_two_bytes_are_rounded_to_nearest(name, dtype):
    x = np.concatenate([strata(dtype, -INF, INF, 16 * 1024), ends(dtype)])
    half = converted(x, name)
    with np.errstate(all="ignore"):
        want = x.astype(half.dtype)
    if dtype == "float64" and name == "bfloat16":  # which ml_dtypes rounds twice
        with np.errstate(over="ignore"):
            kept = x.astype(np.float32).astype(np.float64) == x
        x, half, want = x[kept], half[kept], want[kept]
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(half.astype(dtype), want.astype(dtype))
    np.testing.assert_array_equal(np.signbit(half), np.signbit(want))


@pytest.mark.parametrize("width", [4, 16])
def test_roots_have_the_bits_of_the_instruction(width):
    root = Kernel(lambda b, x: b.sqrt(x), [kinds.FLOAT] * 2, width)
    rng = np.random.default_rng(0)
    two = np.arange(127 << 23, 129 << 23, 3)  # two powers of two, then all there are
    bits = np.concatenate([two[: two.size // 16 * 16], rng.integers(0, 2**32, 2**20)])
    edges = [
        0,
        1 << 31,
        27 << 23,
        (27 << 23) - 1,
        255 << 23,
        (255 << 23) - 1,
        1,
        2**32 - 1,
    ]
    bits[: 64 * len(edges) : 64] = edges  # among strangers
    x = bits.astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        y, want = root(x, out=np.empty_like(x)), np.sqrt(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    known = ~np.isnan(want)
    np.testing.assert_array_equal(y[known].view(np.int32), want[known].view(np.int32))


def test_a_double_is_rounded_once():
    """Just above halfway between two of two bytes: to a float, that is halfway."""
    one = np.array([1 + 2**-8 + 2**-40, 1 + 2**-8, 1 + 2**-8 - 2**-40, 1] * 4)
    got = converted(one, "bfloat16").astype(np.float64)
    np.testing.assert_array_equal(got, [1 + 2**-7, 1, 1, 1] * 4)
    one = np.array([1 + 2**-11 + 2**-40, 1 + 2**-11, 1 + 2**-11 - 2**-40, 1] * 4)
    got = converted(one, "float16").astype(np.float64)
    np.testing.assert_array_equal(got, [1 + 2**-10, 1, 1, 1] * 4)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_all_floats_of_two_bytes_are_widened(name):
    x = np.arange(2**16, dtype=np.uint16).view(ad.core.dtype.dtype(name).np)
    with np.errstate(invalid="ignore"):
        want = x.astype(np.float32)
    got = converted(x, "float32")
    np.testing.assert_array_equal(got, want)
    back = converted(got, name).view(np.uint16)
    np.testing.assert_array_equal(back[got == got], x.view(np.uint16)[got == got])


@pytest.mark.parametrize(
    "name", ["int8", "uint8", "int16", "int32", "int64", "float32"]
)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32"])
def test_casts(name, dtype):
    rng = np.random.default_rng(6)
    x = rng.integers(0, 120, 64).astype(dtype)
    if dtype not in ("uint8", "float32") and name != "uint8":
        x = -x
    if np.dtype(dtype).kind in "iu" and np.dtype(name).kind in "iu":
        x = whole(dtype, rng)[:64]
    np.testing.assert_array_equal(converted(x, name), x.astype(name))


# ---------------------------------------------------------------- random numbers

DRAWS = [
    ("random_bits", "int64", {}),
    ("random_integers", "int64", {"low": -5, "count": 11}),
    ("random_uniform", "float32", {"dtype": np.dtype("float32")}),
    ("random_uniform", "float64", {"dtype": np.dtype("float64")}),
    ("random_normal", "float32", {"dtype": np.dtype("float32")}),
    ("random_normal", "float64", {"dtype": np.dtype("float64")}),
]


@pytest.mark.parametrize("along", [True, False])
@pytest.mark.parametrize("width", [1, 2, 16])
@pytest.mark.parametrize(("name", "dtype", "params"), DRAWS)
def test_a_stream_is_that_of_eager(name, dtype, params, width, along):
    """The index of a lane is an input, so that it can be that of any element."""
    prim, shape = getattr(op, name), (4096,)
    for seed, start in ((0, 0), (2**63 + 12345678901, 2**40 + 3)):

        def write(b, index, seed=seed, start=start):
            if along and width > 1:
                index = b.b.extract_element(index, kinds.INT32(0))
            stream = Stream(b, kinds.INT64(seed), kinds.INT64(start))
            return prim.draw(stream, index, shape=shape, **params)

        index = np.arange(4096)
        if not along:
            index = np.random.default_rng(7).permutation(index)
        k = Kernel(write, [kinds.INT64, DTYPE[dtype]], width)
        got = k(index, out=np.empty(shape, dtype))
        state = np.array([seed, start], np.uint64).view(np.int64)
        want = prim.eager(state, shape=shape, **params)[index]
        if name == "random_normal":  # log, sin and cos are NumPy's there
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol=8 * eps, atol=eps)
        else:
            np.testing.assert_array_equal(got, want)


# ---------------------------------------------------------------- by one number


@pytest.mark.parametrize("dtype", KIND)
def test_division_by_a_number_of_the_row_has_the_bits_of_division(dtype):
    rng, info = np.random.default_rng(3), np.finfo(dtype)
    some = np.concatenate([rng.normal(size=40), rng.uniform(1, 2, 40)]).astype(dtype)
    ends = [0, -0.0, INF, -INF, NAN, info.max, -info.max, info.tiny, info.tiny / 8, 1]
    y = np.concatenate([some, np.array(ends, dtype)])[:, None]
    x = np.concatenate([rng.normal(size=70), ends]).astype(dtype) * np.ones_like(y)
    divide = compile(lambda x, y: x / y)
    with np.errstate(all="ignore"):
        for _ in range(2):
            got = divide(ad.tensor(x), ad.tensor(y)).numpy()
        want = x / y
    # A denormal quotient may be rounded twice.
    normal = ~(np.abs(want) < info.tiny)
    np.testing.assert_array_equal(got[normal], want[normal])
    np.testing.assert_allclose(got, want, rtol=0, atol=info.smallest_subnormal)


@pytest.mark.parametrize("n", [3, 16, 64, 129, 200, 1000])
@pytest.mark.parametrize("name", ["amax", "amin", "sum"])
def test_what_is_joined_side_by_side(name, n):
    x = np.random.default_rng(n).normal(size=(9, n)).astype(np.float32)
    x[1, n // 2] = x[2, n - 1] = x[3, 0] = NAN
    x[4], x[5, 1], x[6, 2] = -INF, INF, -INF
    step = compile(lambda x: getattr(ad, name)(x, 1))
    for _ in range(2):
        got = step(ad.tensor(x)).numpy()
    want = getattr(x, {"amax": "max", "amin": "min"}.get(name, name))(1)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
