"""The identifier definitions as Presidio recognizers, registered under the language `zh`.

    from presidio_analyzer import AnalyzerEngine
    analyzer.registry.recognizers.extend(build_recognizers())

Presidio is loaded only when `build_recognizers` is called; the table detectors do not need it.
"""

from __future__ import annotations

from typing import Any

from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, python_pattern

LANGUAGE = "zh"
_SCORE_WEAK, _SCORE_FORM = 0.2, 0.6


def build_recognizers() -> list[Any]:
    """Return one `PatternRecognizer` for each identifier.

    Check digits are validated, column-name words serve as context.
    """
    from presidio_analyzer import Pattern, PatternRecognizer

    class ChineseIdentifierRecognizer(PatternRecognizer):
        """A recognizer made from one definition.

        A match whose check fails is dropped, one whose check holds is certain.
        """

        def __init__(self, identifier: Identifier) -> None:
            self._check = SCALAR_CHECKS[identifier.check] if identifier.check else None
            score = _SCORE_WEAK if identifier.weak else _SCORE_FORM
            super().__init__(
                supported_entity=identifier.entity,
                name=f"{identifier.entity.title().replace('_', '')}Recognizer",
                supported_language=LANGUAGE,
                patterns=[Pattern(identifier.entity.lower(), python_pattern(identifier), score)],
                context=list(identifier.words),
            )

        def validate_result(self, pattern_text: str) -> bool | None:
            """Say whether the check holds; None where there is none."""
            return None if self._check is None else self._check(pattern_text)

    return [ChineseIdentifierRecognizer(identifier) for identifier in IDENTIFIERS]
