"""Prompts of any length, and text encoders that end before their last layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lapel.adapters.export import save_adapter
from lapel.adapters.inject import inject
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.wear import wear
from lapel.base.base import Base
from lapel.base.load import load_base, reload_encoders
from lapel.base.prompts import encode_windows, windows_of
from lapel.base.settings import BaseSettings
from lapel.errors import UserError


def windows(base: Base, *prompts: str, count: int) -> dict[str, torch.Tensor]:
    return encode_windows(base.tokenizers, base.text_encoders, prompts, count)


@pytest.mark.parametrize("name", ["tiny", "sdxl"])
def test_one_window_is_what_the_pipeline_encodes(name: str, request: pytest.FixtureRequest) -> None:
    base: Base = request.getfixturevalue(name)
    captions = ["a red shirt", "blue trousers on a chair, front view"]
    for key, value in base.encode_text(captions).items():
        torch.testing.assert_close(windows(base, *captions, count=1)[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tiny", "sdxl"])
def test_windows_stand_side_by_side(name: str, request: pytest.FixtureRequest) -> None:
    base: Base = request.getfixturevalue(name)
    words = "a " * 75
    long = windows(base, words + "red shirt", count=2)
    assert long["prompt_embeds"].shape[1] == 154
    parts = [base.encode_text([words]), base.encode_text(["red shirt"])]
    torch.testing.assert_close(long["prompt_embeds"], torch.cat([part["prompt_embeds"] for part in parts], dim=1))
    if name == "sdxl":
        torch.testing.assert_close(long["pooled_prompt_embeds"], parts[0]["pooled_prompt_embeds"])
    short = windows(base, "red shirt", count=2)["prompt_embeds"]
    torch.testing.assert_close(short[:, 77:], base.encode_text([""])["prompt_embeds"])
    with pytest.raises(ValueError, match="more than 1 windows"):
        windows(base, words + "red shirt", count=1)


def test_windows_break_at_a_near_comma(tiny: Base) -> None:
    tokenizer: Any = tiny.tokenizers[0]
    assert [len(part) for part in windows_of(tokenizer, "")] == [0]
    assert [len(part) for part in windows_of(tokenizer, "a " * 75)] == [75]
    assert [len(part) for part in windows_of(tokenizer, "a " * 160)] == [75, 75, 10]
    assert [len(part) for part in windows_of(tokenizer, "a " * 60 + ", " + "a " * 40)] == [61, 40]
    assert [len(part) for part in windows_of(tokenizer, "a " * 40 + ", " + "a " * 60)] == [75, 26]


@torch.no_grad()
def skipping(base: Base, captions: list[str], skip: int) -> torch.Tensor:
    """What WebUI computes: the hidden state that many from the end, normed."""
    encoder = base.text_encoders[0]
    output = encoder(base.tokenize(captions)[0][:, 0], output_hidden_states=True)
    if skip == 1:
        return output.last_hidden_state
    return getattr(encoder, "text_model", encoder).final_layer_norm(output.hidden_states[-skip])


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_clip_skip_counts_as_webui_counts(tiny: Base, skip: int) -> None:
    """The hidden state `skip` from the end, then the final norm."""
    captions = ["a red shirt"]
    expected = skipping(tiny, captions, skip)
    base = load_base(BaseSettings(precision="fp32", clip_skip=skip))
    torch.testing.assert_close(base.encode_text(captions)["prompt_embeds"], expected)
    stock, _ = base.pipeline().encode_prompt(captions, "cpu", 1, False)
    torch.testing.assert_close(stock, expected)
    base.release_encoders()
    reload_encoders(base, BaseSettings(precision="fp32", clip_skip=skip))
    torch.testing.assert_close(base.encode_text(captions)["prompt_embeds"], expected)


def test_clip_skip_has_its_bounds(small_sdxl: Path) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        BaseSettings(clip_skip=0)
    with pytest.raises(UserError, match="takes 1 to 4"):
        load_base(BaseSettings(clip_skip=5))
    with pytest.raises(UserError, match="takes 1 to 2"):
        load_base(BaseSettings(base=str(small_sdxl), clip_skip=3))
    one, two = (load_base(BaseSettings(base=str(small_sdxl), precision="fp32", clip_skip=skip)) for skip in (1, 2))
    texts = [base.encode_text(["a shirt"])["prompt_embeds"] for base in (one, two)]
    torch.testing.assert_close(*texts, rtol=0, atol=0)


def test_an_adapter_with_the_skipped_layers_is_worn_without_them(tmp_path: Path) -> None:
    whole = load_base(BaseSettings(precision="fp32"))
    generator = torch.Generator().manual_seed(1)
    for parameter in inject(whole, AdapterSettings(rank=2, blocks=["unet", "text_encoder"])):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    files = save_adapter(whole, tmp_path, "tee", {}, torch.float32)
    expected = skipping(whole, ["a red shirt"], 2)
    for path in files:
        pipeline = load_base(BaseSettings(precision="fp32", clip_skip=2)).pipeline()
        wear(pipeline, [(path, 1.0)])
        found, _ = pipeline.encode_prompt(["a red shirt"], "cpu", 1, False)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_was_learned_at_clip_skip_2_says_so(tmp_path: Path) -> None:
    from safetensors import safe_open

    base = load_base(BaseSettings(precision="fp32", clip_skip=2))
    inject(base, AdapterSettings(rank=2, blocks=["unet", "text_encoder"]))
    path = save_adapter(base, tmp_path, "tee", {"ss_clip_skip": "1"})[0]
    with safe_open(path, "pt") as file:
        assert file.metadata()["ss_clip_skip"] == "2"
        assert sum("lora_te_" in key for key in file.keys()) == 3 * 18  # noqa: SIM118
