"""Textual inversion of the trigger: the vectors learn, nothing else does, and their file gives them back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from lapel.base.base import Base
from lapel.base.embeddings import rows_of
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.training.data import Batches, Example
from lapel.training.inversion import kept_word, learn_word
from lapel.training.objective import Objective
from lapel.training.run_settings import RunSettings
from lapel.training.settings import InversionSettings, ObjectiveSettings, OptimizerSettings

WORD = "emb-red-dress"


def batches_of(base: Base) -> Batches:
    shape = (4, 8, 8)
    chance = torch.Generator().manual_seed(0)
    latents = [torch.randn(shape, generator=chance) for _ in range(2)]
    captions = (f"a photo of {WORD} dress", f"a person wearing {WORD} dress")
    examples = [
        Example(f"{n}.png", caption, latent, torch.zeros(shape), torch.ones(1, 8, 8))
        for n, (caption, latent) in enumerate(zip(captions, latents, strict=True))
    ]
    return Batches(examples, seed=0, batch_size=2, timesteps=1000)


def learn(base: Base, folder: Path, trigger: str = WORD, **changes: Any) -> Any:
    run = RunSettings(resume=changes.pop("resume", False))
    inversion = InversionSettings(inversion_steps=3, **changes)
    settings = SimpleNamespace(
        base=BaseSettings(), inversion=inversion, run=run, optimizer=OptimizerSettings(), choice=None
    )
    garment = SimpleNamespace(trigger=trigger, class_word="dress")
    objective = Objective(base.scheduler, ObjectiveSettings())
    learn_word(settings, base, objective, garment, batches_of(base), Accelerator(cpu=True), folder, folder)
    return settings


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_vectors_learn_and_their_file_teaches_another_base_the_same_word(
    family: str, small_sdxl: Path, tmp_path: Path
) -> None:
    asked = BaseSettings(base="tiny" if family == "sd15" else str(small_sdxl), precision="fp32")
    base, untouched = load_base(asked), load_base(asked)
    settings = learn(base, tmp_path)
    file = tmp_path / f"{WORD}.safetensors"
    assert settings.base.embedding == [file]
    names = {"clip_l", "clip_g"} if family == "sdxl" else {WORD}
    assert load_file(file).keys() == names
    for encoder, before, tokenizer in zip(base.text_encoders, untouched.text_encoders, base.tokenizers, strict=True):
        was = before.get_input_embeddings().weight
        assert torch.equal(encoder.get_input_embeddings().weight[: len(was)], was)
        assert len(rows_of(tokenizer, WORD)) == 2
    assert all(torch.equal(*pair) for pair in zip(base.unet.parameters(), untouched.unet.parameters(), strict=True))
    asked.embedding = [file]
    other = load_base(asked)
    assert other.embeddings == base.embeddings
    prompt = [f"a photo of {WORD} dress"]
    ours, theirs = base.encode_text(prompt), other.encode_text(prompt)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_more_steps_and_a_rate_move_the_vectors(tmp_path: Path) -> None:
    files = []
    for number, rate in enumerate((1e-9, 1e-2)):
        folder = tmp_path / str(number)
        learn(load_base(BaseSettings(precision="fp32")), folder, inversion_learning_rate=rate, inversion_vectors=3)
        files.append(load_file(folder / f"{WORD}.safetensors")[WORD])
    assert files[0].shape == (3, 192)
    assert 0.01 < (files[0] - files[1]).abs().max() < 0.031  # Adam moves by about the rate a step


def test_a_run_that_resumes_reads_what_it_learned(tmp_path: Path) -> None:
    base = load_base(BaseSettings(precision="fp32"))
    learn(base, tmp_path)
    written = (tmp_path / f"{WORD}.safetensors").stat().st_mtime_ns
    again = load_base(BaseSettings(precision="fp32"))
    learn(again, tmp_path, resume=True)
    assert (tmp_path / f"{WORD}.safetensors").stat().st_mtime_ns == written
    assert again.embeddings == base.embeddings


def test_a_text_encoder_that_learns_on_leaves_its_vectors_in_the_file(tmp_path: Path) -> None:
    base = load_base(BaseSettings(precision="fp32"))
    settings = learn(base, tmp_path)
    (encoder,), (tokenizer,) = base.text_encoders, base.tokenizers
    weight = encoder.get_input_embeddings().weight.requires_grad_(True)
    with torch.no_grad():
        weight[rows_of(tokenizer, WORD)] += 1
    (file,) = kept_word(settings, base, tmp_path)
    assert torch.equal(load_file(file)[WORD], weight[rows_of(tokenizer, WORD)].detach())


@pytest.mark.parametrize(("word", "says"), [("photo", "knows this word already"), ("Two Words", "small letters")])
def test_a_trigger_that_is_no_new_word_is_refused(word: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        learn(load_base(BaseSettings(precision="fp32")), tmp_path, trigger=word)


def test_the_default_trigger_becomes_a_new_word() -> None:
    assert InversionSettings().trigger("ohwx", "ohwx", "Rød kjole 2") == "ohwx"
    assert InversionSettings(inversion_steps=1).trigger("ohwx", "ohwx", "Rød kjole 2") == "emb-r-d-kjole-2"
    assert InversionSettings(inversion_steps=1).trigger("sks", "ohwx", "x") == "sks"
