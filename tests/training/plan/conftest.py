"""What the plan's tests share: the trainers as a plan sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "scripts"))  # where the programs find their own modules

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def planned() -> Any:
    """The settings and recipes of every trainer, each with the loss of its own program."""
    from evaluation import planned

    return planned


@pytest.fixture
def make(planned: Any) -> Make:
    """Settings of a trainer's run, with changes by the names of their fields."""
    from evaluation.memory_table import with_changes

    def settings(trainer: str = "lora", **changes: Any) -> Any:
        (plain,) = planned.settings_of(trainer)
        return with_changes(plain, **changes)

    return settings
