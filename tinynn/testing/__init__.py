"""Tools that prove hand-written layers right."""

from tinynn.testing.gradients import check_gradients
from tinynn.testing.report import Finding, GradientError, GradientReport, Measurement

__all__ = ["Finding", "GradientError", "GradientReport", "Measurement", "check_gradients"]
