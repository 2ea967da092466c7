"""The words of the command line. What they do is in `adjoint.cli`, imported when needed.

This is a package of its own because importing anything of `adjoint` imports the engine:
`adjoint --help` answers without it.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import re
import sys

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """A parser that guesses what was meant."""

    def error(self, message):
        """Print the usage and what is wrong, with a guess; exit with 2."""
        hint = self._hint(message)
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n{hint}")

    def _hint(self, message) -> str:
        """The known word nearest to the one that the message complains of, or an example."""
        if "required" in message and self.epilog:
            return f"  {self.epilog}\n"
        found = re.search(
            r"invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message
        )
        if not found:
            return ""
        word = (found[1] or found[2]).split("=")[0]
        near = difflib.get_close_matches(word, self._words(), 1, 0.6)
        if near:
            return f"  did you mean {near[0]}?\n"
        return f"  {self.prog} --help tells what there is\n"

    def _words(self) -> list[str]:
        words = []
        for action in self._actions:
            words += action.option_strings
            words += [str(c) for c in action.choices or ()]
        return words


class Command(Parser):
    """The parser of one command: what it does not know, it refuses itself."""

    def parse_known_args(self, args=None, namespace=None):
        """All arguments, none of which may be left."""
        given, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return given, rest


def parser() -> Parser:
    """All commands with their arguments."""
    top = Parser(
        prog="adjoint",
        description="Differentiate expressions, train networks, look into the engine.",
    )
    top.add_argument(
        "--version", action="store_true", help="print the version and exit"
    )
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=Command
    )
    for add in (_demo, _grad, _train, _info, _check, _cache):
        command = add(commands)
        command.add_argument("--json", action="store_true", help="answer as JSON")
    return top


def _demo(commands):
    c = commands.add_parser(
        "demo", help="take a function apart, train a network on digits"
    )
    c.add_argument("--out", default=".", metavar="FOLDER", help="where the report goes")
    c.add_argument("--epochs", type=count, default=30, metavar="N")
    return c


def _expression(c):
    c.add_argument("expression", metavar="EXPR", help="such as 'x**2 * sin(y)'")
    c.add_argument(
        "values", nargs="*", metavar="NAME=VALUE", help="x=2, or x=[1,2,3] for a vector"
    )


def _grad(commands):
    c = commands.add_parser(
        "grad",
        help="value, gradient and adjoints of an expression",
        epilog="example: adjoint grad 'x**2 * sin(y)' x=2 y=1",
    )
    _expression(c)
    return c


def _check(commands):
    c = commands.add_parser(
        "check",
        help="compare derivatives with central differences",
        epilog="example: adjoint check 'x**2 * sin(y)' x=2 y=1",
    )
    _expression(c)
    c.add_argument("--second", action="store_true", help="second derivatives too")
    return c


def _info(commands):
    c = commands.add_parser(
        "info", help="versions, threads, dtypes; or what a file of weights holds"
    )
    c.add_argument("file", nargs="?", metavar="FILE", help="a .safetensors file")
    return c


def _cache(commands):
    c = commands.add_parser(
        "cache",
        help="the compiled programs on this disk",
        description="Compiled programs are kept on disk for the next process. ADJOINT_CACHE "
        "names another folder, or is off; ADJOINT_CACHE_MB is the most that they may take.",
    )
    c.add_argument(
        "action",
        nargs="?",
        choices=("list", "clear", "path"),
        default="list",
        help="list them (default), remove them, or tell where they are",
    )
    return c


def _train(commands):
    c = commands.add_parser(
        "train",
        help="train a network on a table or on digits",
        description="Train a network of linear layers. DATA is a CSV file, a .npz file with "
        "arrays x and y, or the word digits. FOLDER gets model.safetensors, report.html, "
        "history.csv and a checkpoint.",
        epilog="example: adjoint train digits --epochs 10",
    )
    for some in (_task, _network, _training, _running):
        some(c.add_argument)
    return c


def _task(add):
    add("data", metavar="DATA")
    add("--out", default="run", metavar="FOLDER", help="default: run")
    add(
        "--target",
        metavar="COLUMN",
        help="of a CSV: its name or number; default: the last",
    )
    add("--task", choices=("auto", "classification", "regression"), default="auto")


def _network(add):
    add("--hidden", default="128", metavar="SIZES", help="such as 128,64; default: 128")
    kinds = ("relu", "tanh", "sigmoid", "gelu", "silu")
    add("--activation", default="relu", choices=kinds)
    add("--dropout", type=fraction, default=0.0, metavar="P")


def _training(add):
    add("--epochs", type=count, default=30, metavar="N")
    add("--batch-size", type=count, default=64, metavar="N")
    add("--optimizer", default="adam", choices=("adam", "adamw", "sgd", "rmsprop"))
    add("--lr", type=positive, default=3e-3, metavar="RATE")
    add("--validation", type=fraction, default=0.2, metavar="PART", help="of the rows")
    add("--early-stopping", type=count, metavar="N", help="epochs without improvement")
    add("--precision", choices=("float32", "float16", "bfloat16"), default="float32")
    add("--seed", type=int, default=0, metavar="N")


def _running(add):
    add("--resume", action="store_true", help="go on from the checkpoint in FOLDER")
    add("--dry-run", action="store_true", help="try one batch, write nothing")
    add("--quiet", action="store_true", help="no progress")


def count(text) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text}")
    return int(text)


def positive(text) -> float:
    x = float(text)
    if not 0 < x < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return x


def fraction(text) -> float:
    x = float(text)
    if not 0 <= x < 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1), got {text}")
    return x


def main(argv=None) -> int:
    """Run a command line; returns the exit code."""
    try:
        code = _run(argv)
        if sys.stdout is not None:  # else it was closed before we began
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        write_no_more()
        return DONE
    except OSError as error:  # what went wrong with other files is an answer
        print(f"adjoint: error: standard output: {error.strerror}", file=sys.stderr)
        write_no_more()
        return FAILED
    return code


def write_no_more():
    """What is left of the output goes nowhere: Python would try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv) -> int:
    top = parser()
    try:
        given = top.parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    if given.version:
        given.command, given.json = "version", False
    if given.command is None:
        top.print_help()
        return USAGE
    return _carried_out(given)


def _carried_out(given) -> int:
    """The command and its answer; interruptions end in a word instead of a traceback."""
    if given.command == "demo":  # on such small matrices threads would only wait
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    try:
        code, answer, text = importlib.import_module("adjoint.cli").run(given)
        _print(given, code, answer, text)
    except KeyboardInterrupt:
        print("adjoint: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _print(given, code, answer, text):
    if given.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))
    elif text:
        print(text, file=sys.stderr if code in (FAILED, USAGE) else sys.stdout)
