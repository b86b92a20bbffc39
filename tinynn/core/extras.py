"""Packages that are optional, and imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinynn.errors import MissingExtraError, expects

__all__ = ["extra"]


def extra(owner: str, name: str, module: str, package: str) -> Any:
    """Return a module of an optional package.

    Args:
        owner: what needs it.
        name: the extra of tinynn that installs it.
        module: what to import.
        package: what the package is called in a sentence.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        remedy = f'python -m pip install "tinynn-layers[{name}]"'
        raise MissingExtraError(expects(owner, package, "no such package", remedy)) from error
