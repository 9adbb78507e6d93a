"""Run folders and garments for the pages, with names that would break a page that trusts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageDraw

from lapel.generation import PictureSettings, save_image
from lapel.photos import GarmentFolder
from lapel.photos.checks import Finding
from lapel.report import keep_photos, write_card

HOSTILE = '"\'><script>window.owned = 1</script><img src=x onerror="window.owned = 1">'

CARD: dict[str, Any] = {
    "name": "red-tee",
    "trigger": "sks",
    "class_word": "t-shirt",
    "base": "someone/stable-diffusion-v1-5",
    "base_hash": "6ce0161689b3853a",
    "base_licence": "creativeml-openrail-m",
    "family": "sd15",
    "clip_skip": 1,
    "views": ["front", "worn"],
    "photos": 2,
    "steps": 400,
    "seconds": {"imports": 5.25, "step": 103.1},
    "files": ["red-tee.safetensors"],
}
SCORES: dict[str, Any] = {
    "scores": {"score": 0.81, "score_low": 0.78, "score_high": 0.84, "fidelity": 0.83, "colour": 3.7},
    "base_scores": {"score": 0.42, "fidelity": 0.31, "colour": 14.5},
    "oracle_scores": {"fidelity": 0.95, "colour": 1.2},
}


def drawing(number: int, size: tuple[int, int] = (96, 128)) -> tuple[Image.Image, Image.Image]:
    """A photo and its mask."""
    photo, mask = Image.new("RGB", size, (220, 220, 60 * number)), Image.new("L", size, 0)
    for image, ink in ((photo, (180, 20, 30)), (mask, 255)):
        ImageDraw.Draw(image).ellipse((20, 20, size[0] - 20, size[1] - 20), fill=ink)
    return photo, mask


def garment(text: str = "") -> GarmentFolder:
    """Two photos, with `text` in every place where a user's words can stand."""
    rows = []
    for number in range(2):
        image, mask = drawing(number)
        rows.append(
            {
                "file": f"0{number}{text}.jpg",
                "image": image,
                "mask": mask,
                "mask_source": "background",
                "mask_trust": 0.97,
                "view": "front",
                "view_source": "name",
                "caption": f"a photo of sks t-shirt {text}",
                "width": image.width,
                "height": image.height,
                "share": 0.37,
                "box": [0, 0, image.width, image.height],
            }
        )
    finding = Finding("warning", f"00{text}.jpg", f"is blurred {text}", "take it again")
    return GarmentFolder(f"tee{text}", f"t-shirt{text}", f"sks{text}", rows, (finding,), {"pattern": f"striped{text}"})


def write_run(folder: Path, text: str = "", finished: bool = True) -> Path:
    """A run of 400 steps with samples, measures and scores; `text` as in `garment`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"garment_dir": f"photos/<tee>{text}", "base": CARD["base"], "kind": "lora", "rank": 16, "steps": 400}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    lines: list[dict[str, Any]] = [
        {"step": step, "loss": 1 / step, "learning_rate": 1e-4} for step in range(10, 401, 10)
    ]
    lines += [
        {"step": step, "score": 0.4 + step / 1000, "score_low": 0.3, "score_high": 0.9, f"colour{text}": 9 - step / 50}
        for step in range(0, 401, 100)
    ]
    (folder / "log.jsonl").write_text("\n".join([*map(json.dumps, lines), '{"step": 500, "lo']), encoding="utf-8")
    for step in range(0, 401, 100):
        for number, prompt in enumerate((f"sks t-shirt {text}", "sks t-shirt, at the beach")):
            path = folder / "samples" / "images" / f"step-{step:06d}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_image(path, drawing(number, (96, 96))[0], PictureSettings(prompt=prompt), number)
    keep_photos(folder, garment(text))
    if finished:
        (folder / "red-tee.safetensors").write_bytes(bytes(2_000_000))
        words = {"name": f"red-tee{text}", "trigger": f"sks{text}", "base": f"{CARD['base']}{text}"} if text else {}
        write_card(folder, {**CARD, **words, "kept_step": 300, **SCORES, "weight": 0.8, "plan": {"peak": text}})
    return folder


@pytest.fixture(scope="session", name="hostile")
def _hostile() -> str:
    """Words that a page must show and not obey."""
    return HOSTILE


@pytest.fixture(name="card")
def _card() -> dict[str, Any]:
    """The facts of a run, without scores."""
    return dict(CARD)


@pytest.fixture(scope="session", name="garment")
def _garment() -> Callable[..., GarmentFolder]:
    return garment


@pytest.fixture(scope="session", name="write_run")
def _write_run() -> Callable[..., Path]:
    return write_run
