"""autograd.Function: operations with derivatives of the user's own.

As in `test_autograd`, what takes `T` runs with adjoint and, where installed, with PyTorch.
"""

import gc
import importlib
import weakref

import numpy as np
import pytest

import adjoint as ad
from adjoint.autograd import Function
from adjoint.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap


@pytest.fixture(params=["adjoint", "torch"])
def T(request):
    return pytest.importorskip(request.param)


def leaf(T, *data):
    data = data[0] if len(data) == 1 else list(data)
    return T.tensor(data, dtype=T.float64, requires_grad=True)


def nums(x):
    return None if x is None else x.detach().numpy().tolist()


def cube(T):
    class Cube(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            assert not T.is_grad_enabled()
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, gy):
            (x,) = ctx.saved_tensors
            return gy * 3 * x**2

    return Cube


def affine(T):
    """a x + b, with a number, a flag and None in between."""

    class Affine(T.autograd.Function):
        @staticmethod
        def forward(ctx, a, x, n, flag, b=None):
            ctx.n = n
            ctx.save_for_backward(a, x)
            return a * x * n + (0 if b is None else b)

        @staticmethod
        def backward(ctx, g):
            a, x = ctx.saved_tensors
            ctx_needs.append(ctx.needs_input_grad)
            gb = g if len(ctx.needs_input_grad) > 4 else None
            return g * x * ctx.n, g * a * ctx.n, None, None, gb

    ctx_needs = []
    Affine.seen = ctx_needs
    return Affine


def test_first_and_higher_derivatives(T):
    x = leaf(T, 2.0)
    y = cube(T).apply(x)
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (gg,) = T.autograd.grad(g, x, create_graph=True)
    (ggg,) = T.autograd.grad(gg, x)
    assert [nums(v) for v in (y, g, gg, ggg)] == [8.0, 12.0, 12.0, 6.0]


def test_name_and_node(T):
    x = leaf(T, 2.0)
    y = cube(T).apply(x)
    name = y.grad_fn.name()
    assert name == "CubeBackward"
    assert y.grad_fn.next_functions[0][0].variable is x
    assert nums(y.grad_fn.saved_tensors[0]) == 2.0
    y.backward()
    with pytest.raises(RuntimeError):
        y.grad_fn.saved_tensors  # noqa: B018
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_attributes_of_ctx_are_on_the_node(T):
    y = affine(T).apply(leaf(T, 2.0), leaf(T, 3.0), 5, True)
    assert y.grad_fn.n == 5


def test_arguments_that_are_not_tensors(T):
    f = affine(T)
    a, x = leaf(T, 2.0), leaf(T, 3.0)
    y = f.apply(a, x, 5, True, leaf(T, 1.0))
    y.backward()
    assert (nums(y), nums(a.grad), nums(x.grad)) == (31.0, 15.0, 10.0)
    assert f.seen == [(True, True, False, False, True)]
    f.apply(T.tensor(1.0).double(), x, 1, False).backward()
    assert f.seen[-1] == (False, True, False, False)


def test_nothing_recorded_without_need(T):
    y = cube(T).apply(T.tensor(2.0))
    assert y.grad_fn is None and not y.requires_grad
    with T.no_grad():
        assert not cube(T).apply(leaf(T, 2.0)).requires_grad


