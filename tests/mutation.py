"""Breaks the library in one place at a time and sees whether the tests notice.

    python tests/mutation.py                                  every file of tinynn/layers and tinynn/losses
    python tests/mutation.py tinynn/layers/linear.py          one file
    python tests/mutation.py --only Linear.backward           what has this in its name
    python tests/mutation.py --quick                          without the tests that take longest

A mutant has one operator, constant, index or comparison changed, or a call of one function turned into a call of its
counterpart. First come the tests that run over every layer and name its class; if they let it pass, those of
single parts, but for what is far from layers and losses; and last those of every other layer. What passes is printed:
it is either equivalent to the original, or a test is missing. Needs ``os.fork``.
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import importlib
import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tinynn/layers", "tinynn/losses")
VALUES = ["test_oracle.py", "test_twins.py", "test_complex_step.py", "test_containers.py"]
LAWS = ["test_laws.py"]
EVERY = [*VALUES, *LAWS]
FAR = [
    "test_examples.py",
    "test_benchmarks.py",
    "test_data.py",
    "test_docs.py",
    "test_files.py",
    "test_package.py",
    "test_sklearn.py",
    "benchmarks",
    "core",
    "optim",
    "oracle",
    "testing",
    "training",
]
TIMEOUT = 1800  # seconds; a mutant that takes longer hangs

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Add,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COUNTERPARTS = {
    "maximum": "minimum",
    "minimum": "maximum",
    "exp": "expm1",
    "expm1": "exp",
    "log": "log1p",
    "log1p": "log",
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "sin": "cos",
    "tanh": "sin",
    "reversed": "list",
    "zeros_like": "ones_like",
}


class Mutant:
    """A file with one change.

    Attributes:
        path: the file, relative to the root.
        function: the qualified name of the function that is changed.
        line: where.
        change: what, for people.
        source: the whole changed file.
    """

    def __init__(self, path: str, function: str, line: int, change: str, source: str) -> None:
        self.path, self.function, self.line, self.change, self.source = path, function, line, change, source

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.change}"


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions that compute, with their qualified names; not constructors, and not what is shown."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and node.name not in {"__init__", "extra_repr", "__repr__"}:
            yield f"{prefix}{node.name}", node


def places(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes inside a function that may be changed: not annotations, docstrings, or what is raised."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        yield node
        skipped = {id(node.annotation)} if isinstance(node, ast.AnnAssign) else set()
        waiting.extend(child for child in reversed(list(ast.iter_child_nodes(node))) if id(child) not in skipped)


def changes(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Yield (what, function that changes the node in place) for every change of one node."""

    def setting(name: str, value: Any) -> Any:
        return lambda changed: setattr(changed, name, value)

    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in OPERATORS:
        new = OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {new.__name__}", setting("op", new())
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if type(operator) in OPERATORS:
                new = OPERATORS[type(operator)]
                ops = [*node.ops[:index], new(), *node.ops[index + 1 :]]
                yield f"{type(operator).__name__} -> {new.__name__}", setting("ops", ops)
    if isinstance(node, ast.UnaryOp):
        other = {ast.USub: ast.UAdd, ast.UAdd: ast.USub}.get(type(node.op))
        if other is not None:
            yield f"{type(node.op).__name__} dropped", setting("op", other())
        elif isinstance(node.op, ast.Not):
            yield "not -> not not", setting("operand", ast.UnaryOp(ast.Not(), node.operand))
    if isinstance(node, ast.Constant) and node.value is not ...:
        value = node.value
        if isinstance(value, bool):
            yield f"{value} -> {not value}", setting("value", not value)
        elif isinstance(value, (int, float)):
            yield f"{value} -> {value + 1}", setting("value", value + 1)
            if value not in {0, 1}:
                yield f"{value} -> {value * 0.5}", setting("value", type(value)(value * 0.5))
        elif isinstance(value, str):
            yield f"{value!r} -> another text", setting("value", f"not {value}")
    if isinstance(node, ast.Attribute) and node.attr in COUNTERPARTS:
        yield f"{node.attr} -> {COUNTERPARTS[node.attr]}", setting("attr", COUNTERPARTS[node.attr])
    if isinstance(node, ast.Name) and node.id in COUNTERPARTS:
        yield f"{node.id} -> {COUNTERPARTS[node.id]}", setting("id", COUNTERPARTS[node.id])
    if isinstance(node, ast.IfExp):
        yield "condition turned round", setting("test", ast.UnaryOp(ast.Not(), node.test))


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name, function in functions(tree):
        for number, node in enumerate(places(function)):
            for what, _ in changes(node):
                changed = copy.deepcopy(tree)
                again = next(found for found_name, found in functions(changed) if found_name == name)
                place = list(places(again))[number]
                dict(changes(place))[what](place)
                source = ast.unparse(ast.fix_missing_locations(changed))
                yield Mutant(
                    path.relative_to(ROOT).as_posix(), name, getattr(node, "lineno", function.lineno), what, source
                )


class Replace(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports one module from another source than its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = mutant.path.removesuffix(".py").replace("/", ".")
        self.path, self.source = str(ROOT / mutant.path), mutant.source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        return self.source.encode()

    def path_stats(self, path: str) -> Any:
        raise OSError  # never from the cache of compiled files


def passes(mutant: Mutant, arguments: list[str]) -> bool:
    """Whether the tests pass with the mutant, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            sys.meta_path.insert(0, Replace(mutant))
            sys.dont_write_bytecode = True
            pytest: Any = importlib.import_module("pytest")
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))
        finally:
            os._exit(code)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) in {0, 5}  # 5: no test has the name
        time.sleep(0.02)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return False


def survives(mutant: Mutant, quick: bool = False) -> bool:
    """Whether the tests pass with the mutant, those that are likely to notice it first."""
    owner = mutant.function.partition(".")[0]
    parts = ["tests", *(f"--ignore=tests/{name}" for name in (*EVERY, *FAR))]
    in_class = owner[:1].isupper()
    stages = [[*tests(names), "-k", owner] for names in (VALUES, LAWS)] if in_class else [tests(VALUES)]
    return all(passes(mutant, stage) for stage in [*stages, parts, *([] if quick else [tests(EVERY)])])


def tests(names: list[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--only", default="", help="only functions with this in their name")
    parser.add_argument("--quick", action="store_true", help="without the last tests, so that more is printed")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for module in ("numpy.testing", "pytest", "_pytest.python", "_pytest.assertion.rewrite", "scipy.special"):
        importlib.import_module(module)  # once, for all children
    files = arguments.files or [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
    todo = [mutant for path in files for mutant in mutants(path.resolve()) if arguments.only in mutant.function]
    print(f"{len(todo)} mutants", flush=True)
    unchanged = Mutant(todo[0].path, "", 0, "nothing", (ROOT / todo[0].path).read_text(encoding="utf-8"))
    judge = functools.partial(survives, quick=arguments.quick)
    if not judge(unchanged):
        sys.exit("the tests have to pass before anything is changed, and they do not")
    survivors = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for number, (mutant, survived) in enumerate(zip(todo, pool.map(judge, todo), strict=True), start=1):
            if survived:
                survivors.append(mutant)
                print(f"[{number}] survived: {mutant}", flush=True)
    print(f"{len(todo) - len(survivors)} of {len(todo)} mutants were noticed, {len(survivors)} survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
