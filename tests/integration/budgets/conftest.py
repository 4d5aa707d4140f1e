from __future__ import annotations

from pathlib import Path

import pytest

from tests.budgets_kit import BudgetCity


@pytest.fixture
def city(tmp_path: Path) -> BudgetCity:
    return BudgetCity(tmp_path)
