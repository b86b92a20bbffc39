"""Optional packages, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinynn.errors import MissingExtraError, expects

__all__ = ["import_extra"]


def import_extra(owner: str, title: str, module: str, extra: str) -> Any:
    """Return a module of an optional package.

    Args:
        owner: what needs it, named in the error.
        title: the package as people call it.
        module: what is imported.
        extra: the extra of tinynn that installs it.

    Raises:
        MissingExtraError: if it is not installed; the message says how to.
    """
    try:
        return import_module(module)
    except ImportError as error:
        remedy = f'python -m pip install "tinynn-layers[{extra}]"'
        raise MissingExtraError(expects(owner, title, "no such package", remedy)) from error
