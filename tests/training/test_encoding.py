"""Encoding happens once, is never stale, and stops at what is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.prompts import encode_windows
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.photos import PhotoSettings
from lapel.photos.backdrops import backdrops_for, put_on
from lapel.training.data import Example
from lapel.training.encoding import encode_photos, hidings, surroundings, text_of


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(BaseSettings(precision="fp32"))


def encoded(base: Base, rows: Dataset, cache: Path, flip: bool = False, **settings: Any) -> list[Example]:
    """As a training encodes them, by default on no backdrop."""
    return encode_photos(base, rows, cache, PhotoSettings(cache, flip=flip, **{"backdrops": 0, **settings}))


def photos(value: int = 0, mask: int = 255, movable: bool = True) -> Dataset:
    pixels = np.random.default_rng(value).integers(0, 255, (32, 64, 3), dtype=np.uint8)
    half = np.zeros((32, 64), np.uint8)
    half[:, :32] = mask
    row = {"file": "front.jpg", "caption": "an ohwx boot of ours", "composed": "a photo of ohwx boot"}
    row |= {"content": "0123456789abcdef", "colours": ["red #d02026 0.90"], "movable": movable, "figure": None}
    return Dataset.from_list([{**row, "image": Image.fromarray(pixels), "mask": Image.fromarray(half)}])


def files(folder: Path) -> int:
    return len(list(folder.glob("encoded-*.arrow")))


def test_latents_and_masks_are_those_of_the_base_and_the_photo(base: Base, tmp_path: Path) -> None:
    rows = photos()
    (example,) = encoded(base, rows, tmp_path)
    pixels = torch.from_numpy(np.array(rows[0]["image"])).permute(2, 0, 1)[None] / 127.5 - 1
    mean, std = base.encode_images(pixels)
    torch.testing.assert_close(example.mean, mean[0])
    torch.testing.assert_close(example.std, std[0])
    assert example.mask.shape == (1, 32 // base.latent_stride, 64 // base.latent_stride)
    assert example.mask.mean() == 0.5
    assert (example.file, example.caption) == ("front.jpg", "an ohwx boot of ours")


def test_a_garment_is_hidden_wholly_closely_loosely_and_in_its_box() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 30] = 1
    mask[..., 20, 30:44] = 0.1
    everything, close, loose, box = (way[0] for way in hidings(mask, 4))
    assert everything.all()
    assert close.nonzero().tolist() == [[5, 7], [5, 8], [5, 9], [5, 10], [6, 7], [7, 7], [8, 7], [9, 7]]
    assert box.sum() == 5 * 4
    assert loose[3:12, 5:10].all()
    assert loose[:, :5].sum() == 0
    assert (hidings(torch.zeros(1, 1, 64, 64), 4)[1:] == 0).all()


def test_an_inpainting_base_is_shown_what_is_not_hidden(base: Base) -> None:
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:32, 24:40] = 1
    around = surroundings(base, pixels, mask)
    assert around.shape == (4, 5, 16, 16)
    pixels[..., 16:32, 24:40] = 0
    torch.testing.assert_close(around[1, 1:], base.encode_images(pixels)[0][0])
    torch.testing.assert_close(around[0, 1:], base.encode_images(torch.zeros_like(pixels))[0][0])


def test_the_cache_serves_the_same_and_only_the_same(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoded(base, photos(), tmp_path)[0]
    encoded(base, photos(value=1), tmp_path)
    encoded(base, photos(mask=128), tmp_path)
    assert files(tmp_path) == 3
    with monkeypatch.context() as patch:
        patch.setattr(base, "encode_images", lambda pixels: pytest.fail("encoded again"))
        assert torch.equal(encoded(base, photos(), tmp_path)[0].mean, first.mean)
    weight = next(base.vae.parameters())
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(1.01)
    assert not torch.equal(encoded(base, photos(), tmp_path)[0].mean, first.mean)
    with torch.no_grad():
        weight.copy_(kept)


def test_flip_adds_the_mirrored_photo(base: Base, tmp_path: Path) -> None:
    as_is, mirrored = encoded(base, photos(), tmp_path, flip=True)
    assert torch.equal(as_is.mask.flip(-1), mirrored.mask)
    assert not torch.equal(as_is.mean, mirrored.mean)


def test_a_photo_is_followed_by_itself_on_its_backdrops(base: Base, tmp_path: Path) -> None:
    rows = photos()
    settings = PhotoSettings(tmp_path, backdrops=2, backdrop_kinds=["plain"])
    as_is, *on = encoded(base, rows, tmp_path, backdrops=2, backdrop_kinds=["plain"])
    assert torch.equal(as_is.mean, encoded(base, rows, tmp_path)[0].mean)
    for example, backdrop in zip(on, backdrops_for(rows[0], settings, []), strict=True):
        image = put_on(rows[0]["image"], rows[0]["mask"], backdrop.paint(64, 32))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1
        torch.testing.assert_close(example.mean, base.encode_images(pixels)[0][0])
        assert torch.equal(example.mask, as_is.mask)
        assert example.caption == f"a photo of ohwx boot, on a {backdrop.name} background"
    assert [example.on_backdrop for example in (as_is, *on)] == [False, True, True]
    assert files(tmp_path) == 2
    encoded(base, rows, tmp_path, backdrops=2, backdrop_kinds=["gradient"])
    assert files(tmp_path) == 3
    assert len(encoded(base, rows, tmp_path, flip=True, backdrops=2)) == 6
    assert len(encoded(base, photos(movable=False), tmp_path, backdrops=2)) == 1


def test_a_latent_that_is_not_finite_names_its_photo(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = base.encode_images

    def overflowing(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = encode(pixels)
        return mean * float("inf"), std

    monkeypatch.setattr(base, "encode_images", overflowing)
    with pytest.raises(UserError, match=r"front.jpg: its latent is not finite .* --precision fp32"):
        encoded(base, photos(), tmp_path)


def test_an_empty_mask_names_its_photo(base: Base, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"front.jpg: its mask is empty"):
        encoded(base, photos(mask=0), tmp_path)


def test_cached_text_is_live_text_without_the_encoders_gradients(base: Base, tmp_path: Path) -> None:
    captions, rows = ["a red dress", "a hat", ""], torch.tensor([2, 0, 0])
    cached = text_of(base, captions, True, tmp_path)(rows)
    live = text_of(base, captions, False, tmp_path)(rows)
    assert cached.keys() == live.keys() == {"prompt_embeds"}
    torch.testing.assert_close(cached["prompt_embeds"], live["prompt_embeds"], rtol=1e-4, atol=1e-5)
    assert torch.equal(cached["prompt_embeds"][1], cached["prompt_embeds"][2])


def test_long_captions_get_the_windows_that_a_prompt_gets(base: Base, tmp_path: Path) -> None:
    """Every caption of the run the same number, the dropped one too; cached, live and drawn alike."""
    long = "a red dress, " + "a " * 90
    captions = [long, "a hat", ""]
    cached = text_of(base, captions, True, tmp_path)(torch.arange(3))["prompt_embeds"]
    drawn = encode_windows(base.tokenizers, base.text_encoders, captions, 2)["prompt_embeds"]
    assert cached.shape == (3, 154, base.unet.config.cross_attention_dim)
    torch.testing.assert_close(cached, drawn, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(text_of(base, captions, False, tmp_path)(torch.arange(3))["prompt_embeds"], drawn)
    assert not torch.allclose(cached[0, 77:], cached[1, 77:])  # the end of the caption is there
    short = text_of(base, captions[1:], True, tmp_path)(torch.arange(2))["prompt_embeds"]
    assert short.shape == (2, 77, cached.shape[-1])
    latents, timestep = torch.zeros(1, 4, 8, 8), torch.tensor([500])
    predicted = base.unet(latents, timestep, **base.unet_conditions({"prompt_embeds": cached[:1]})).sample
    cut = base.unet(latents, timestep, **base.unet_conditions({"prompt_embeds": cached[:1, :77]})).sample
    assert not torch.allclose(predicted, cut)


def test_text_encoders_learn_from_the_end_of_a_long_caption(base: Base, tmp_path: Path) -> None:
    weight = base.text_encoders[0].get_input_embeddings().weight
    weight.requires_grad_(True)
    try:
        embeds = text_of(base, ["a " * 100], False, tmp_path)(torch.tensor([0]))["prompt_embeds"]
        (gradient,) = torch.autograd.grad(embeds[:, 77:].sum(), weight)
        assert gradient.any()
    finally:
        weight.requires_grad_(False)
