"""What is changed from outside between compiled calls: the next call sees it, as eager does."""

import copy

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim

pytest.importorskip("llvmlite")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        ad.manual_seed(0)
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
        self.register_buffer("scale", ad.ones(2))

    def forward(self, x):
        return self.last(self.first(x).tanh()) * self.scale


class World:
    """A model in training, with all that a user may lay hands on."""

    def __init__(self, optimizer=optim.Adam):
        self.model = Net()
        self.opt = optimizer(self.model.parameters(), lr=1e-2)
        self.scheduler = optim.lr_scheduler.LambdaLR(self.opt, lambda n: 0.9**n)
        self.group = self.opt.param_groups[0]
        self.w = self.group["params"][0]
        self.state = self.opt.state

    def step(self, x, t):
        self.opt.zero_grad()
        loss = ((self.model(x) - t) ** 2).mean()
        loss.backward()
        self.opt.step()
        return loss

    def numbers(self):
        """All that training has made: parameters, gradients, state."""
        yield from (p.detach().numpy() for p in self.model.parameters())
        for p in self.model.parameters():
            yield None if p.grad is None else p.grad.numpy()
            state = dict(self.state.get(p) or {})
            yield sorted(state)
            yield from (x.numpy() for _, x in sorted(state.items()))


def another(world, shape=(6, 4), dtype=ad.float32):
    return ad.full(shape, 0.3, dtype=dtype)


def an_item_of_state(w):
    w.state[w.w]["exp_avg"] = another(w)


def an_item_of_state_in_another_dtype(w):
    w.state[w.w]["exp_avg"] = another(w, dtype=ad.float64)


def items_of_state_at_once(w):
    w.state[w.w].update(exp_avg=another(w), exp_avg_sq=another(w))


def items_of_state_by_or(w):
    w.state[w.w] |= {"exp_avg": another(w)}


def items_of_state_that_change_places(w):
    s = w.state[w.w]
    s["exp_avg"], s["exp_avg_sq"] = s["exp_avg"].abs(), s["exp_avg"].clone().abs()


def one_tensor_for_two_states(w):
    s = w.state[w.w]
    s["exp_avg"] = s["exp_avg_sq"]


def state_of_a_parameter(w):
    w.state[w.w] = {
        "step": ad.tensor(3.0),
        "exp_avg": another(w),
        "exp_avg_sq": another(w),
    }


def state_of_a_parameter_that_is_empty(w):
    w.state[w.w] = {}


def all_state(w):
    w.state.clear()


def state_that_is_deleted(w):
    del w.state[w.w]


def one_state_after_the_other(w):
    w.state.popitem()


def other_states(w):
    w.state = w.opt.state = copy.copy(w.state)
    del w.state[w.w]


def the_number_of_steps(w):
    w.state[w.w]["step"] = 0


def the_number_of_steps_as_a_tensor(w):
    w.state[w.w]["step"] = ad.tensor(0.0)


def fewer_parameters(w):
    w.group["params"] = w.group["params"][:2]


def parameters_in_another_order(w):
    w.group["params"] = w.group["params"][::-1]


def a_group_more(w):
    w.model.extra = nn.Parameter(ad.ones(2))
    w.opt.add_param_group({"params": [w.model.extra], "lr": 0.1})
    w.scheduler.base_lrs.append(0.1)
    w.scheduler.lr_lambdas.append(lambda n: 1.0)
    w.model.register_buffer("scale", ad.ones(2))
    forward = w.model.forward
    w.model.forward = lambda x: forward(x) * w.model.extra


def another_layer(w):
    w.model.last = nn.Linear(6, 2)


def another_layer_that_is_trained(w):
    w.model.last = nn.Linear(6, 2)
    w.group["params"] = list(w.model.parameters())


def wider_layers(w):
    w.model.first, w.model.last = nn.Linear(4, 9), nn.Linear(9, 2)
    w.group["params"] = list(w.model.parameters())


def a_buffer(w):
    w.model.register_buffer("scale", ad.tensor([2.0, 3.0]))


