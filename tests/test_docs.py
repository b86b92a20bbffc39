"""What the documentation says is true: every block of code runs, prints what it says and quotes the source literally.

In ``README.md`` and ``docs/``, a fence means:

- ``python``: executed, all blocks of a document in order, in one namespace;
- ``output``: exactly what the block before it printed;
- ``py``, first line ``# tinynn/...``: lines of that file, in its order, indented as wanted.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import io
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sybil
from sybil.parsers.markdown import CodeBlockParser

import tinynn as nn
import tinynn.sklearn

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS = [path for path in DOCUMENTS if path.exists() and "_build" not in path.parts]


def run(example: sybil.Example) -> None:
    """Execute a block of code and keep what it prints, without the lines of the document that errors are told with."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, example.path, "exec", dont_inherit=True), example.namespace)  # noqa: S102
    example.namespace["_printed"] = re.sub(r" \(\w+\.md:\d+\)", "", printed.getvalue())


def compare(example: sybil.Example) -> None:
    """Hold an ``output`` block against what the block before it printed."""
    printed = example.namespace.get("_printed", "nothing: there is no block before it")
    lines = [line.rstrip() for line in textwrap.dedent(printed).splitlines()]
    assert lines == [line.rstrip() for line in textwrap.dedent(example.parsed).rstrip().splitlines()]


def find(example: sybil.Example) -> None:
    """Hold a quotation against the source."""
    first, *quoted = example.parsed.rstrip().splitlines()
    path = re.fullmatch(r"# (tinynn/\S+\.py)", first)
    if path is None:
        return
    lines = iter(line.strip() for line in (ROOT / path[1]).read_text(encoding="utf-8").splitlines())
    for line in quoted:
        assert not line.strip() or line.strip() in lines, f"{path[1]} has no line {line.strip()!r} there"


PARSERS = [CodeBlockParser("python", run), CodeBlockParser("output", compare), CodeBlockParser("py", find)]


def evaluate(path: Path) -> None:
    """Run all blocks of a document in order, in one namespace: that of the main module, where pickle finds classes."""
    document = sybil.document.Document.parse(str(path), *PARSERS)
    main = types.ModuleType("__main__")
    document.namespace = vars(main)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", main)  # and nothing else: what a block imports stays imported
        for example in document:
            example.evaluate()


@pytest.fixture(autouse=True)
def _as_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that examples write land in a temporary folder, and a default dtype that they set is reset."""
    dtype = nn.get_default_dtype()
    monkeypatch.chdir(tmp_path)
    with np.printoptions():
        yield
    nn.set_default_dtype(dtype)


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.relative_to(ROOT).as_posix() for path in DOCUMENTS])
def test_every_block_of_a_document_runs(path: Path) -> None:
    evaluate(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.relative_to(ROOT).as_posix() for path in DOCUMENTS])
def test_no_block_of_a_document_is_forgotten(path: Path) -> None:
    """Every fence has a language, and the Python ones were all found, indented ones in lists included."""
    text = path.read_text(encoding="utf-8")
    fences = re.findall(r"^[ \t]*(?:```+|~~~+)(\S*)", text, re.MULTILINE)
    opening = fences[::2]
    assert all(opening), f"a fence without a language in {path.name}"
    assert not any(fences[1::2]), f"a fence that is not closed in {path.name}"
    found = sybil.document.Document.parse(str(path), *PARSERS)
    assert len(list(found)) == sum(language in {"python", "output", "py"} for language in opening)


def documented() -> Iterator[tuple[str, Any]]:
    """Yield every public object with an address: modules, their classes and functions, and the methods of those."""
    modules = [nn, *(value for value in vars(nn).values() if isinstance(value, types.ModuleType))]
    public = [module for module in modules if module is nn or module.__name__.rpartition(".")[2] in nn.__all__]
    public.append(tinynn.sklearn)  # which the package does not import
    for module in public:
        yield module.__name__, module
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, types.ModuleType) and getattr(value, "__doc__", None):
                yield f"{module.__name__}.{name}", value
            for key, method in vars(value).items() if inspect.isclass(value) else ():
                if not key.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                    yield f"{module.__name__}.{name}.{key}", method


EXAMPLES = [
    pytest.param(test, id=test.name)
    for name, value in documented()
    if ">>>" in (value.__doc__ or "")
    for test in doctest.DocTestFinder(recurse=False).find(value, name, globs={"np": np, "nn": nn})
    if test.examples
]


@pytest.mark.parametrize("test", EXAMPLES)
def test_the_example_of_a_docstring_is_right(test: doctest.DocTest) -> None:
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
    assert not report, "".join(report)


REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md")))


@pytest.mark.parametrize("name", [*sorted(nn.__all__), *(f"sklearn.{name}" for name in tinynn.sklearn.__all__)])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    module = isinstance(vars(nn).get(name), types.ModuleType)
    kind = "automodule" if module else "auto(?:class|function|data|decorator)"
    assert re.search(rf"{kind}:: tinynn\.{name}(?:\(\))?$", REFERENCE, re.MULTILINE)


def test_a_wrong_block_would_be_noticed(tmp_path: Path) -> None:
    """The tests above can fail: on an exception, on other output, and on a line that the source does not have."""
    for wrong in (
        "```python\n1 / 0\n```\n",
        "```python\nprint(1)\n```\n\n```output\n2\n```\n",
        "```py\n# tinynn/core/layer.py\nno such line\n```\n",
    ):
        path = tmp_path / "wrong.md"
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises((ZeroDivisionError, AssertionError)):
            evaluate(path)


def test_blocks_are_found() -> None:
    blocks = list(sybil.document.Document.parse(str(ROOT / "docs" / "quickstart.md"), *PARSERS))
    assert len(blocks) > 5
    assert all(ast.parse(block.parsed) for block in blocks if block.region.evaluator is run)


def test_the_design_page_lists_every_file() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    listing = page.partition("```text\ntinynn/\n")[2].partition("```")[0]
    listed = re.findall(r"^ +(\w+\.py|\w+/) ", listing, re.MULTILINE)
    files = [path for path in (ROOT / "tinynn").rglob("*.py") if path.name != "__init__.py"]
    folders = {f"{path.parent.name}/" for path in files if path.parent != ROOT / "tinynn"}
    assert sorted(listed) == sorted([*(path.name for path in files), "__init__.py", *folders])
