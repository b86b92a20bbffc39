"""The package as a whole: what an import costs, what is public, and that everything says what it is."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinynn as nn

ROOT = Path(nn.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(ROOT)], "tinynn."))


def imported(statement):
    """Return the modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    path = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); "
    result = subprocess.run([sys.executable, "-I", "-c", path + code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


@pytest.fixture(scope="module")
def yardstick():
    return imported("import numpy, typing_extensions")


@pytest.fixture(scope="module")
def ours():
    return imported("import tinynn")


def test_importing_it_imports_nothing_but_numpy_typing_extensions_and_the_standard_library(ours, yardstick):
    allowed = {*sys.stdlib_module_names, "numpy", "typing_extensions", "tinynn"}
    found = {name.partition(".")[0] for name in ours - yardstick} - allowed
    outside_site = {name.partition(".")[0] for name in imported("pass")}
    assert found - outside_site == set()


def test_importing_it_does_not_load_the_random_numbers_of_numpy(ours, yardstick):
    random = {name for name in ours if name.startswith("numpy.random")}
    assert random <= yardstick


def test_importing_it_loads_no_other_part_of_numpy(ours, yardstick):
    parts = {".".join(name.split(".")[:2]) for name in ours - yardstick if name.startswith("numpy.")}
    assert parts <= {"numpy.typing", "numpy._typing"}


def test_only_numpy_and_typing_extensions_are_named_in_its_imports():
    allowed = {*sys.stdlib_module_names, "numpy", "typing_extensions", "tinynn"}
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module]
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_all_is_complete_sorted_and_true():
    assert list(nn.__all__) == sorted(nn.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    public = {name for name in vars(nn) if not name.startswith("_")}
    packages = {name.split(".")[1] for name in MODULES}
    assert set(nn.__all__) <= public
    assert public - set(nn.__all__) <= packages


def is_base(value):
    """Whether other classes of the package derive from a class: it may be what they share, and no more."""
    return inspect.isclass(value) and any(cls.__module__.startswith("tinynn.") for cls in value.__subclasses__())


@pytest.mark.parametrize("name", MODULES)
def test_all_of_a_module_names_what_it_defines(name):
    module = importlib.import_module(name)
    defined = {
        key
        for key, value in vars(module).items()
        if getattr(value, "__module__", None) == name
        and not key.startswith("_")
        and (inspect.isclass(value) or callable(value))
    }
    declared = set(getattr(module, "__all__", ()))
    assert declared <= set(vars(module))
    assert len(declared) == len(getattr(module, "__all__", ()))
    classes = {key for key in defined if inspect.isclass(vars(module)[key]) and not is_base(vars(module)[key])}
    assert classes <= declared


def test_every_public_class_is_a_name_of_the_package():
    for name in MODULES:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", ()):
            value = vars(module)[key]
            if inspect.isclass(value) and issubclass(value, (nn.Layer, nn.Optimizer, nn.Parameter, nn.Buffer)):
                assert getattr(nn, key, None) is value or is_base(value)


@pytest.mark.parametrize("name", ["tinynn", *MODULES])
def test_every_module_states_what_it_is(name):
    documentation = importlib.import_module(name).__doc__
    assert documentation
    assert documentation.strip().splitlines()[0].endswith((".", ":"))


def public_objects():
    for name in ["tinynn", *MODULES]:
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", ()):
            value = vars(module)[key]
            if (inspect.isclass(value) or inspect.isroutine(value)) and str(value.__module__).startswith("tinynn"):
                yield f"{name}.{key}", value


OBJECTS = dict(public_objects())


@pytest.mark.parametrize("value", OBJECTS.values(), ids=OBJECTS)
def test_every_public_class_and_function_has_a_docstring_of_its_own(value):
    documentation = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    assert documentation
    first = documentation.strip().split("\n\n")[0].strip()
    assert first.endswith((".", ":")), first


CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_public_method_is_described_where_it_is_defined_first(cls):
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        origin = next(base for base in reversed(cls.__mro__) if name in vars(base))
        if origin.__module__.startswith("tinynn") and not hasattr(origin, "_is_protocol"):
            assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name}"


def test_a_type_checker_finds_the_types():
    assert (ROOT / "py.typed").is_file()


def test_the_version_is_that_of_the_distribution():
    assert nn.__version__.count(".") == 2
    assert all(part.isdigit() for part in nn.__version__.split("."))
