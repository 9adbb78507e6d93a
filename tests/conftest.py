"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from lapel.quiet import quiet

quiet()

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture
def real_photos() -> Path:
    """Real product photos, kept outside of the project; the test is skipped where they are absent."""
    folder = ROOT.parent / "shared" / "photos"
    if not folder.is_dir():
        pytest.skip("no real product photos at ../shared/photos")
    return folder
