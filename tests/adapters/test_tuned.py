"""What is written of a fine-tuned base: all of it, and the LoRA that is nearest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lapel.adapters import tuned
from lapel.adapters.names import layer_modules
from lapel.adapters.tuned import extract, save_tuned
from lapel.adapters.tuning import frozen_copy, tune
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base
from lapel.errors import UserError


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> BaseSettings:
    folder = tmp_path_factory.mktemp("base") / "base"
    random_base("tiny", folder, seed=0)
    return BaseSettings(base=str(folder), precision="fp32")


def some_layers(base: Base) -> list[torch.nn.Module]:
    return [module for name, module in layer_modules({"unet": base.unet}).items() if "attn2" in name]


@torch.no_grad()
def change_by_rank(base: Base, rank: int) -> None:
    chance = torch.Generator().manual_seed(0)
    for module in some_layers(base):
        rows, columns = module.weight.shape
        up, down = (torch.randn(shape, generator=chance) for shape in ((rows, rank), (rank, columns)))
        module.weight += 0.01 * up @ down


def test_a_change_of_a_rank_is_extracted_whole_at_that_rank(asked: BaseSettings) -> None:
    base, original = load_base(asked), load_base(asked)
    change_by_rank(base, 3)
    whole, half = extract(base, original, 3), extract(base, original, 2)
    assert whole.left_out < 1e-4
    assert 0.1 < half.left_out < 0.8
    assert len(whole.layers) == len(some_layers(base))


def test_what_no_lora_holds_counts_as_left_out(asked: BaseSettings) -> None:
    base, original = load_base(asked), load_base(asked)
    change_by_rank(base, 2)
    layers = sum(
        (one.weight - other.weight).square().sum().item()
        for one, other in zip(some_layers(base), some_layers(original), strict=True)
    )
    with torch.no_grad():
        base.unet.conv_norm_out.bias += 0.5
    rest = 0.25 * base.unet.conv_norm_out.bias.numel()
    expected = (rest / (rest + layers)) ** 0.5
    assert extract(base, original, 2).left_out == pytest.approx(expected, rel=1e-3)


def test_nothing_learned_is_nothing_extracted(asked: BaseSettings) -> None:
    assert extract(load_base(asked), load_base(asked), 4).left_out == 0


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_the_checkpoint_is_whole_whatever_it_was_trained_with(
    clip_skip: int, asked: BaseSettings, tmp_path: Path
) -> None:
    """Clip skip leaves layers out, and a learned word adds rows: neither is in what front ends load."""
    word = tmp_path / "emb-word.safetensors"
    save_file({"emb-word": torch.randn(2, 192)}, word)
    settings = BaseSettings(base=asked.base, precision="fp32", clip_skip=clip_skip, embedding=[word])
    base = load_base(settings)
    tune(base, 1e-4, [1e-4])
    change_by_rank(base, 2)
    with torch.no_grad():
        base.text_encoders[0].get_input_embeddings().weight += 0.01
    files, readings = save_tuned(base, settings, tmp_path / "run", "dress", {"note": "x"}, 2)
    assert [path.name for path in files] == ["dress.safetensors", "diffusers", "dress-lora.safetensors"]
    assert [reading.way for reading in readings] == ["base", "base", "merged"]
    file = load_file(files[0])
    names = [name for name in file if "text_model.encoder.layers.3." in name]
    assert names  # of four layers, the last is there
    table = file["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"]
    learned = base.text_encoders[0].get_input_embeddings().weight
    assert torch.equal(table, learned[: len(table)].half())
    assert len(learned) == len(table) + 2


def test_a_file_that_holds_something_else_fails_the_run(
    asked: BaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_base(asked)
    change_by_rank(base, 1)
    write = tuned.save_single_file

    def other(whole: Base, path: Path, *rest: object) -> None:
        write(whole, path, *rest)  # type: ignore[arg-type]
        tensors = load_file(path)
        tensors["model.diffusion_model.out.2.bias"] += 1
        save_file(tensors, path)

    monkeypatch.setattr(tuned, "save_single_file", other)
    with pytest.raises(RuntimeError, match=r"unet's conv_out\.bias is not what was trained"):
        save_tuned(base, asked, tmp_path / "run", "dress", {}, 0)


def test_rates_are_for_as_many_text_encoders_as_there_are(asked: BaseSettings) -> None:
    with pytest.raises(UserError, match="takes 1"):
        tune(load_base(asked), 1e-4, [1e-4, 1e-4])


def test_a_frozen_copy_keeps_no_encoders_and_stays_as_it_is(asked: BaseSettings) -> None:
    base = load_base(asked)
    kept = frozen_copy(base, "bf16")
    change_by_rank(base, 1)
    assert (kept.vae, kept.text_encoders, kept.dtype) == (None, [], torch.bfloat16)
    assert len(base.text_encoders) == 1
    assert kept.resolution == base.resolution
    first = some_layers(kept)[0].weight
    assert torch.equal(first, some_layers(load_base(asked))[0].weight.bfloat16())


def test_the_last_layer_of_sdxls_first_text_encoder_does_not_learn(small_sdxl: Path) -> None:
    base = load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))
    groups, rates = tune(base, 1e-4, [3e-5, 2e-5])
    assert rates == [1e-4, 3e-5, 2e-5]
    first, second = base.text_encoders
    idle = {name for name, parameter in first.named_parameters() if not parameter.requires_grad}
    assert {name.split("layers.")[1].split(".")[0] for name in idle if "layers." in name} == {"1"}
    assert all("final_layer_norm" in name for name in idle if "layers." not in name)
    assert all(parameter.requires_grad for parameter in second.parameters())
    assert len(groups[1]) == len(list(first.parameters())) - len(idle)
