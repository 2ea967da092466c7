"""Applied: a module that is one function of tensors with options it holds.

A class of the kind is data: the function, its options with their defaults, and how it prints.
"""

from __future__ import annotations

import inspect

from ..errors import ArgumentTypeError
from .module import Module

REQUIRED = inspect.Parameter.empty


class Asked:
    """The signature of each class that has this as an attribute, made when somebody asks."""

    def __init__(self, make):
        self.make = make

    def __get__(self, x, kind):
        if "_signature" not in vars(kind):
            kind._signature = self.make(kind)
        return kind._signature


def _of_options(kind) -> inspect.Signature:
    """The arguments that are the options of a class."""
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(name, kinds[i >= kind.positional], default=default)
            for i, (name, default) in enumerate(kind.options.items())
        ]
    )


class Applied(Module):
    """Base of layers without parameters: `call(*inputs, **options)`.

    `options` are the arguments of the class with their defaults, and its attributes;
    `passed` those of them that `call` takes (all, if not said); `shows` is the template of
    what is printed, to which `inplace=True` is added; "" prints nothing.
    """

    call = staticmethod(lambda input: input)
    options: dict = {}
    passed: tuple | None = None
    shows: str | None = None
    positional = 99

    __signature__ = Asked(_of_options)

    def __init__(self, *args, **kwargs):
        super().__init__()
        for name, value in bound(type(self), args, kwargs).arguments.items():
            setattr(self, name, value)
        self.prepare()

    def prepare(self) -> None:
        """Check the options, and bring them to their final form."""

    def forward(self, *inputs, **named):
        """The function with the options of this module."""
        held = vars(self)
        names = type(self).options if self.passed is None else self.passed
        return self.call(*inputs, **named, **{k: held[k] for k in names})

    def extra_repr(self) -> str:
        """The options."""
        shows = self.shows
        if shows == "":
            return ""
        if shows is None:
            shown = [k for k in type(self).options if k != "inplace"]
            shows = ", ".join(f"{k}={{{k}}}" for k in shown)
        text = shows.format(**vars(self))
        if vars(self).get("inplace") is True and "{inplace}" not in shows:
            text = f"{text}, inplace=True" if text else "inplace=True"
        return text


def bound(kind, args, kwargs) -> inspect.BoundArguments:
    """The arguments by the signature of a class, with its defaults."""
    try:
        given = kind.__signature__.bind(*args, **kwargs)
    except TypeError as error:
        name = kind.__name__
        raise ArgumentTypeError(
            f"{name}(): {error}", hint=f"{name}{kind.__signature__}"
        ) from None
    given.apply_defaults()
    return given
