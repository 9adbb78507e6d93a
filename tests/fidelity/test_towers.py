"""Towers of other makers, small and of random weights: what they see and read is what the libraries' own paths give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from transformers import (
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from lapel.base.find import TINY_FOLDER
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.fidelity import ImageTower
from lapel.fidelity.judge import Judge
from lapel.fidelity.score import score
from lapel.training.evaluation import judging_tower, measures
from lapel.training.run_settings import ChoiceSettings, RunSettings

SIDE = 28
TEXTS = ["a red t-shirt", "a blue dress, back view", "t-shirt " * 200]
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def pictures(width: int = 50, height: int = 36) -> list[Image.Image]:
    numbers = np.random.default_rng(0).integers(0, 255, (2, height, width, 3), dtype=np.uint8)
    return [Image.fromarray(array) for array in numbers]


def clip(folder: Path) -> CLIPModel:
    torch.manual_seed(0)
    vision = {**SMALL, "intermediate_size": 48, "image_size": SIDE, "patch_size": 14}
    text = {**SMALL, "intermediate_size": 48}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).eval()
    model.save_pretrained(folder)
    CLIPTokenizer.from_pretrained(TINY_FOLDER / "tokenizer").save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return model


def dinov2(folder: Path) -> Dinov2Model:
    torch.manual_seed(0)
    model = Dinov2Model(Dinov2Config(**SMALL, image_size=SIDE, patch_size=14)).eval()
    model.save_pretrained(folder)
    crop = {"height": SIDE, "width": SIDE}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    BitImageProcessor(size={"shortest_edge": 32}, crop_size=crop, **half).save_pretrained(folder)
    return model


def vit(folder: Path) -> ViTForImageClassification:
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SMALL, image_size=SIDE, patch_size=14)).eval()
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return model


def of_open_clip(folder: Path) -> open_clip.CLIP:
    vision = {"image_size": SIDE, "layers": 1, "width": 64, "patch_size": 14, "head_width": 32}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1}
    document = {
        "model_cfg": {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    torch.manual_seed(0)
    model = open_clip.CLIP(**document["model_cfg"])
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return model.eval()


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


@torch.no_grad()
def test_transformers_clip_sees_and_reads_as_its_own_forward_does(tmp_path: Path) -> None:
    model, tower = clip(tmp_path / "clip"), ImageTower(tmp_path / "clip")
    pixels = CLIPImageProcessor.from_pretrained(tmp_path / "clip")(pictures(), return_tensors="pt")
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "clip")
    tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=77, return_tensors="pt")
    theirs = model(**pixels, **tokens)
    assert (tower.side, tower.reads) == (SIDE, True)
    assert tower.scale == pytest.approx(float(model.logit_scale.exp()))
    assert torch.allclose(tower.embed_images(pictures()), theirs.image_embeds, atol=1e-5)
    assert torch.allclose(tower.embed_texts(TEXTS), theirs.text_embeds, atol=1e-5)


@torch.no_grad()
def test_open_clip_sees_and_reads_as_its_own_functions_do(tmp_path: Path) -> None:
    model, tower = of_open_clip(tmp_path / "clip"), ImageTower(tmp_path / "clip")
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in pictures(SIDE, SIDE)])).permute(0, 3, 1, 2) / 255
    theirs = model.encode_image((pixels - 0.5) / 0.25, normalize=True)
    assert (tower.side, tower.reads) == (SIDE, True)
    assert torch.allclose(tower.embed_images(pictures(SIDE, SIDE)), theirs, atol=1e-5)
    tokens = open_clip.tokenize(TEXTS, context_length=16)
    assert torch.allclose(tower.embed_texts(TEXTS), model.encode_text(tokens, normalize=True), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("make", [dinov2, vit])
def test_a_model_without_words_sees_all_of_a_square_by_its_first_token(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    """DINOv2's own processor would cut a rim off; a classifier has no pooler, and its head is not wanted."""
    model, tower = make(tmp_path / "model"), ImageTower(tmp_path / "model")
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in pictures(SIDE, SIDE)])).permute(0, 3, 1, 2) / 255
    hidden = model.base_model((pixels - 0.5) / 0.5).last_hidden_state
    assert (tower.side, tower.reads) == (SIDE, False)
    assert torch.allclose(tower.embed_images(pictures(SIDE, SIDE)), unit(hidden[:, 0]), atol=1e-5)
    with pytest.raises(ValueError, match="knows no words"):
        tower.embed_texts(TEXTS)
    with pytest.raises(UserError, match=r"model: knows no words; give --reader"):
        ImageTower(tmp_path / "model", flag="--reader", wants_text=True)


