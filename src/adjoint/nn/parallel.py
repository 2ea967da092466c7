"""A module on several devices, of which there is one: programs that ask for it run as they are."""

from __future__ import annotations

from .module import Module


class DataParallel(Module):
    """`module`, called as it is; its states have names that begin with "module.".

    >>> list(nn.DataParallel(nn.Linear(2, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim: int = 0):
        super().__init__()
        self.module, self.dim = module, dim
        self.device_ids: list = []

    def forward(self, *inputs, **kwargs):
        """What the module gives."""
        return self.module(*inputs, **kwargs)
