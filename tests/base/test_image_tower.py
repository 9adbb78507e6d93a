"""Image towers of both libraries, by name: what they see is what the libraries' own paths give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from lapel.base.find import TINY_FOLDER
from lapel.base.image_tower import load_tower, tower_name
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError

VISION = {"image_size": 32, "layers": 3, "width": 64, "patch_size": 8, "head_width": 32}
TEXT = {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1}


def pictures(side: int = 96) -> list[Image.Image]:
    numbers = np.random.default_rng(0).integers(0, 255, (2, side, side, 3), dtype=np.uint8)
    return [Image.fromarray(array) for array in numbers]


def test_tinys_own_is_seen_as_diffusers_pipeline_sees_it() -> None:
    tower = load_tower("tiny")
    encoder = CLIPVisionModelWithProjection.from_pretrained(TINY_FOLDER / "image_encoder", dtype=torch.float32)
    pipeline = StableDiffusionPipeline.from_pretrained(TINY_FOLDER, safety_checker=None, torch_dtype=torch.float32)
    pipeline.image_encoder = encoder.eval()
    pipeline.feature_extractor = CLIPImageProcessor.from_pretrained(TINY_FOLDER / "feature_extractor")
    for tokens in (False, True):
        theirs, nothing = pipeline.encode_image(pictures(), "cpu", 1, output_hidden_states=tokens)
        assert torch.allclose(tower.features(pictures(), tokens), theirs, atol=1e-4)
        assert torch.allclose(tower.nothing(tokens), nothing[0], atol=1e-5)


def open_clip_folder(folder: Path, vision: dict[str, object], text: dict[str, object]) -> open_clip.CLIP:
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic"}
    folder.mkdir(parents=True)
    document = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    torch.manual_seed(0)
    model = open_clip.CLIP(24, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text))  # type: ignore[arg-type]
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return model.eval()


def test_an_open_clip_folder_is_seen_as_open_clip_sees_it(tmp_path: Path) -> None:
    model = open_clip_folder(tmp_path / "clip", VISION, TEXT)
    tower = load_tower(str(tmp_path / "clip"))
    assert (tower.side, tower.mean) == (32, (0.5, 0.5, 0.5))
    images = pictures(32)
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        theirs = model.encode_image((pixels - 0.5) / 0.25)
    assert torch.allclose(tower.features(images, tokens=False), theirs, atol=1e-5)
    assert tower.features(images, tokens=True).shape == (2, 1 + 16, 64)
    assert tower.nothing(tokens=True).shape == (17, 64)
    assert torch.equal(tower.nothing(tokens=False), torch.zeros(24))


def test_tokens_are_those_of_the_last_layer_but_one(tmp_path: Path) -> None:
    """Run through the last layer, they give the pooled embedding."""
    model = open_clip_folder(tmp_path / "clip", VISION, TEXT)
    tower = load_tower(str(tmp_path / "clip"))
    tokens = tower.features(pictures(32), tokens=True)
    with torch.no_grad():
        last = model.visual.ln_post(model.visual.transformer.resblocks[-1](tokens))
        pooled = last[:, 0] @ model.visual.proj
    assert torch.allclose(pooled, tower.features(pictures(32), tokens=False), atol=1e-4)


def test_a_base_says_which_tower_is_meant(tmp_path: Path) -> None:
    base = load_base(BaseSettings(precision="fp32"))
    assert tower_name(base) == "tiny"
    base.name = str(TINY_FOLDER)
    assert tower_name(base) == str(TINY_FOLDER)
    base.weight_files = [tmp_path / "unet" / "weights.safetensors"]
    assert tower_name(base).startswith("laion/CLIP-ViT-H-14")


def test_what_is_no_tower_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), str(tmp_path / "gone.safetensors"), str(TINY_FOLDER / "text_encoder")):
        with pytest.raises(UserError) as caught:
            load_tower(name)
        (line,) = caught.value.lines
        assert name in line
