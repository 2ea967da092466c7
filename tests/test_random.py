"""Random numbers: the published cipher, the right laws, and streams that repeat."""

import math
import threading

import numpy as np
import pytest

import adjoint as ad
from adjoint.core import philox
from adjoint.func import grad, vmap

N = 40_000


@pytest.fixture(autouse=True)
def seeded():
    ad.manual_seed(20240)


def hexes(counter, key):
    counter = np.array(counter, np.uint64).reshape(4, 1)
    return " ".join(f"{w:08x}" for w in philox.cipher(counter, key)[:, 0])


def test_known_answers_of_random123():
    ones = 0xFFFFFFFF
    assert hexes([0] * 4, (0, 0)) == "6627e8d5 e169c58d bc57ac4c 9b00dbd8"
    assert hexes([ones] * 4, (ones, ones)) == "408f276d 41c83b0e a20bc7c6 6d5451fd"
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert hexes(pi, (0xA4093822, 0x299F31D0)) == "d16cfe09 94fdcceb 5001e420 24126ea1"


@pytest.mark.parametrize("start,count", [(0, 7), (509, 40), (3, 9000), (511, 5)])
def test_any_part_of_a_stream_can_be_had_alone(start, count):
    whole = philox.words(99, 0, 4 * start + count)
    assert (philox.words(99, start, count) == whole[4 * start :]).all()


def test_large_counters_carry_into_the_next_word():
    start = 2**32 - 1
    parts = [philox.words(1, start + i, 4) for i in range(2)]
    assert (philox.words(1, start, 8) == np.concatenate(parts)).all()
    second = [f"{w:08x}" for w in parts[1]]
    assert " ".join(second) == hexes([0, 1, 0, 0], (1, 0))


# ---------------------------------------------------------------- laws


def distance(x, law):
    """Kolmogorov-Smirnov's, times sqrt(n): above 1.95 once in a thousand."""
    x = np.sort(np.asarray(x, np.float64).ravel())
    f = law(x)
    steps = np.arange(len(x) + 1) / len(x)
    return max((steps[1:] - f).max(), (f - steps[:-1]).max()) * math.sqrt(len(x))


def phi(x):
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


