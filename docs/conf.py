"""How the documentation is built: ``sphinx-build -W -b html docs docs/_build``.

Nothing here needs a network. Formulas become MathML, which every current browser shows by itself.
"""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

import tinynn

project = "tinynn"
author = "The tinynn authors"
copyright = "The tinynn authors"  # noqa: A001
version = release = tinynn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "figures"]
templates_path: list[str] = []
default_role = "py:obj"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"no-value": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Backward", "Shapes"]

html_theme = "furo"
html_title = "tinynn"
html_static_path = ["_static"]
html_css_files = ["tinynn.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False


def inline_math(writer: Any, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display_math(writer: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own; its label, ``$$ ... $$ (10)``, is the number that is shown."""
    label = node.get("label")
    number = f'<span class="equation-number">({label})</span>' if label else ""
    formula = tex2mathml(node.astext().strip(), as_block=True)
    writer.body.append(f'<div class="equation">{formula}{number}</div>\n')
    raise nodes.SkipNode


class Written:
    """An annotation as it is written in the source."""

    def __init__(self, annotation: Any) -> None:
        self.text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self.text


def signature_as_written(
    _app: Sphinx, what: str, _name: str, obj: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show signatures as the source writes them, and that of a class by its ``__init__``.

    (``Layer.__new__``, which all layers share, takes anything; and NumPy's types are unreadable when spelled out.)
    """
    if what not in {"class", "function", "method"} or signature is None:
        return signature, returns
    if what == "class" and not inspect.isfunction(obj.__init__):
        return "", None
    shown = inspect.signature(obj.__init__ if what == "class" else obj)
    parameters = list(shown.parameters.values())
    if what != "function" and next(iter(shown.parameters), None) in {"self", "cls"}:
        del parameters[0]
    written = [p if p.annotation is p.empty else p.replace(annotation=Written(p.annotation)) for p in parameters]
    has_return = what != "class" and shown.return_annotation is not shown.empty
    returned = str(Written(shown.return_annotation)) if has_return else None
    return str(inspect.Signature(written)), returned


def bars_are_bars(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Keep |x| in docstrings from being taken for a substitution of reStructuredText."""
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("``")  # what is between the quotes stays as it is
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[index] = "``".join(parts)


def setup(app: Sphinx) -> None:
    """Register the functions above."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline_math, None), block_renderers=(display_math, None))
    app.connect("autodoc-process-signature", signature_as_written)
    app.connect("autodoc-process-docstring", bars_are_bars)
