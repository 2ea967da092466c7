"""Scripts: a function as a program that tells what it takes, as the examples are."""

from __future__ import annotations

import argparse
import inspect
import signal
import sys

from . import DONE, INTERRUPTED, Parser, count, positive, write_no_more


def script(main, **about):
    """Run `main` with what the command line says, and exit.

    A parameter of `main` that `about` has words for is an option by its name, of the kind of its
    default; one whose default is None is a name of a file, which may be left out. `--help` shows
    the docstring of the module that `main` is in. Ctrl-C ends in a word, with exit code 130.
    """
    given = vars(_parser(main, about).parse_args())
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    try:
        main(**given)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        write_no_more()
    except KeyboardInterrupt:
        sys.stdout.flush()
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(DONE)


def _interrupted(number, frame):
    """As Python's own, but a handler that whoever listens meanwhile passes Ctrl-C on to."""
    raise KeyboardInterrupt


def _parser(main, about) -> Parser:
    words = Parser(
        description=inspect.cleandoc(sys.modules[main.__module__].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, what in about.items():
        default = inspect.signature(main).parameters[name].default
        if default is None:
            words.add_argument(name, nargs="?", metavar=name.upper(), help=what)
            continue
        words.add_argument(
            f"--{name}",
            type=_whole if name == "seed" else _KINDS[type(default)],
            default=default,
            metavar="N" if type(default) is int else "X",
            help=f"{what}; default: {default}",
        )
    return words


def _whole(text) -> int:
    """What random numbers are drawn from."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text}")
    return int(text)


_KINDS = {int: count, float: positive}