LAWS = {
    "rand": (lambda: ad.rand(N), lambda x: x),
    "rand double": (lambda: ad.rand(N, dtype=ad.float64), lambda x: x),
    "randn": (lambda: ad.randn(N), phi),
    "randn double": (lambda: ad.randn(N, dtype=ad.float64), phi),
    "uniform_": (lambda: ad.zeros(N).uniform_(-1, 3), lambda x: (x + 1) / 4),
    "normal_": (lambda: ad.zeros(N).normal_(2, 3), lambda x: phi((x - 2) / 3)),
    "normal": (
        lambda: ad.normal(ad.full((N,), 2.0), 3.0),
        lambda x: phi((x - 2) / 3),
    ),
    "log_normal_": (
        lambda: ad.zeros(N).log_normal_(1, 0.5),
        lambda x: phi((np.log(x) - 1) / 0.5),
    ),
    "exponential_": (lambda: ad.zeros(N).exponential_(2), lambda x: 1 - np.exp(-2 * x)),
    "cauchy_": (
        lambda: ad.zeros(N).cauchy_(1, 2),
        lambda x: np.arctan((x - 1) / 2) / np.pi + 0.5,
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_continuous_law(name):
    draw, law = LAWS[name]
    assert distance(draw().numpy(), law) < 1.95


def poisson_law(k, rate):
    return math.exp(k * math.log(rate) - rate - math.lgamma(k + 1))


COUNTS = {
    "randint": (lambda: ad.randint(2, 12, (N,)), lambda k: 0.1 * (2 <= k < 12)),
    "random_": (lambda: ad.zeros(N).random_(2, 12), lambda k: 0.1 * (2 <= k < 12)),
    "bernoulli": (lambda: ad.bernoulli(ad.full((N,), 0.3)), [0.7, 0.3].__getitem__),
    "bernoulli_": (lambda: ad.zeros(N).bernoulli_(0.3), [0.7, 0.3].__getitem__),
    "geometric_": (lambda: ad.zeros(N).geometric_(0.4), lambda k: 0.4 * 0.6 ** (k - 1)),
    "poisson": (lambda: ad.poisson(ad.full((N,), 3.0)), lambda k: poisson_law(k, 3)),
    "binomial": (
        lambda: ad.binomial(ad.full((N,), 4.0), ad.full((N,), 0.3)),
        lambda k: math.comb(4, k) * 0.3**k * 0.7 ** (4 - k),
    ),
    "poisson of many": (
        lambda: ad.poisson(ad.full((N,), 42.0)),
        lambda k: poisson_law(k, 42),
    ),
    "binomial of many": (
        lambda: ad.binomial(ad.full((N,), 90.0), ad.full((N,), 0.7)),
        lambda k: math.comb(90, k) * 0.7**k * 0.3 ** (90 - k),
    ),
    "multinomial": (
        lambda: ad.multinomial(ad.tensor([1.0, 0.0, 3.0]), N, replacement=True),
        [0.25, 0.0, 0.75].__getitem__,
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_discrete_law(name):
    draw, law = COUNTS[name]
    values, seen = np.unique(draw().numpy(), return_counts=True)
    want = np.array([N * law(int(k)) for k in values])
    assert (want > 0).all()
    often = want > 5
    surprise = ((seen - want) ** 2 / want)[often].sum()
    freedom = often.sum()
    assert surprise < freedom + 4 * math.sqrt(2 * freedom) + 4
    assert seen[~often].sum() < 5 * freedom + 20


def test_draws_are_independent_of_each_other():
    x = np.stack([ad.randn(N).numpy() for _ in range(4)])
    off = np.corrcoef(x) - np.eye(4)
    assert abs(off).max() < 4 / math.sqrt(N)
    lag = np.corrcoef(x[0][1:], x[0][:-1])[0, 1]
    assert abs(lag) < 4 / math.sqrt(N)


def test_neighbouring_seeds_are_independent():
    x = [ad.randn(N, generator=ad.Generator().manual_seed(i)).numpy() for i in (0, 1)]
    assert abs(np.corrcoef(*x)[0, 1]) < 4 / math.sqrt(N)


def test_moments_of_complex_normals():
    z = ad.randn(N, dtype=ad.complex128).numpy()
    assert abs(z.mean()) < 0.03
    assert abs((abs(z) ** 2).mean() - 1) < 0.03
    assert abs((z**2).mean()) < 0.03


def test_permutations_are_all_equally_likely():
    seen = {}
    for _ in range(3000):
        key = tuple(ad.randperm(3).tolist())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 6
    assert all(abs(n - 500) < 90 for n in seen.values())
    assert sorted(ad.randperm(1000).tolist()) == list(range(1000))


def test_multinomial_without_replacement_follows_the_weights():
    p = ad.tensor([1.0, 2.0, 0.0, 5.0]).expand(8000, 4)
    got = ad.multinomial(p, 2).numpy()
    assert (got[:, 0] != got[:, 1]).all() and not (got == 2).any()
    share = np.bincount(got[:, 0], minlength=4) / 8000
    np.testing.assert_allclose(share, [1 / 8, 2 / 8, 0, 5 / 8], atol=0.03)
    second = np.bincount(got[got[:, 0] == 3][:, 1], minlength=4)
    np.testing.assert_allclose(second / second.sum(), [1 / 3, 2 / 3, 0, 0], atol=0.03)


# ---------------------------------------------------------------- streams


def same(a, b):
    return a.tolist() == b.tolist()


def test_seeds_repeat_and_differ():
    ad.manual_seed(1)
    a = ad.rand(5)
    b = ad.rand(5)
    ad.manual_seed(1)
    assert same(ad.rand(5), a) and not same(a, b)
    ad.manual_seed(2)
    assert not same(ad.rand(5), a)
    assert ad.initial_seed() == 2 == ad.default_generator.initial_seed()
    ad.manual_seed(-1)
    assert ad.initial_seed() == 2**64 - 1


def test_states_and_generators():
    g = ad.Generator().manual_seed(3)
    ad.rand(7, generator=g)
    state, twin = g.get_state(), g.clone_state()
    a = ad.randn(3, generator=g)
    g.set_state(state)
    assert same(a, ad.randn(3, generator=g))
    assert same(a, ad.randn(3, generator=twin))
    assert state.dtype is ad.uint8
    before = ad.get_rng_state()
    x = ad.rand(2)
    ad.set_rng_state(before)
    assert same(x, ad.rand(2))
    assert g.seed() == g.initial_seed()


def test_own_generators_leave_the_default_alone():
    before = ad.get_rng_state()
    ad.rand(10, generator=ad.Generator())
    assert same(before, ad.get_rng_state())


def test_fork_rng():
    state = ad.get_rng_state()
    with ad.random.fork_rng():
        ad.rand(3)
        ad.manual_seed(0)
    assert same(state, ad.get_rng_state())
    with ad.random.fork_rng(enabled=False):
        ad.rand(3)
    assert not same(state, ad.get_rng_state())


def test_single_draws_are_parts_of_the_same_stream():
    g = ad.Generator().manual_seed(5)
    whole = ad.rand(8, generator=g)
    g.manual_seed(5)
    parts = [ad.rand(4, generator=g).tolist() for _ in range(2)]
    assert parts[0] + parts[1] == whole.tolist()


def test_threads_never_draw_the_same_numbers():
    rows = []

    def work():
        rows.extend(tuple(ad.rand(4).tolist()) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(rows)) == 800


# ---------------------------------------------------------------- shapes and dtypes


@pytest.mark.parametrize(
    "d", ["float16", "bfloat16", "float32", "float64", "complex64"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_shapes_and_dtypes(d, shape):
    d = getattr(ad, d)
    for x in (ad.rand(shape, dtype=d), ad.randn(*shape, dtype=d)):
        assert tuple(x.shape) == shape and x.dtype is d
    like = ad.zeros(shape, dtype=d)
    assert ad.rand_like(like).dtype is ad.randn_like(like).dtype is d
    assert ad.rand(2, dtype=ad.float64, requires_grad=True).is_leaf


def test_half_numbers_stay_below_one():
    for d in (ad.float16, ad.bfloat16):
        x = ad.rand(N, dtype=d)
        assert (x < 1).all() and (x >= 0).all()


@pytest.mark.parametrize("size", [(2, 3), (), (0,)])
def test_signatures_are_those_of_pytorch(size):
    torch = pytest.importorskip("torch")
    for T in (torch, ad):
        n = T.zeros(size)
        made = [
            T.rand(size),
            T.rand(size=size),
            T.randn(size, requires_grad=True),
            T.randint(5, size),
            T.randint(2, 5, size),
            T.randint(low=2, high=5, size=size),
            T.randint(high=5, size=size),
            T.randn(size=size),
            T.randint(2, 5, size, dtype=T.float32),
            T.randint_like(n, 3),
            T.randint_like(n, 1, 3),
            T.normal(0.0, 1.0, size),
            T.normal(n, 1.0),
            T.normal(0.0, n + 1),
            T.normal(n, n + 1),
            T.bernoulli(n),
            T.bernoulli(n, 0.5),
            T.poisson(n),
            T.binomial(n, n),
        ]
        kinds = [(tuple(x.shape), str(x.dtype).split(".")[1]) for x in made]
        if T is torch:
            want = kinds
    assert kinds == want


@pytest.mark.parametrize("d", ["uint8", "int8", "int64", "float16", "float32", "bool"])
def test_random_fills_what_the_dtype_holds(d):
    x = ad.zeros(1000).to(getattr(ad, d)).random_().to(ad.float64)
    top = {"uint8": 255, "int8": 127, "int64": 2.0**63, "float16": 2048, "bool": 1}
    most = top.get(d, 2**24)
    assert x.min().item() >= 0 and most * 0.9 <= x.max().item() <= most


# ---------------------------------------------------------------- gradients


def test_samples_have_zero_gradient_as_in_pytorch():
    torch = pytest.importorskip("torch")
    for T in (torch, ad):
        p = T.tensor([0.3, 0.6], requires_grad=True)
        s = T.tensor([1.0, 2.0], requires_grad=True)
        y = T.bernoulli(p) + T.poisson(p) + T.normal(p, s) + T.normal(p, 1.0)
        y.sum().backward()
        assert p.grad.tolist() == s.grad.tolist() == [0.0, 0.0]


def test_reparametrised_sample_has_its_gradient():
    s = ad.tensor(2.0, dtype=ad.float64)
    noise = ad.randn(50, dtype=ad.float64)
    assert grad(lambda s: (s * noise).sum())(s).item() == pytest.approx(
        noise.sum().item()
    )


# ---------------------------------------------------------------- dropout


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_dropout(p):
    x = ad.ones(N, requires_grad=True)
    y = ad.nn.functional.dropout(x, p)
    kept = y.detach().numpy() != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.015)
    if p < 1:
        np.testing.assert_allclose(y.detach().numpy()[kept], 1 / (1 - p), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.detach().numpy())
    assert ad.dropout(x, p, False) is x


@pytest.mark.parametrize("name,shape", [("1d", 3), ("2d", 4), ("3d", 5)])
def test_channel_dropout(name, shape):
    f = getattr(ad.nn.functional, f"dropout{name}")
    x = ad.ones(40, 50, *(3,) * (shape - 2))
    y = f(x, 0.5).numpy().reshape(40, 50, -1)
    assert (y == y[:, :, :1]).all()
    assert (y[..., 0] != 0).mean() == pytest.approx(0.5, abs=0.06)
    one = f(ad.ones(50, *(3,) * (shape - 2)), 0.5).numpy().reshape(50, -1)
    assert (one == one[:, :1]).all()
    with pytest.raises(RuntimeError):
        f(ad.ones(3))


def test_alpha_dropout_keeps_mean_and_variance():
    x = ad.randn(N)
    y = ad.nn.functional.alpha_dropout(x, 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.03 and abs(y.var() - 1) < 0.04
    z = ad.nn.functional.feature_alpha_dropout(ad.ones(9, 9, 5), 0.5, True).numpy()
    assert (z == z[..., :1]).all() and len(np.unique(z)) == 2


def test_dropout_in_place():
    x = ad.ones(100)
    y = ad.nn.functional.dropout(x, 0.5, inplace=True)
    assert y is x and (x == 0).any()


# ---------------------------------------------------------------- vmap


def test_vmap_refuses_unless_told_how():
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda x: x + ad.rand(2))(ad.zeros(3))


def rows(f, randomness, *xs):
    return vmap(f, randomness=randomness)(*xs).tolist()


DRAWS = {
    "rand": lambda x: ad.rand(4) + x,
    "randn_like": lambda x: ad.randn_like(ad.zeros(4)) + x,
    "randperm": lambda x: ad.randperm(50) + x,
    "dropout": lambda x: ad.dropout(ad.ones(50) + x),
    "poisson": lambda x: ad.poisson(x + ad.full((20,), 50.0)),
    "bernoulli": lambda x: ad.bernoulli(x + ad.full((50,), 0.5)),
    "multinomial": lambda x: ad.multinomial(x + ad.ones(40), 20) + 0 * x,
    "normal": lambda x: ad.normal(x + ad.zeros(4), 1.0),
}


@pytest.mark.parametrize("name", DRAWS)
def test_vmap_randomness(name):
    f, x = DRAWS[name], ad.zeros(3)
    same = rows(f, "same", x)
    assert same[0] == same[1] == same[2]
    different = rows(f, "different", x)
    assert different[0] != different[1] != different[2] != different[0]


def test_vmaps_nest_with_their_own_randomness():
    def inner(x):
        return vmap(lambda y: y + ad.rand(1)[0], randomness="same")(x)

    got = np.array(rows(inner, "different", ad.zeros(3, 4)))
    assert (got == got[:, :1]).all() and len(np.unique(got)) == 3

    def other(x):
        return vmap(lambda y: y + ad.rand(1)[0], randomness="different")(x)

    got = np.array(rows(other, "same", ad.zeros(3, 4)))
    assert (got == got[:1]).all() and len(np.unique(got)) == 4
    assert len(np.unique(rows(other, "different", ad.zeros(3, 4)))) == 12


def test_random_numbers_under_grad():
    ad.manual_seed(0)
    g = grad(lambda x: (x * ad.rand(5)).sum())(ad.ones(5))
    ad.manual_seed(0)
    assert same(g, ad.rand(5))


def test_random_numbers_in_a_traced_program():
    x = ad.full((4,), 0.5)
    ad.manual_seed(0)
    program = ad.trace(lambda x: ad.bernoulli(x) + ad.dropout(x) + ad.rand(4))(x)
    ad.manual_seed(0)
    assert same(program(x), ad.bernoulli(x) + ad.dropout(x) + ad.rand(4))


# ---------------------------------------------------------------- errors


ERRORS = [
    (lambda: ad.rand(2, dtype=ad.int64), "not implemented for adjoint.int64"),
    (lambda: ad.randint(3, 3, (2,)), "from=3 >= to=3"),
    (lambda: ad.randint(3), "size"),
    (lambda: ad.rand(2, generator=3), "Generator"),
    (lambda: ad.multinomial(ad.tensor([-1.0, 1.0]), 1), "element < 0"),
    (lambda: ad.multinomial(ad.zeros(3), 1), "sum of probabilities"),
    (lambda: ad.multinomial(ad.ones(3), 4), "4 > 3"),
    (lambda: ad.multinomial(ad.ones(3), 0), "n_sample <= 0"),
    (lambda: ad.multinomial(ad.ones(1, 1, 1), 1), "1 or 2 dim"),
    (lambda: ad.bernoulli(ad.tensor([2.0])), "[0, 1]"),
    (lambda: ad.bernoulli(ad.tensor([1])), "not implemented"),
    (lambda: ad.normal(0.0, -1.0, (2,)), "std -1"),
    (lambda: ad.normal(0.0, 1.0), "size"),
    (lambda: ad.nn.functional.dropout(ad.ones(2), 1.5), "between 0 and 1"),
    (lambda: ad.poisson(ad.tensor([-1.0])), "non-negative"),
    (lambda: ad.zeros(2).uniform_(2, 1), "from=2 > to=1"),
    (lambda: ad.zeros(2).geometric_(0), "p=0"),
    (lambda: ad.zeros(2).exponential_(0), "lambda=0"),
    (lambda: ad.zeros(2).long().normal_(), "not implemented"),
    (lambda: ad.randperm(-1), "non-negative"),
    (lambda: ad.manual_seed("a"), "integer"),
    (lambda: ad.manual_seed(2**64), "2^64"),
    (lambda: ad.set_rng_state(ad.zeros(2)), "get_state"),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    call, text = ERRORS[i]
    with pytest.raises(ad.errors.AdjointError) as caught:
        call()
    assert text in str(caught.value)
