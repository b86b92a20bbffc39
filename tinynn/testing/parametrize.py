"""One test of pytest's for each law and row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from tinynn.errors import ArgumentTypeError, MissingExtraError, expects
from tinynn.testing.conformance import case_of_layer, laws_for
from tinynn.testing.laws.inputs import is_shape
from tinynn.testing.laws.law import Law
from tinynn.testing.laws.layer_case import LayerCase
from tinynn.testing.laws.optimizer_case import OptimizerCase
from tinynn.testing.verdicts import LawError, LawReport

__all__ = ["LawOfRow", "parametrize_with_laws"]


@dataclass(frozen=True)
class LawOfRow:
    """One law, to be tried on one row: by calling it."""

    law: Law
    case: LayerCase | OptimizerCase

    def __call__(self) -> None:
        """Try the law.

        Raises:
            LawError: if it is broken.
        """
        verdict = self.law.judge(self.case)
        verdict = self.law.deferring(verdict, lambda other: other.judge(self.case).result == "FAILS")
        if verdict.result == "FAILS":
            raise LawError(LawReport(self.case.name, (verdict,)))

    @override
    def __repr__(self) -> str:
        return f"{self.case.name}: {self.law.name}"


def parametrize_with_laws(rows: Iterable[Any]) -> Callable[[Any], Any]:
    """Make one test for each law and each row, of a test function that takes ``law`` and calls it.

    Laws that do not apply to a row give no test; the tables of `check_layer` and the others tell them, with the reason.

    Args:
        rows: tuples ``(name, factory, inputs)``, where ``inputs`` is a shape, an array, or a list of several, as for
            `check_layer` and `check_loss`, with their options as a dict in fourth place if need be; for an optimizer
            ``(name, factory, reference)``, as for `check_optimizer`.

    Raises:
        MissingExtraError: if pytest is not installed.

    Example:
        >>> from tinynn.testing import parametrize_with_laws
        >>> @parametrize_with_laws([("tanh", nn.Tanh, (5, 3)), ("mse", nn.MSELoss, [(5, 3), (5, 3)])])
        ... def test_my_layers(law):
        ...     law()
    """
    try:
        import pytest
    except ImportError as error:
        remedy = 'install it with the extra "test": python -m pip install "tinynn-layers[test]"'
        raise MissingExtraError(expects("parametrize_with_laws", "pytest", "no such package", remedy)) from error
    parameters = []
    for case in map(_case, rows):
        for law in laws_for(case):
            if law.applies(case):
                parameters.append(pytest.param(LawOfRow(law, case), id=f"{case.name}-{law.function.__name__}"))
    return pytest.mark.parametrize("law", parameters)


def _case(row: Any) -> LayerCase | OptimizerCase:
    if isinstance(row, (LayerCase, OptimizerCase)):
        return row
    if not isinstance(row, (tuple, list)) or len(row) not in (3, 4) or not isinstance(row[0], str):
        what = "rows (name, factory, inputs) or (name, factory, reference)"
        raise ArgumentTypeError(expects("parametrize_with_laws", what, repr(row)))
    name, factory, what, options = (*row, {})[:4]
    if not isinstance(options, Mapping):
        raise ArgumentTypeError(expects("parametrize_with_laws", "the options of a row as a dict", repr(options)))
    if callable(what):
        return OptimizerCase(name, factory, what, **options)
    inputs = what if isinstance(what, (list, tuple)) and not is_shape(what) else (what,)
    return replace(case_of_layer("parametrize_with_laws", factory, inputs, **options), name=name)