def test_without_words_identity_is_measured_and_the_prompt_is_not(tmp_path: Path) -> None:
    dinov2(tmp_path / "dino")
    tower, photos = ImageTower(tmp_path / "dino"), pictures(64, 64)
    known = [{"image": photos[0], "mask": Image.new("L", (64, 64), 255), "mask_trust": 1.0}]
    prompts = ["a dress, front view", "a dress, on a beach"]
    regions = [np.ones((64, 64), bool)] * 2
    by_words = Judge(known, "dress", ImageTower("tiny")).measure(photos, prompts, regions)
    marks = Judge(known, "dress", tower).measure(photos, prompts, regions)
    assert set(by_words) - set(marks) == {"margin"}
    assert set(marks) == {"colour", "structure", "identity"}
    assert marks["identity"][0] == pytest.approx(1.0, abs=1e-5)
    assert marks["identity"][1] < 0.9999
    assert 0 < score(marks, marks, 2).value <= 1
    assert measures(tower) == f"colour, structure and identity ({tower.name} reads no prompts)"
    assert "--tower openai/clip-vit-large-patch14" in measures(None)


def test_who_judges_a_run(tmp_path: Path) -> None:
    """The base's own towers where nothing is named; nobody where nothing is measured."""

    def judges(base: str = "tiny", every: int = 100, **choice: Any) -> ImageTower | None:
        parts = {"base": BaseSettings(base=base), "run": RunSettings(sample_every=every)}
        return judging_tower(SimpleNamespace(**parts, choice=ChoiceSettings(**choice)), torch.device("cpu"))  # type: ignore[arg-type]

    own, shipped = judges(), judges(base="tiny-inpainting")
    assert own is not None
    assert shipped is not None
    assert own.name == shipped.name == str(TINY_FOLDER)
    dinov2(tmp_path / "dino")
    named = judges(tower=str(tmp_path / "dino"))
    assert named is not None
    assert named.name == str(tmp_path / "dino")
    assert judges(base="somebody/a-base") is None
    assert judges(keep="last", tower=str(tmp_path / "dino")) is None
    assert judges(every=0, tower=str(tmp_path / "dino")) is None


def test_a_fingerprint_is_of_name_and_weights(tmp_path: Path) -> None:
    model = dinov2(tmp_path / "dino")
    before = ImageTower(tmp_path / "dino").fingerprint
    assert ImageTower(tmp_path / "dino").fingerprint == before
    model.layernorm.bias.data += 1
    model.save_pretrained(tmp_path / "dino")
    assert ImageTower(tmp_path / "dino").fingerprint != before


def _lacking(folder: Path) -> None:
    """A CLIP whose file holds the image tower alone."""
    model = clip(folder)
    model.save_pretrained(folder, state_dict={k: v for k, v in model.state_dict().items() if "text" not in k})


def _truncated(folder: Path) -> None:
    dinov2(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: None, "not a hub id"),
    "empty": (lambda folder: folder.mkdir(), "no image tower"),
    "an image tower alone": (lambda folder: shutil.copytree(TINY_FOLDER / "image_encoder", folder), "clip_vision"),
    "a base without": (lambda folder: (folder / "image_encoder").mkdir(parents=True), "text_projection"),
    "another kind": (lambda folder: shutil.copytree(TINY_FOLDER / "text_encoder", folder), "clip_text_model"),
    "lacking": (_lacking, "lacks text"),
    "truncated": (_truncated, "cannot be loaded"),
    "open_clip's, truncated": (
        lambda folder: (of_open_clip(folder), (folder / "open_clip_pytorch_model.bin").write_bytes(b"PK")),
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_tower_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, says = BROKEN[name]
    make(Path("the model"))
    with pytest.raises(UserError) as caught:
        ImageTower("the model")
    (line,) = caught.value.lines
    assert line.startswith("the model")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["lapel-tests/not-there", "hf-hub:lapel-tests/not-there"])
def test_a_hub_id_that_is_not_to_be_had_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        ImageTower(name, flag="--reader")
    (line,) = caught.value.lines
    assert line.startswith(f"{name}: cannot be loaded as an image tower (")
    assert "--reader takes" in line
