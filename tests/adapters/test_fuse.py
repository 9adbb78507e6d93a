"""Bases that wear adapters while something else is trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lapel.adapters.export import save_adapter
from lapel.adapters.find import check_worn
from lapel.adapters.fuse import load_fused_base, reload_fused_encoders
from lapel.adapters.inject import inject
from lapel.adapters.layers import change
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.verify import verify_adapter
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.files import sha256

STEM = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v"
LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
TEXT_STEM = "lora_te_text_model_encoder_layers_0_mlp_fc1"
TEXT = "text_encoder.text_model.encoder.layers.0.mlp.fc1"


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """A LoRA of the UNet and a text encoder in kohya's layout, and one of the UNet in diffusers'."""
    models = layer_modules(load_base(BaseSettings(precision="fp32")).models)
    generator = torch.Generator().manual_seed(0)

    def factors(layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        out, into = models[layer].weight.shape
        return torch.randn(2, into, generator=generator) / 10, torch.randn(out, 2, generator=generator) / 10

    one, other = tmp_path / "DDicon.safetensors", tmp_path / "DDicon_v2=pair.safetensors"
    tensors = {}
    for stem, layer in ((STEM, LAYER), (TEXT_STEM, TEXT)):
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = factors(layer)
    save_file(tensors, one)
    down, up = factors(LAYER)
    save_file({f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up}, other)
    return [one, other]


def settings(pair: list[Path]) -> BaseSettings:
    return BaseSettings(precision="fp32", wear=[f"{pair[0]}=0.5", str(pair[1])])


def changes(path: Path, names: object, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    layers = read_adapter(path, names).layers  # type: ignore[arg-type]
    return {name: change(layer, weights[name].shape, weights[name]) for name, layer in layers.items()}


def test_what_is_worn_is_in_the_weights_with_its_weight(pair: list[Path]) -> None:
    plain, fused = load_base(BaseSettings(precision="fp32")), load_fused_base(settings(pair))
    names = names_of(plain.family, plain.models)
    before, after = ({k: m.weight for k, m in layer_modules(base.models).items()} for base in (plain, fused))
    first, second = (changes(path, names, before) for path in pair)
    torch.testing.assert_close(after[LAYER], before[LAYER] + 0.5 * first[LAYER] + second[LAYER])
    torch.testing.assert_close(after[TEXT], before[TEXT] + 0.5 * first[TEXT])
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - {LAYER, TEXT})
    assert [(worn.name, worn.weight) for worn in fused.worn] == [(pair[0].name, 0.5), (pair[1].name, 1.0)]
    assert fused.worn[0].hash == sha256(pair[0])
    assert fused.hash == plain.hash


def test_encoders_that_come_back_wear_it_again(pair: list[Path]) -> None:
    base = load_fused_base(settings(pair))
    inject(base, AdapterSettings(rank=2))
    text, unet = base.encode_text(["a shirt"])["prompt_embeds"], base.unet.state_dict()
    base.release_encoders()
    reload_fused_encoders(base, settings(pair))
    assert torch.equal(base.encode_text(["a shirt"])["prompt_embeds"], text)
    assert all(torch.equal(value, unet[key]) for key, value in base.unet.state_dict().items())


@pytest.mark.parametrize("kind", ["lora", "dora", "lokr"])
def test_the_export_holds_only_what_was_trained(kind: str, pair: list[Path], tmp_path: Path) -> None:
    adapter = AdapterSettings(kind=kind, rank=2, blocks=["mid_block", "text_encoder"])  # type: ignore[arg-type]
    base = load_fused_base(settings(pair))
    fused = {name: module.weight.clone() for name, module in layer_modules(base.models).items()}
    start = torch.Generator().manual_seed(1)
    untouched = save_adapter(_with(base, adapter, 0.0, start), tmp_path / "zero", "a", {}, torch.float32)
    names = names_of(base.family, base.models)
    for difference in changes(untouched[0], names, fused).values():
        assert difference.abs().max() < 1e-5

    trained = _with(load_fused_base(settings(pair)), adapter, 0.05, start)
    alone = _with(load_base(BaseSettings(precision="fp32")), adapter, 0.05, torch.Generator().manual_seed(1))
    files = save_adapter(trained, tmp_path / "run", "a", {}, torch.float32)
    assert len(verify_adapter(trained, files)) >= 2
    if kind != "dora":  # whose change depends on the weights below it
        expected = changes(save_adapter(alone, tmp_path / "alone", "a", {}, torch.float32)[0], names, fused)
        found = changes(files[0], names, fused)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


def _with(base, adapter: AdapterSettings, size: float, generator: torch.Generator):  # type: ignore[no-untyped-def]
    generator.manual_seed(1)
    for parameter in inject(base, adapter):
        parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return base


def test_what_cannot_be_worn_is_said_at_once(pair: list[Path], small_sdxl: Path, tmp_path: Path) -> None:
    base_file = tmp_path / "base.safetensors"
    save_file({"x.weight": torch.zeros(1)}, base_file)
    check_worn(settings(pair))
    with pytest.raises(UserError) as caught:
        check_worn(BaseSettings(wear=[str(tmp_path / "gone.safetensors"), str(base_file), "x=0.5"]))
    assert [line.split(": ", 1)[1].split(" (")[0].split(";")[0] for line in caught.value.lines] == [
        "no such adapter",
        "not an adapter",
        "no such adapter",
    ]
    with pytest.raises(UserError, match=r"DDicon\.safetensors: ") as caught:
        load_fused_base(BaseSettings(base=str(small_sdxl), precision="fp32", wear=[str(pair[0])]))
    assert len(str(caught.value).splitlines()) == 1
