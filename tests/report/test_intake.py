"""What a run saw of its garment, kept in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.photos import GarmentFolder
from lapel.report import keep_photos
from lapel.report.intake import kept_photos


def test_photos_are_kept_as_the_loss_counts_them(garment: Callable[..., GarmentFolder], tmp_path: Path) -> None:
    folder = keep_photos(tmp_path, garment())
    with Image.open(folder / "01.seen.webp") as seen:
        assert seen.mode == "RGBA"
        assert (seen.getpixel((0, 0))[3], seen.getpixel((48, 64))[3]) == (0, 255)
    kept = kept_photos(tmp_path)
    assert kept is not None
    assert kept["count"] == 2
    assert kept["findings"][0]["do"] == "take it again"
    (folder / "02.webp").unlink()
    with pytest.raises(UserError, match=r"garment\.json: cannot be read"):
        kept_photos(tmp_path)
