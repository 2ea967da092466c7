"""What one small eager operation costs, beside PyTorch's."""

from __future__ import annotations

from harness import functions
from harness.workload import Run, Workload


def chain(x):
    for _ in range(25):
        x = x * 1.01
        x = x + 0.5
        x = x.tanh()
        x = x - 0.1
    return x


def forward(lib, d) -> Run:
    w = lib.ones(4, requires_grad=True)
    return functions.kept(chain, [w], lambda ys: [y.detach().numpy() for y in ys])


def both(lib, d) -> Run:
    w = lib.ones(4, requires_grad=True)

    def step():
        w.grad = None
        chain(w).sum().backward()

    return Run(step, lambda: [w.grad.numpy()])


def two_variables(lib, d) -> Run:
    def step():
        x1 = lib.tensor(2.0, requires_grad=True)
        x2 = lib.tensor(1.0, requires_grad=True)
        y = x1**2 + (x1 - x2) ** 1 - lib.log(x1**2 + x2**2)
        return lib.autograd.grad(y, (x1, x2))

    return functions.kept(step, [], lambda gs: [g.numpy() for g in gs])


def workload(title, build) -> Workload:
    return Workload(
        title=title,
        data=dict,
        forms={"adjoint eager": build, "torch": build},
        goal=1.43,
        eager=True,
    )


WORKLOADS = {
    "eager_chain": workload("eager: chain of 100 operations on 4 numbers", forward),
    "eager_chain_backward": workload("eager: the same, forward and backward", both),
    "eager_two_variables": workload("eager: gradient of f(x1, x2)", two_variables),
}