def parts(T, materialize=True):
    class Parts(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            index = T.argmax(x)
            ctx.mark_non_differentiable(index)
            return x * 2, "text", index, x * 3

        @staticmethod
        def backward(ctx, g1, text, gi, g3):
            Parts.seen = [g if g is None else nums(g) for g in (g1, text, gi, g3)]
            total = None
            for g, n in ((g1, 2), (g3, 3)):
                if g is not None:
                    total = g * n if total is None else total + g * n
            return total

    return Parts


def test_several_outputs(T):
    f = parts(T)
    x = leaf(T, 1.0, 5.0)
    a, text, index, b = f.apply(x)
    assert (text, nums(index), index.requires_grad) == ("text", 1, False)
    assert a.requires_grad and b.requires_grad
    (a.sum() + b.sum()).backward()
    assert nums(x.grad) == [5.0, 5.0]
    a, _, _, b = f.apply(x)
    b.sum().backward()
    assert f.seen[0] == [0.0, 0.0] and f.seen[3] == [1.0, 1.0]


def test_missing_gradients_may_stay_none(T):
    f = parts(T, materialize=False)
    x = leaf(T, 1.0, 5.0)
    f.apply(x)[3].sum().backward()
    assert f.seen == [None, None, None, [1.0, 1.0]]


def test_saved_outputs(T):
    class Exp(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = T.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(T, 0.5)
    y = Exp.apply(x)
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (gg,) = T.autograd.grad(g, x)
    assert nums(g) == nums(gg) == pytest.approx(np.exp(0.5))
    y = Exp.apply(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_saved_inputs_are_watched(T):
    x = leaf(T, 2.0)
    z = x * 1
    y = cube(T).apply(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_in_place_functions(T):
    class Double(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(T, 1.0, 2.0)
    y = x * 3
    z = Double.apply(y)
    assert z is y and nums(y) == [6.0, 12.0] and y._version >= 1
    y.sum().backward()
    assert nums(x.grad) == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        Double.apply(x)
    x.grad = None
    y = x * 1
    Double.apply(y[:1])
    y.sum().backward()
    assert nums(x.grad) == [2.0, 1.0]


def test_an_input_returned_as_it_is(T):
    class Same(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf(T, 2.0)
    y = Same.apply(x)
    assert y is not x and x.is_leaf
    y.backward()
    assert nums(x.grad) == -1.0


def test_view_outputs_have_the_functions_gradient(T):
    class Row(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x[0].clone()

        @staticmethod
        def backward(ctx, g):
            return T.stack([g * 7, g * 0])

    x = leaf(T, [[1.0, 2.0], [3.0, 4.0]])
    Row.apply(x).sum().backward()
    assert nums(x.grad) == [[7.0, 7.0], [0.0, 0.0]]


def bad(T, result, count=1):
    class Bad(T.autograd.Function):
        @staticmethod
        def forward(ctx, *xs):
            return xs[0] * 2

        @staticmethod
        def backward(ctx, g):
            return result(g)

    return Bad


def test_wrong_gradients_are_named(T):
    x, y = leaf(T, 1.0, 2.0), leaf(T, 1.0, 2.0)
    with pytest.raises(
        RuntimeError, match=r"incorrect number of gradients \(expected 2"
    ):
        bad(T, lambda g: g).apply(x, y).sum().backward()
    with pytest.raises(RuntimeError, match="invalid gradient at index 0"):
        bad(T, lambda g: T.ones(3).double()).apply(x).sum().backward()
    with pytest.raises(RuntimeError, match="not a Variable"):
        bad(T, lambda g: (g, g)).apply(x, 3).sum().backward()
    bad(T, lambda g: (g, None, None)).apply(x).sum().backward()
    assert nums(x.grad) == [1.0, 1.0]


def test_gradients_are_summed_and_cast_to_the_input(T):
    x = T.tensor([[1.0], [2.0]], requires_grad=True)
    bad(T, lambda g: T.ones(2, 3, dtype=T.float64)).apply(x).sum().backward()
    assert x.grad.dtype == T.float32 and nums(x.grad) == [[3.0], [3.0]]


def test_only_tensors_are_saved(T):
    class Bad(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x

    with pytest.raises(TypeError, match="can only save"):
        Bad.apply(leaf(T, 1.0))


def test_missing_methods(T):
    class Nothing(T.autograd.Function):
        pass

    with pytest.raises(NotImplementedError):
        Nothing.apply(leaf(T, 1.0))

    class Forward(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError):
        Forward.apply(leaf(T, 1.0)).backward()


def test_once_differentiable(T):
    once = pytest.importorskip(f"{T.__name__}.autograd.function").once_differentiable

    class Square(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once
        def backward(ctx, g):
            assert not T.is_grad_enabled()
            (x,) = ctx.saved_tensors
            return g * x * 2

    x = leaf(T, 3.0)
    Square.apply(x).backward()
    assert nums(x.grad) == 6.0
    (g,) = T.autograd.grad(Square.apply(x), x, create_graph=True)
    with pytest.raises(RuntimeError):
        g.backward()


def test_hooks_pack_what_is_saved(T):
    packed = []
    x = leaf(T, 2.0)
    hooks = T.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: packed.append(nums(t)) or t, lambda t: t * 10):
        y = cube(T).apply(x)
    y.backward()
    assert packed[-1:] == [2.0] and nums(x.grad) == 1200.0


def test_the_graph_holds_no_cycle():
    gc.collect()
    gc.disable()
    try:

        class Exp(Function):
            @staticmethod
            def forward(ctx, x):
                y = ad.exp(x)
                ctx.save_for_backward(x, y)
                return y, y * 2

            @staticmethod
            def backward(ctx, g, h):
                return (g + 2 * h) * ctx.saved_tensors[1]

        x = leaf(ad, 1.0)
        y, z = Exp.apply(x)
        z.backward(retain_graph=True)
        ghosts = [weakref.ref(t) for t in (y, z, y.grad_fn)]
        del y, z
        assert not any(g() for g in ghosts)
    finally:
        gc.enable()


def test_gradcheck():
    assert ad.gradcheck(cube(ad).apply, (leaf(ad, 0.3, 0.7),), check_batched_grad=True)
    assert ad.gradgradcheck(cube(ad).apply, (leaf(ad, 0.3, 0.7),))


# ---------------------------------------------------------------- under transforms


class Product(Function):
    """x1 * sin(x2), with all rules; the factor 1 in backward is `factor` of the class."""

    @staticmethod
    def forward(x1, x2):
        return x1 * x2.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x1, x2 = ctx.saved_tensors
        return g * x2.sin(), g * x1 * x2.cos()

    @staticmethod
    def jvp(ctx, t1, t2):
        x1, x2 = ctx.saved_tensors
        return t1 * x2.sin() + t2 * x1 * x2.cos()


class Mapped(Product):
    generate_vmap_rule = True


class ByHand(Product):
    @staticmethod
    def vmap(info, in_dims, x1, x2):
        ByHand.seen = info, in_dims
        rows = [
            ByHand.apply(
                *(
                    x if d is None else x.select(d, i)
                    for x, d in zip((x1, x2), in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        return ad.stack(rows), 0


def plain(x1, x2):
    return x1 * x2.sin()


X = ad.tensor([0.3, 0.8], dtype=ad.float64), ad.tensor([0.5, -0.2], dtype=ad.float64)
TRANSFORMS = {
    "grad": lambda f: grad(lambda a, b: f(a, b).sum(), (0, 1)),
    "grad grad": lambda f: grad(
        lambda a, b: grad(lambda c: f(a, c).sum())(b).sum(), (0, 1)
    ),
    "vjp": lambda f: lambda a, b: vjp(f, a, b)[1](a),
    "jvp": lambda f: lambda a, b: jvp(f, (a, b), (b, a)),
    "jvp jvp": lambda f: (
        lambda a, b: jvp(lambda c: jvp(lambda d: f(d, c), (a,), (b,))[1], (b,), (a,))
    ),
    "jvp grad": lambda f: lambda a, b: jvp(grad(lambda c: f(a, c).sum()), (b,), (a,)),
    "grad jvp": lambda f: grad(
        lambda a, b: jvp(lambda c: f(a, c), (b,), (a,))[1].sum(), (0, 1)
    ),
    "jacrev": lambda f: jacrev(f, (0, 1)),
    "jacfwd": lambda f: jacfwd(f, (0, 1)),
    "hessian": lambda f: hessian(lambda a, b: f(a, b).sum(), 1),
    "vmap": lambda f: vmap(f),
    "vmap none": lambda f: lambda a, b: vmap(f, in_dims=(0, None))(a, b),
    "vmap grad": lambda f: vmap(grad(f, (0, 1))),
    "grad vmap": lambda f: grad(lambda a, b: vmap(f)(a, b).sum(), (0, 1)),
    "grad vmap none": lambda f: grad(
        lambda a, b: vmap(f, in_dims=(0, None))(a, b).sum(), (0, 1)
    ),
    "vmap vmap": lambda f: lambda a, b: vmap(lambda c: vmap(lambda d: f(c, d))(b))(a),
    "jvp vmap": lambda f: lambda a, b: jvp(vmap(f), (a, b), (b, a)),
    "vmap jvp": lambda f: vmap(lambda a, b: jvp(f, (a, b), (b, a))[1]),
}


def flat(y):
    return [nums(v) for v in y] if isinstance(y, tuple) else [nums(y)]


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("f", [Mapped, ByHand], ids=["generated", "by hand"])
def test_under_transforms(f, name):
    transform = TRANSFORMS[name]
    got, want = flat(transform(f.apply)(*X)), flat(transform(plain)(*X))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_the_users_rule_is_what_the_transforms_use():
    class Wrong(Mapped):
        @staticmethod
        def backward(ctx, g):
            return g * 100, None

        @staticmethod
        def jvp(ctx, t1, t2):
            return t1 * 50

    a, b = X
    assert grad(lambda a: Wrong.apply(a, b).sum())(a).tolist() == [100.0, 100.0]
    assert vmap(grad(Wrong.apply))(a, b).tolist() == [100.0, 100.0]
    assert jvp(lambda a: Wrong.apply(a, b), (a,), (b,))[1].tolist() == [25.0, -10.0]


def test_transforms_need_setup_context():
    with pytest.raises(RuntimeError, match="setup_context"):
        grad(lambda x: cube(ad).apply(x))(X[0][0])
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(Product.apply)(*X)


def test_forward_mode_with_ctx_in_forward():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x * x

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return 2 * x * t

    x = ad.tensor([3.0])
    assert jvp(Square.apply, (x,), (x,))[1].tolist() == [18.0]


# ---------------------------------------------------------------- autograd.functional


def sums(T):
    return {
        "one": (lambda x: (x**3).sum(), lambda r: r(3)),
        "two": (lambda x, y: (x * y.exp()).sum(), lambda r: (r(3), r(3))),
    }


def maps(T):
    return {
        "one": (lambda x: x * x.sum(), lambda r: r(3)),
        "two": (lambda x, y: (x * y[0], x.sum() + y), lambda r: (r(3), r(2))),
        "scalar": (lambda x: x.sum(), lambda r: r(2, 2)),
    }


def results(T, name, case, create):
    rng = np.random.default_rng(0)
    f, make = (sums if name in ("hessian", "hvp", "vhp") else maps)(T)[case]

    def r(*shape):
        return T.tensor(rng.normal(size=shape), dtype=T.float64)

    xs = make(r)
    args = [f, xs]
    if name in ("jvp", "hvp", "vhp"):
        args.append(make(r))
    if name == "vjp":
        y = f(*xs) if isinstance(xs, tuple) else f(xs)
        args.append(
            tuple(r(*v.shape) for v in y) if isinstance(y, tuple) else r(*y.shape)
        )
    return getattr(T.autograd.functional, name)(*args, create_graph=create)


def leaves(y):
    return (
        [v for part in y for v in leaves(part)] if isinstance(y, tuple) else [nums(y)]
    )


@pytest.mark.parametrize(
    "name,case",
    [(n, c) for n in ("jacobian", "vjp", "jvp") for c in ("one", "two", "scalar")]
    + [(n, c) for n in ("hessian", "hvp", "vhp") for c in ("one", "two")],
)
@pytest.mark.parametrize("create", [False, True])
def test_autograd_functional(name, case, create):
    torch = pytest.importorskip("torch")
    got = results(ad, name, case, create)
    want = results(torch, name, case, create)
    assert isinstance(got, tuple) == isinstance(want, tuple)
    for a, b in zip(leaves(got), leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_functional_graphs(T):
    x = leaf(T, 2.0, 3.0)
    jacobian = T.autograd.functional.jacobian
    assert not jacobian(lambda x: x**3, x).requires_grad
    j = jacobian(lambda x: x**3, x, create_graph=True)
    j.sum().backward()
    assert nums(x.grad) == [12.0, 18.0]


def test_functional_errors(T):
    f = T.autograd.functional
    with pytest.raises(RuntimeError):
        f.vjp(lambda x: x * 2, T.ones(3))
    with pytest.raises(RuntimeError):
        f.hessian(lambda x: x * 2, T.ones(3))
    with pytest.raises(RuntimeError):
        f.jvp(lambda x: x * 2, T.ones(3), T.ones(2))
    with pytest.raises(TypeError):
        f.jacobian(lambda x: x * 2, [T.ones(3)])


# ---------------------------------------------------------------- forward_ad


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dual_numbers(T):
    fwad = importlib.import_module(f"{T.__name__}.autograd.forward_ad")
    x, t = T.tensor([1.0, 2.0]), T.tensor([1.0, 0.0])
    with fwad.dual_level():
        dual = fwad.make_dual(x, t)
        y, dy = fwad.unpack_dual(dual * dual)
        assert (nums(y), nums(dy)) == ([1.0, 4.0], [2.0, 0.0])
        assert fwad.unpack_dual(x).tangent is None
        assert nums(fwad.unpack_dual(x + dual.sum()).tangent) == [1.0, 1.0]
    with pytest.raises(RuntimeError):
        fwad.make_dual(x, t)
    with fwad.dual_level(), pytest.raises(RuntimeError):
        fwad.make_dual(x, T.ones(3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_over_backward_by_dual_numbers(T):
    fwad = importlib.import_module(f"{T.__name__}.autograd.forward_ad")
    x = leaf(T, 2.0)
    with fwad.dual_level():
        dual = fwad.make_dual(x, T.ones_like(x.detach()))
        y = fwad.unpack_dual(dual**3)
        (g,) = T.autograd.grad(y.tangent, x)
    assert nums(g) == 12.0


# ---------------------------------------------------------------- functional_call


def modules(T):
    class Linear(T.nn.Module):
        def __init__(self, n, m):
            super().__init__()
            self.weight = T.nn.Parameter(T.rand(m, n))
            self.bias = T.nn.Parameter(T.rand(m))

        def forward(self, x):
            return x @ self.weight.t() + self.bias

    class Net(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = Linear(2, 3)
            self.second = Linear(3, 2)
            self.register_buffer("scale", T.ones(1))

        def forward(self, x, add=0.0):
            return self.second(self.first(x).tanh()) * self.scale + add

    return Net


def test_functional_call(T):
    func = importlib.import_module(f"{T.__name__}.func")
    net = modules(T)()
    names = dict(net.named_parameters())
    zeros = {n: T.zeros_like(p.detach()) for n, p in names.items()}
    x = T.ones(2)
    y = func.functional_call(net, zeros, (x,), {"add": 5.0})
    assert nums(y) == [5.0, 5.0]
    assert dict(net.named_parameters())["first.weight"] is names["first.weight"]
    y = func.functional_call(net, (zeros, {"scale": T.zeros(1)}), x)
    assert nums(y) == [0.0, 0.0]
    assert nums(func.functional_call(net, {"nonsense": x}, x)) == nums(net(x))
    with pytest.raises(RuntimeError):
        func.functional_call(net, {**names, "scale": x, "nonsense": x}, x, strict=True)
    with pytest.raises(RuntimeError):
        func.functional_call(net, {"first.bias": T.zeros(3)}, x, strict=True)


def test_gradients_and_ensembles_by_functional_call(T):
    func = importlib.import_module(f"{T.__name__}.func")
    Net = modules(T)
    nets = [Net() for _ in range(3)]
    params, buffers = func.stack_module_state(nets)
    x = T.ones(2)

    def f(p, b, x):
        return func.functional_call(nets[0], (p, b), (x,))

    got = func.vmap(f, in_dims=(0, 0, None))(params, buffers, x)
    np.testing.assert_allclose(
        nums(got), [nums(net(x)) for net in nets], rtol=1e-5, atol=1e-6
    )
    own = {n: p.detach() for n, p in nets[0].named_parameters()}
    gs = func.grad(lambda p: f(p, {}, x).sum())(own)
    nets[0](x).sum().backward()
    for name, p in nets[0].named_parameters():
        np.testing.assert_allclose(nums(gs[name]), nums(p.grad), rtol=1e-5, atol=1e-6)


def test_tied_parameters_are_swapped_together():
    Net = modules(ad)
    net = Net()
    net.second.bias = net.tied = ad.nn.Parameter(ad.zeros(2))
    zeros = {n: ad.zeros(tuple(p.shape)) for n, p in net.named_parameters()}
    zeros["second.bias"] = ad.tensor([1.0, 2.0])
    zeros.pop("tied", None)
    call = ad.func.functional_call
    assert nums(call(net, zeros, ad.ones(2))) == [1.0, 2.0]
    assert net.tied is net.second.bias and nums(net.tied) == [0.0, 0.0]
    with pytest.raises(RuntimeError, match="tied"):
        call(net, {**zeros, "tied": ad.zeros(2)}, ad.ones(2))


class Doubled(Function):
    """Twice x, in the memory of x; its backward is not the derivative, to be told from it."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x.mul_(2))
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 5


def _dirty(x):
    y = x * 1
    Doubled.apply(y)
    return (y * 3).sum()


def _dirty_view(x):
    y = x * 1
    Doubled.apply(y.view(-1))
    return (y * 3).sum()


@pytest.mark.parametrize("f", [_dirty, _dirty_view])
def test_what_a_function_overwrites_in_a_compiled_function(f):
    def step(x):
        return ad.autograd.grad(f(x), x)[0], f(x)

    g = ad.compile(step)
    for k in range(4):
        x = ad.tensor([1.0, 2.0 + k], requires_grad=True)
        grad, y = g(x)
        assert grad.tolist() == [15.0, 15.0]
        assert y.item() == 6 * (3 + k)
        y.backward()
        assert x.grad.tolist() == [15.0, 15.0]
