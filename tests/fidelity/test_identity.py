"""The image tower: geometry on random weights; meaning is the tiny base's own test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lapel.base.shapes import random_base
from lapel.errors import UserError
from lapel.fidelity import ImageTower


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    random_base("tiny", folder)
    generator = torch.Generator().manual_seed(0)
    projection = torch.randn(192, 192, generator=generator)
    save_file(
        {"text_projection.weight": projection, "logit_scale": torch.tensor(2.0)}, folder / "text_projection.safetensors"
    )
    return folder


def _colours(*colours: tuple[int, int, int]) -> list[Image.Image]:
    return [Image.new("RGB", (120, 96), colour) for colour in colours]


def test_embeddings_are_unit_vectors(folder: Path) -> None:
    tower = ImageTower(folder)
    images = tower.embed_images(_colours((255, 0, 0), (0, 0, 255)))
    texts = tower.embed_texts(["a red t-shirt", "a blue dress", "t-shirt " * 200])
    assert images.shape == (2, 192)
    assert texts.shape == (3, 192)
    assert torch.cat([images, texts]).norm(dim=1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)


def test_similarity_is_one_to_itself_only(folder: Path) -> None:
    images = _colours((255, 0, 0), (0, 0, 255))
    matrix = ImageTower(folder).similarity(images, images)
    assert matrix.diagonal().tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert matrix[0, 1] < 0.9999


def test_zero_shot_takes_the_nearest_of_each_images_own_texts(folder: Path) -> None:
    tower = ImageTower(folder)
    images = _colours((255, 0, 0), (0, 0, 255), (0, 200, 0))
    texts = [f"a {colour} {kind}" for colour in ("red", "blue", "green") for kind in ("dress", "hoodie")]
    scores = tower.embed_images(images) @ tower.embed_texts(texts).T
    assert tower.zero_shot(images, [texts, texts[2:], texts[::-1]]) == [
        int(scores[0].argmax()),
        int(scores[1, 2:].argmax()),
        int(scores[2].flip(0).argmax()),
    ]
    with pytest.raises(ValueError, match="3 images"):
        tower.zero_shot(images, [texts])


def test_text_vectors_are_clips_own(folder: Path) -> None:
    """The projection of the pooled text, as transformers' CLIPTextModelWithProjection computes it."""
    from safetensors.torch import load_file
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    model = CLIPTextModelWithProjection(text.config)
    # Whether CLIPTextModel puts `text_model.` before its names is a matter of transformers' version.
    model.text_model.load_state_dict({k.removeprefix("text_model."): v for k, v in text.state_dict().items()})
    model.text_projection.weight.data = load_file(folder / "text_projection.safetensors")["text_projection.weight"]
    tokens = tokenizer(["a red t-shirt"], padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
    expected = torch.nn.functional.normalize(model.eval()(tokens).text_embeds.detach(), dim=-1)
    torch.testing.assert_close(ImageTower(folder).embed_texts(["a red t-shirt"]), expected, rtol=1e-5, atol=1e-5)


def test_a_base_without_towers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image tower"):
        ImageTower(tmp_path)
