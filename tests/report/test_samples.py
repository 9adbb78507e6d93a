"""Samples by step, few and small enough for a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lapel.report.samples import evenly, sample_sheet


@given(st.lists(st.integers(0, 10**6), unique=True).map(sorted), st.integers(2, 20), st.integers(0, 200))
def test_steps_are_thinned_between_their_ends(steps: list[int], most: int, place: int) -> None:
    kept = steps[place % len(steps)] if steps else None
    shown = evenly(steps, most, kept)
    assert shown == sorted(set(shown))
    assert len(shown) == min(len(steps), most)
    if most > 2 and steps:
        assert {steps[0], steps[-1], kept} <= set(shown)


def test_samples_of_a_long_run_stay_small(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    noise = Image.effect_noise((700, 700), 60)
    for step in range(0, 2000, 20):
        noise.save(images / f"step-{step:06d}-0.png", compress_level=0)
    sheet = sample_sheet(tmp_path, 1000)
    assert (len(sheet.rows), sheet.sampled) == (12, 100)
    assert 1000 in [row.step for row in sheet.rows]
    with Image.open(io.BytesIO(base64.b64decode(sheet.rows[0].pictures[0].split(",")[1]))) as image:
        assert image.size == (512, 512)
