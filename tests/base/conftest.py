"""Bases that several files read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base(BaseSettings(precision="fp32"))


@pytest.fixture(scope="module")
def sdxl(small_sdxl: Path) -> Base:
    return load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))