def a_buffer_of_another_shape(w):
    w.model.scale = ad.tensor(2.0)


def a_frozen_parameter(w):
    w.w.requires_grad_(False)


def frozen_parameters(w):
    for p in w.model.first.parameters():
        p.requires_grad = False


def data(w):
    w.w.data = another(w)


def data_of_another_shape(w):
    first, last = w.model.first, w.model.last
    first.weight.data, first.bias.data = another(w, (9, 4)), ad.zeros(9)
    last.weight.data = another(w, (2, 9))
    for p in w.model.parameters():
        p.grad = None
    w.state.clear()


def first_learning_rates(w):
    w.scheduler.base_lrs = [0.5]


def one_first_learning_rate(w):
    w.scheduler.base_lrs[0] = 0.5


def a_copied_group(w):
    w.opt.param_groups[0] = dict(w.group, lr=0.3)


CHANGES = (
    an_item_of_state,
    an_item_of_state_in_another_dtype,
    items_of_state_at_once,
    items_of_state_by_or,
    items_of_state_that_change_places,
    one_tensor_for_two_states,
    state_of_a_parameter,
    state_of_a_parameter_that_is_empty,
    all_state,
    state_that_is_deleted,
    one_state_after_the_other,
    other_states,
    the_number_of_steps,
    the_number_of_steps_as_a_tensor,
    fewer_parameters,
    parameters_in_another_order,
    a_group_more,
    another_layer,
    another_layer_that_is_trained,
    wider_layers,
    a_buffer,
    a_buffer_of_another_shape,
    a_frozen_parameter,
    frozen_parameters,
    data,
    data_of_another_shape,
    first_learning_rates,
    one_first_learning_rate,
    a_copied_group,
)


def trained(change, wrap):
    """Losses, and all that is there in the end; the step that was wrapped."""
    world = World()
    x = ad.linspace(-1, 1, 20).reshape(5, 4)
    step, losses = wrap(world.step), []
    for i in range(7):
        if i == 4:
            ad.manual_seed(i)
            change(world)
        losses.append(step(x, x[:, :2] * 2).item())
        world.scheduler.step()
    return losses, list(world.numbers()), step


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_the_next_call_sees_what_was_changed(change):
    losses, want, _ = trained(change, lambda f: f)
    seen, got, step = trained(change, ad.compile)
    assert step.programs and not step.unfit
    for a, b in zip([np.array(losses), *want], [np.array(seen), *got], strict=True):
        assert type(a) is type(b)
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
        else:
            assert a == b


def test_what_is_set_to_itself_changes_nothing():
    world, other = World(), World(optim.SGD)
    step, x = ad.compile(world.step), ad.ones(5, 4)
    for _ in range(3):
        step(x, x[:, :2])
    before = next(iter(step.programs.values()))
    for s in world.state.values():
        s.update(s)
    world.state.update(world.state)
    other.step(x, x[:, :2])
    step(x, x[:, :2])
    assert next(iter(step.programs.values())) is before


def test_eager_steps_of_one_optimizer_leave_the_programs_of_another():
    """LBFGS keeps numbers of Python, which are others after each step."""
    world, w = World(), ad.nn.Parameter(ad.tensor([3.0]))
    step, x = ad.compile(world.step), ad.ones(5, 4)
    other = optim.LBFGS([w], lr=0.1)

    def closure():
        other.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        step(x, x[:, :2])
    before = next(iter(step.programs.values()))
    for _ in range(3):
        other.step(closure)
        step(x, x[:, :2])
    assert next(iter(step.programs.values())) is before


def test_states_are_copied_and_pickled():
    import pickle

    world = World()
    world.step(ad.ones(5, 4), ad.ones(5, 2))
    for states in (
        copy.copy(world.state),
        copy.deepcopy(world.state),
        pickle.loads(pickle.dumps(world.state)),
        world.state.copy(),
    ):
        assert type(states) is type(world.state)
        assert len(states) == 4
        assert states["new"] == {}  # as of a defaultdict
    assert "new" not in world.state
