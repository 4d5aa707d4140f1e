"""The identifier definitions as Presidio recognizers, registered under the language `zh`.

    from presidio_analyzer import AnalyzerEngine
    analyzer.registry.recognizers.extend(build_recognizers())

Presidio is loaded only when `build_recognizers` is called; the table detectors do not need it.
"""

from __future__ import annotations

import re
from typing import Any

from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, list_rivals, python_pattern
from desensitize.identifiers.reading import read_text

LANGUAGE = "zh"
_SCORE_WEAK, _SCORE_FORM = 0.1, 0.6


class Validity:
    """Whether a text that matches an identifier's pattern is one: its check holds, and it is no rival of it."""

    def __init__(self, identifier: Identifier) -> None:
        self._check = SCALAR_CHECKS[identifier.check] if identifier.check else None
        self._rivals = [
            (re.compile(python_pattern(one)), SCALAR_CHECKS[one.check]) for one in list_rivals(identifier) if one.check
        ]

    def judge(self, text: str) -> bool | None:
        """Return False for none, True for one whose check holds, None where there is no check."""
        if self._check is not None and not self._check(text):
            return False
        if any(pattern.fullmatch(text) and check(text) for pattern, check in self._rivals):
            return False
        return None if self._check is None else True


def build_recognizers(*, weak: bool = True) -> list[Any]:
    """Return one `PatternRecognizer` for each identifier; without the weak ones if not `weak`.

    Full-width digits are read, check digits validated, column-name words serve as context. A match whose check fails
    is dropped, one whose check holds is certain (1.0), a form without a check scores 0.6, a weak one 0.1.
    """
    from presidio_analyzer import Pattern, PatternRecognizer

    class ChineseIdentifierRecognizer(PatternRecognizer):
        """A recognizer made from one definition."""

        def __init__(self, identifier: Identifier) -> None:
            self._validity = Validity(identifier)
            self._ceiling = _SCORE_WEAK if identifier.weak else 1.0
            score = _SCORE_WEAK if identifier.weak else _SCORE_FORM
            super().__init__(
                supported_entity=identifier.entity,
                name=f"{identifier.entity.title().replace('_', '')}Recognizer",
                supported_language=LANGUAGE,
                patterns=[Pattern(identifier.entity.lower(), python_pattern(identifier), score)],
                context=[*identifier.words, *identifier.pinyin],
            )

        def analyze(self, text: str, *arguments: Any, **options: Any) -> list[Any]:
            """Return the matches in `text`, at their places in it; full-width characters are read as ASCII."""
            found: list[Any] = super().analyze(read_text(text), *arguments, **options)
            for result in found:
                result.score = min(result.score, self._ceiling)
            return found

        def validate_result(self, pattern_text: str) -> bool | None:
            """Say whether the check holds; None where there is none."""
            return self._validity.judge(pattern_text)

    return [ChineseIdentifierRecognizer(identifier) for identifier in IDENTIFIERS if weak or not identifier.weak]
