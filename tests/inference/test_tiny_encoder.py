"""The garment encoder that lapel ships for `tiny` dresses a person in garments that it has never seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.adapters.card import read_encoder_facts
from lapel.adapters.ip_adapter import read_encoder, wear_encoder
from lapel.base.find import TINY_ENCODER
from lapel.base.image_tower import load_tower
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.fidelity import colour_difference, dominant_colours, garment_region
from lapel.generation import PictureSettings, generate_together
from lapel.generation.shown import see_photos

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = [ROOT / "datasets/samples" / name for name in ("sun-hoodie/01-front.jpg", "striped-t-shirt/01-front.jpg")]


def test_it_is_small_and_tells_what_it_is_for() -> None:
    file = read_encoder(Path("tiny"))
    assert TINY_ENCODER.stat().st_size < 15e6
    assert (file.path, file.form, file.metadata["lapel_image_tower"]) == (TINY_ENCODER, "plus", "tiny")
    assert read_encoder_facts(Path("tiny"))["base_hash"] == load_base(BaseSettings(base="tiny")).hash


def test_a_person_wears_what_the_photo_shows_and_not_what_another_shows() -> None:
    """Two garments, one prompt: each image is nearer in colour to its own garment's photo than to the other's."""
    base = load_base(BaseSettings(base="tiny"))
    tower, pipeline = load_tower("tiny", base), base.pipeline()
    wear_encoder(pipeline, read_encoder(Path("tiny")), 1.0)
    shown = [see_photos(tower, [photo], True) for photo in PHOTOS]
    prompt = "a photo of a person wearing a t-shirt, in a white studio"
    picture = PictureSettings(prompt=prompt, steps=12, seeds=[0, 1], batch=4)
    drawn = generate_together(pipeline, [picture] * 2, photos=shown)
    photos = [np.asarray(Image.open(photo).convert("RGB").resize((96, 96))) for photo in PHOTOS]
    true = [dominant_colours([photo], [garment_region(photo, "t-shirt", "front")]) for photo in photos]
    for number, images in enumerate(drawn):
        arrays = [np.asarray(image) for image in images]
        found = dominant_colours(arrays, [garment_region(array, "t-shirt", "worn") for array in arrays])
        own, other = (colour_difference(found, true[which]).mean for which in (number, 1 - number))
        assert own < 0.7 * other, (number, own, other)


@pytest.mark.slow
def test_generate_knows_it_by_its_name(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "inference/generate.py"), "--encoder", "tiny", "--steps", "4"]
    command += ["--garment_photo", str(PHOTOS[0]), "--output_dir", str(tmp_path)]
    command += ["--prompt", "a photo of a person wearing a hoodie, at the beach"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "0001-0.png") as image:
        assert "Garment encoder: tiny 1 of 01-front.jpg" in image.text["parameters"]
