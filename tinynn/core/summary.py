"""The table that ``layer.summary()`` shows."""

from __future__ import annotations

import contextvars
import copy
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from tinynn.core import discovery
from tinynn.core.arrays import get_default_dtype
from tinynn.core.parameter import Parameter
from tinynn.core.passes import Call

__all__ = ["Row", "Summary", "summarize"]


@dataclass(frozen=True)
class Row:
    """One layer of a summary."""

    path: str
    layer: str
    output: str
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The layers of a model as a table.

    Attributes:
        rows: a row for each call of a layer, or for each layer where no input was given.
        total: the number of parameters, shared ones counted once.
        trainable: the number of those that require a gradient.
    """

    rows: tuple[Row, ...]
    total: int
    trainable: int

    @override
    def __repr__(self) -> str:
        cells = [("path", "layer", "output shape", "parameters")]
        cells += [(row.path or "(model)", row.layer, row.output, f"{row.parameters:,}") for row in self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        lines = [
            f"{path:{widths[0]}}  {layer:{widths[1]}}  {output:{widths[2]}}  {count:>{widths[3]}}".rstrip()
            for path, layer, output, count in cells
        ]
        rule = "-" * max(map(len, lines))
        total = f"{self.total:,} parameters, {self.trainable:,} of them trainable"
        return "\n".join([lines[0], rule, *lines[1:], rule, total])


def summarize(layer: Any, inputs: tuple[Any, ...]) -> Summary:
    """Run a copy of ``layer`` on the inputs and return the table."""
    parameters = [value for _, value in discovery.each_once(_parameters(layer))]
    total = sum(parameter.size for parameter in parameters)
    trainable = sum(parameter.size for parameter in parameters if parameter.requires_grad)
    calls = [(path, found, "") for path, found in discovery.walk(layer)] if not inputs else _calls(layer, inputs)
    rows = tuple(
        Row(path, _one_line(found), output, sum(value.size for _, value in _own_parameters(found)))
        for path, found, output in calls
    )
    return Summary(rows, total, trainable)


def _calls(layer: Any, inputs: tuple[Any, ...]) -> list[tuple[str, Any, str]]:
    model = copy.deepcopy(layer).eval()
    arrays = [np.zeros(x, get_default_dtype()) if _is_shape(x) else x for x in inputs]
    contextvars.Context().run(model, *arrays)  # whatever is going on around: no_grad, a pass
    rows: list[tuple[str, Any, str]] = []

    def visit(call: Call, path: str) -> None:
        shapes = [shape for shape, _ in call.output] if call.shape is None else [call.shape]
        rows.append((path, call.layer, ", ".join(map(str, shapes))))
        names = [(name, child) for name, child in call.layer.named_children()]
        for inner in reversed(list(call.inside())):
            matching = [name for name, child in names if child is inner.layer] or ["?"]
            if len(matching) > 1:
                names.remove((matching[0], inner.layer))
            visit(inner, f"{path}.{matching[0]}" if path else matching[0])

    visit(model._pass, "")
    return rows


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(isinstance(length, numbers.Integral) for length in x)


def _own_parameters(layer: Any) -> list[tuple[str, Parameter]]:
    return [(name, value) for name, value in discovery.own(layer) if isinstance(value, Parameter)]


def _parameters(layer: Any) -> Any:
    return ((path, value) for path, found in discovery.walk(layer) for _, value in _own_parameters(found))


def _one_line(layer: Any) -> str:
    return type(layer).__name__ if any(True for _ in layer.named_children()) else repr(layer)
