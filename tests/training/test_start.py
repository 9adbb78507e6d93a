"""An adapter that starts from a garment encoder sees the garment's photo with every caption, and neither without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from PIL import Image, ImageDraw

from lapel.adapters.encoder import inject_encoder, remove_encoder
from lapel.adapters.ip_adapter import save_encoder
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base
from lapel.training.predict import predictor
from lapel.training.start import Start, start_from


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Base, Start, torch.Tensor]:
    """A base that wears an encoder, what it is shown, and its UNet's output before it wore it."""
    folder = tmp_path_factory.mktemp("start")
    random_base("tiny", folder / "base", seed=0)
    settings = BaseSettings(base=str(folder / "base"), precision="fp32")
    maker = load_base(settings)
    chance = torch.Generator().manual_seed(3)
    for parameter in inject_encoder(maker, "plus", 192):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=chance)
    file, _ = save_encoder(maker, folder, "ip-adapter-plus_test_sd15", {"lapel_image_tower": "tiny"})
    photos = [Image.new("RGB", (64, 64), "white") for _ in range(2)]
    ImageDraw.Draw(photos[1]).rectangle((16, 16, 48, 48), "red")
    rows = {"image": photos, "mask": [Image.new("L", (64, 64), 255)] * 2, "view": ["detail", "front"]}
    base = load_base(settings)
    before = plain(base)
    return base, start_from(file, base, Dataset.from_dict({**rows, "file": ["0.png", "1.png"]})), before


def latents(count: int) -> torch.Tensor:
    return torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1)).repeat(count, 1, 1, 1)


@torch.no_grad()
def plain(base: Base) -> torch.Tensor:
    return base.unet(latents(1), 500, base.encode_text(["a dress"])["prompt_embeds"]).sample


def test_the_encoder_is_frozen_and_shown_a_whole_photo(begun: tuple[Base, Start, torch.Tensor]) -> None:
    base, start, _ = begun
    assert not [name for name, one in base.unet.named_parameters() if one.requires_grad]
    assert start.photo == "1.png"
    assert start.shown.features.shape == (1, 65, 192)
    assert start.facts["encoder"]["photo"] == "1.png"
    assert start.identity["encoder"].startswith(start.hash[:12])


@torch.no_grad()
def test_every_caption_comes_with_the_photo_and_none_with_nothing(begun: tuple[Base, Start, torch.Tensor]) -> None:
    base, start, _ = begun
    text = base.encode_text(["a dress", "a shirt", ""])
    accelerator: Any = SimpleNamespace(autocast=lambda: torch.autocast("cpu", enabled=False))
    bare = predictor(base, lambda rows: {name: one[rows] for name, one in text.items()}, accelerator)
    captions, times = torch.tensor([0, 1, 2]), torch.tensor([500, 500, 500])
    seen = start.predict(bare, named=1)(latents(3), times, captions)
    nothing = start.shown.nothing[None]
    expected = [(0, start.shown.features), (1, nothing), (2, nothing)]
    for number, features in expected:
        one = bare(latents(3)[number : number + 1], times[:1], captions[number : number + 1], features)
        assert torch.allclose(seen[number], one[0], atol=1e-4)
    unseen = start.predict_unseen(bare)(latents(3), times, captions)
    assert torch.allclose(unseen, bare(latents(3), times, captions, nothing.repeat(3, 1, 1)), atol=1e-6)
    assert (seen[0] - bare(latents(3)[:1], times[:1], captions[:1], nothing)[0]).abs().max() > 1e-3


def test_what_is_removed_leaves_the_base_as_it_was(begun: tuple[Base, Start, torch.Tensor]) -> None:
    base, _, before = begun
    remove_encoder(base)
    assert torch.allclose(plain(base), before, atol=1e-5)
