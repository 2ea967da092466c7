"""Homes: outputs that are computed in the memory of the inputs whose new values they are."""

from __future__ import annotations


def settled(part, renewed: dict[int, int], kept) -> tuple[dict, list]:
    """(output -> the input in whose memory it is, or None if it lies where the caller says;
    (output, input) of what is to be copied at the end).

    `renewed` maps outputs to inputs; those `kept` lie inside, for nobody else reads them.
    """
    outputs, inputs = part.outputs, part.graph.inputs
    alone = (i for i in range(len(outputs)) if i not in renewed and i not in kept)
    homes: dict = {outputs[i]: None for i in alone}
    copies = []
    for i, j in renewed.items():
        y, state = outputs[i], inputs[j]
        if y not in homes and _renewable(part.schedule, y, state, part.safe):
            homes[y] = state
        else:
            copies.append((y, state))
    return homes, copies


def replaced(part) -> dict:
    """kernel -> what it reads and puts results in place of."""
    found: dict = {}
    for y, state in part.homes.items():
        kernel = part.schedule.kernel_of.get(y)
        if state is not None and state in kernel.reads:
            found.setdefault(kernel, set()).add(state)
    return found


def _renewable(s, y, state, safe) -> bool:
    """Whether a new value can be computed in the memory of the old one.

    No loop may read the old value after, or elsewhere than, its own element; nor may one
    fail when it is gone.
    """
    kernel = s.kernel_of.get(y)
    if kernel is None or kernel.kind != "map" or s.number[kernel] < safe:
        return False
    if any(state in k.reads for k in s.kernels[s.number[kernel] + 1 :]):
        return False
    return all(s.accesses(o).get(state, True) for o in kernel.roots)
