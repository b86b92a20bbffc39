"""A law: something that is promised of every layer, every loss or every optimizer, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from tinynn.core.passes import no_pass
from tinynn.testing.filters import filtering
from tinynn.testing.places import place_of

__all__ = ["BrokenError", "Law", "Verdict", "demand", "law", "raises"]

Only = Callable[[Any], str]
"""Why a law does not apply to a case; an empty text where it does."""


Result = Literal["holds", "FAILS", "not applicable", "not tried"]


class BrokenError(AssertionError):
    """What a law raises when it is broken, with what was seen."""


def demand(condition: object, message: str) -> None:
    """Raise an error with what was seen, unless the condition holds."""
    if not condition:
        raise BrokenError(message)


def raises(kind: type[Exception], call: Callable[[], object], what: str) -> None:
    """Demand that a call, described by ``what``, is an error of a kind."""
    try:
        call()
    except kind:
        return
    demand(False, f"{what} gives no {kind.__name__}")


@dataclass(frozen=True)
class Law:
    """One promise.

    Attributes:
        function: takes a case, and raises an error where the law is broken.
        hint: what a person may do who has broken it.
        only: what says, of a case, why the law does not apply to it.
        after: laws without which this one is broken as well; the likeliest cause comes first.
    """

    function: Callable[[Any], None]
    hint: str
    only: tuple[Only, ...] = ()
    after: tuple[Law, ...] = ()

    @property
    def name(self) -> str:
        """What it says, in a few words."""
        return self.function.__name__.replace("_", " ")

    @property
    def sentence(self) -> str:
        """What it says, in one sentence."""
        return " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())

    def excuse(self, case: Any) -> str:
        """Return why the law does not apply to a case; an empty text where it does."""
        return next(filter(None, (reason(case) for reason in self.only)), "")

    def applies(self, case: Any) -> bool:
        """Whether the law applies to a case; a case that cannot tell has to face it."""
        try:
            return not self.excuse(case)
        except Exception:
            return True

    def judge(self, case: Any) -> Verdict:
        """Try the law on a case. Whatever is raised, and a warning of NumPy's as well, is a failure."""
        try:
            excuse = self.excuse(case)
            if excuse:
                return self.verdict("not applicable", excuse)
            with no_pass(), filtering("error", RuntimeWarning):
                self.function(case)
        except Exception as error:
            return self.verdict("FAILS", _said(error))
        return self.verdict("holds")

    def deferring(self, verdict: Verdict, fails: Callable[[Law], bool]) -> Verdict:
        """Return a verdict whose hint is to mend another law first, where this one fails because that one does."""
        first = next(filter(fails, self.after), None) if verdict.result == "FAILS" else None
        if first is None:
            return verdict
        return replace(verdict, hint=f"mend '{first.name}' first; this law may then hold as it is")

    def verdict(self, result: Result, message: str = "") -> Verdict:
        """Return a verdict on this law."""
        return Verdict(self.name, self.sentence, self.hint, result, message)


@dataclass(frozen=True)
class Verdict:
    """What became of a law.

    Attributes:
        law: what the law says, in a few words.
        sentence: what it says, in one sentence.
        hint: what a person may do who has broken it.
        result: ``"holds"``, ``"FAILS"``, ``"not applicable"``, or ``"not tried"`` where nothing works at all.
        message: what was seen where it fails; why it does not apply where it does not.
    """

    law: str
    sentence: str
    hint: str
    result: Result
    message: str = ""


def law(hint: str, *only: Only, after: tuple[Law, ...] = ()) -> Callable[[Callable[[Any], None]], Law]:
    """Make a law of a function, with a hint for the person who breaks it, what excuses a case and what comes first."""
    return lambda function: Law(function, hint, only, after)


def _said(error: Exception) -> str:
    notes = [f"({note})" for note in getattr(error, "__notes__", ())]
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return " ".join([(text or type(error).__name__) + place_of(error), *notes])
