"""Tools that prove hand-written layers right."""

from tinynn.testing.conformance import check_layer, check_loss, check_optimizer
from tinynn.testing.gradients import check_gradients
from tinynn.testing.laws.law import Verdict
from tinynn.testing.parametrize import parametrize_with_laws
from tinynn.testing.report import Finding, GradientError, GradientReport, Measurement
from tinynn.testing.verdicts import LawError, LawReport

__all__ = [
    "Finding",
    "GradientError",
    "GradientReport",
    "LawError",
    "LawReport",
    "Measurement",
    "Verdict",
    "check_gradients",
    "check_layer",
    "check_loss",
    "check_optimizer",
    "parametrize_with_laws",
]
