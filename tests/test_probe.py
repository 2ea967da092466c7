"""compile(check=...): the first operation that makes NaN or Inf is named."""

import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.errors import ArgumentError, NotFiniteError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.second(self.first(x).log())


def trained(net, check):
    opt = optim.Adam(net.parameters())

    @compile(check=check)
    def step(x):
        opt.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    return step


def test_a_step_names_what_made_nan_and_leaves_the_parameters():
    net = Net()
    step = trained(net, "nan")
    with ad.no_grad():
        net.first.weight.fill_(1.0)
        net.first.bias.fill_(0.5)
    for _ in range(3):
        assert step(ad.ones(2, 3)).isfinite()
    before = net.first.weight.clone()
    with pytest.raises(
        NotFiniteError, match=r"log made NaN in 8 of 8[^!]*-2.4\d\d[^!]*Net,"
    ) as e:
        step(-ad.ones(2, 3))
    assert "self.first(x).log()" in str(e.value)
    assert (net.first.weight == before).all()


def test_before_there_is_a_program_too():
    net = Net()
    net.first.weight.data.fill_(-1.0)
    with pytest.raises(NotFiniteError, match="log made NaN"):
        trained(net, "nan")(ad.ones(2, 3) * 9)


def test_a_derivative_is_named_by_the_line_of_its_operation():
    w = ad.zeros(2, requires_grad=True)

    @compile(check="nan")
    def inside(x):
        w.grad = None
        y = (w * x).sqrt()
        y.sum().backward()

    outside = compile(lambda x: (w * x).sqrt(), check="nan")
    with pytest.raises(
        NotFiniteError, match=r"made NaN[^!]*backward, .*y = \(w \* x\).sqrt"
    ):
        inside(ad.zeros(2))
    with pytest.raises(NotFiniteError, match="made NaN"):
        outside(ad.zeros(2)).sum().backward()


@pytest.mark.parametrize("check", ["nan", "inf"])
def test_what_a_derivative_guards_is_not_wrong(check):
    """0 · ∞ is no NaN where the cotangent is 0, so neither is it one on the way."""

    @compile(check=check)
    def slope(x):
        x = x.detach().requires_grad_()
        ad.where(x > 0, x.abs().sqrt(), x).sum().backward()
        return x.grad

    for _ in range(3):
        assert slope(ad.tensor([0.0, 4.0])).tolist() == [1.0, 0.25]
    if check == "inf":
        f = compile(lambda x: x.sqrt().sum(), check=check)
        with pytest.raises(NotFiniteError, match=r"made Inf in 1 of 2[^!]*x.sqrt"):
            compile(ad.grad(f), check=check)(ad.tensor([0.0, 4.0]))


def test_loops_are_looked_into():
    f = compile(
        lambda xs: ad.scan(lambda c, x: (c * 1e30, c), ad.tensor(1.0), xs), check="inf"
    )
    f(ad.ones(1))
    with pytest.raises(
        NotFiniteError, match=r"mul made Inf in 1 of 1 places\n.*1e\+30"
    ):
        f(ad.ones(4))


def test_inf_is_told_where_nan_came_of_it():
    f = compile(lambda x: x.exp() - x.exp(), check="nan")
    with pytest.raises(
        NotFiniteError, match=r"sub made NaN[^!]*Inf came first from exp, "
    ):
        f(ad.tensor([1.0, 1000.0]))


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (ad.bfloat16, "bfloat16[3] from -4 to 1, mean -1"),
        (ad.float16, "float16[3] from -4 to 1, mean -1"),
        (ad.complex64, "complex64[3], absolute values from 0 to 4, mean 1.667"),
        (ad.float64, "float64[3] from -4 to 1, mean -1"),
    ],
)
@pytest.mark.parametrize("calls", [0, 2])
def test_what_was_given_is_told_in_every_dtype(dtype, said, calls):
    f = compile(lambda x: x / x, check="nan")
    for _ in range(calls):
        f(ad.ones(3, dtype=dtype))
    with pytest.raises(NotFiniteError, match="div made NaN in 1 of 3") as e:
        f(ad.tensor([1.0, 0.0, -4.0], dtype=dtype))
    assert str(e.value).split("\n")[1] == f"  x1: {said}"


def test_checks_have_names():
    with pytest.raises(ArgumentError, match="check must be 'nan' or 'inf'"):
        compile(lambda x: x, check="all")
