"""Every test of the attack suite says what it tries, which layer refuses it and what its control is."""

from __future__ import annotations

from pathlib import Path

import pytest

from shuzha.server.attack_page import LAYERS, NotRegistered, attacks_page, read_attacks

WHOLE = '@pytest.mark.attack(what="a", route="b", layer="gate", control="c")\n'


def read(folder: Path, decorators: str) -> tuple[str, ...]:
    (folder / "test_one.py").write_text(f"{decorators}def test_it(): ...\n")
    return tuple(one.what for one in read_attacks(folder))


def test_every_attack_of_the_suite_names_layer_and_control() -> None:
    attacks, page = read_attacks(), attacks_page()
    assert len(attacks) > 60
    assert {one.layer for one in attacks} == set(LAYERS), "a layer that refuses nothing is no layer"
    assert all(f"`{one.test}`" in page for one in attacks)


def test_marker_is_read_whole(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE + WHOLE) == ("a", "a")
    assert read(tmp_path, "@pytest.mark.works\n") == ()


@pytest.mark.parametrize("decorators", [
    "", "@pytest.mark.slow\n", "@pytest.mark.attack()\n", "@pytest.mark.attack\n",
    WHOLE.replace(', control="c"', ""), WHOLE.replace('"c"', '" "'), WHOLE.replace('"gate"', '"luck"'),
    WHOLE.replace('"c"', "text"), WHOLE.replace('"c"', '"c", more="d"'), WHOLE.replace('"c"', '"c | d"'),
])  # fmt: skip
def test_attack_without_layer_or_control_is_refused(tmp_path: Path, decorators: str) -> None:
    with pytest.raises(NotRegistered, match="test_it"):
        read(tmp_path, decorators)
