"""Adapter files of every layout and kind: read, written and read again, they mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from lapel.adapters.combine import Size, difference_of, resized, summed
from lapel.adapters.diffusers_layout import diffusers_tensors, save_peft
from lapel.adapters.export import write_adapter
from lapel.adapters.kinds import DOWN, MID, UP
from lapel.adapters.kohya import kohya_tensors
from lapel.adapters.layers import Layer, Layers, change, has_one_alpha, scale_of
from lapel.adapters.names import family_names
from lapel.adapters.read import Adapter, read_adapter
from lapel.adapters.targets import TEXT_LAYERS
from lapel.errors import UserError

ATTENTION = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "unet.down_blocks.0.resnets.0.conv1"
TEXT = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
STEM = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def lora(rank: int = 3, out: int = 6, into: int = 5, kernel: tuple[int, ...] = (), alpha: float | None = None) -> Layer:
    layer = {DOWN: torch.randn(rank, into, *kernel), UP: torch.randn(out, rank, *(1,) * len(kernel))}
    return layer if alpha is None else {**layer, "alpha": torch.tensor(alpha)}


def read_back(path: Path, tensors: dict[str, torch.Tensor], family: str = "sd15") -> Layers:
    save_file({key: value.clone() for key, value in tensors.items()}, path)
    return read_adapter(path, family_names(family)).layers


def assert_same_changes(found: Layers, expected: Layers, shapes: dict[str, tuple[int, ...]]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        one, other = (change(layers[name], shapes[name]) for layers in (found, expected))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


NAMES = {family: sorted(family_names(family).stems) for family in ("sd15", "sd2", "sdxl")}


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    family=st.sampled_from(["sd15", "sd2", "sdxl"]),
    layout=st.sampled_from(["kohya", "diffusers", "peft"]),
)
def test_there_and_back_is_the_identity(
    data: st.DataObject, family: str, layout: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever layers, ranks, alphas and kernels: written in any layout and read, the changes are the same."""
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    chosen = data.draw(st.lists(st.sampled_from(NAMES[family]), min_size=1, max_size=12, unique=True))
    layers: Layers = {}
    shapes = {}
    for name in chosen:
        rank = data.draw(st.integers(1, 8))
        alpha = data.draw(st.none() | st.floats(0.1, 64))
        kernel = data.draw(st.sampled_from([(), (1, 1), (3, 3)]))
        layers[name] = lora(rank, kernel=kernel, alpha=alpha)
        shapes[name] = (6, 5, *kernel)
    path = tmp_path_factory.mktemp("there") / ("folder" if layout == "peft" else "file.safetensors")
    adapter = Adapter(path, "kohya", family_names(family), layers, {})
    write_adapter(adapter, layout, path, torch.float32)
    found = read_adapter(path, family_names(family))
    assert found.layout == layout
    assert_same_changes(found.layers, layers, shapes)
    if layout == "kohya":
        assert has_one_alpha(found.layers)
        assert read_adapter(path).names.family.name == family  # by its metadata


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_every_stem_leads_to_one_layer(family: str) -> None:
    names = family_names(family)
    assert len(set(names.stems.values())) == len(names.stems)
    assert all(names.layers[stem] == layer for layer, stem in names.stems.items())


def test_both_spellings_of_sdxl_are_read(tmp_path: Path) -> None:
    layer, path = lora(), tmp_path / "a.safetensors"
    for stem in (
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k",
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
    ):
        found = read_back(path, {f"{stem}.{kind}": value for kind, value in layer.items()}, "sdxl")
        assert list(found) == ["unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"]


@pytest.mark.parametrize(
    "stem",
    [
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
        "lora_te_encoder_layers_0_self_attn_q_proj",
    ],
)
def test_text_encoders_are_read_by_any_name(stem: str, tmp_path: Path) -> None:
    found = read_back(tmp_path / "a.safetensors", {f"{stem}.{kind}": value for kind, value in lora().items()})
    assert list(found) == [TEXT]


def test_old_layouts_of_diffusers(tmp_path: Path) -> None:
    layer, root = lora(), "unet.mid_block.attentions.0.transformer_blocks.0.attn1"
    old = {
        f"{root}.processor.to_q_lora.down.weight": layer[DOWN],
        f"{root}.processor.to_q_lora.up.weight": layer[UP],
        f"{root}.processor.to_out_lora.down.weight": layer[DOWN],
        f"{root}.processor.to_out_lora.up.weight": layer[UP],
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight": layer[DOWN],
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight": layer[UP],
    }
    found = read_back(tmp_path / "old.safetensors", old)
    assert found.keys() == {f"{root}.to_q", f"{root}.to_out.0", TEXT}


def test_alpha_outside_of_the_tensors(tmp_path: Path) -> None:
    layer, path = lora(rank=4), tmp_path / "a.safetensors"
    tensors = diffusers_tensors({ATTENTION: layer, TEXT: lora(rank=4)}, torch.float32)
    stated = {"unet.r": 4, "unet.lora_alpha": 2, "unet.alpha_pattern": {"attn2.to_k": 8}, "text_encoder.lora_alpha": 1}
    save_file(tensors, path, {"lora_adapter_metadata": json.dumps(stated)})
    found = read_adapter(path, family_names("sd15")).layers
    assert (scale_of(found[ATTENTION]), scale_of(found[TEXT])) == (2, 0.25)


def test_what_peft_saves_is_read(tmp_path: Path) -> None:
    """peft's own writer on real layers, with rsLoRA and a pattern of alphas, against peft's own forward."""
    from diffusers import UNet2DConditionModel
    from peft import LoraConfig, get_peft_model

    from lapel.base.shapes import UNETS

    unet = UNet2DConditionModel(**UNETS["tiny"])
    config = LoraConfig(
        r=4, lora_alpha=3, use_rslora=True, alpha_pattern={"attn2.to_k": 5}, target_modules=["to_q", "to_k"]
    )
    model = get_peft_model(unet, config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter)
    model.save_pretrained(tmp_path)
    adapter = read_adapter(tmp_path, family_names("sd15"))
    assert adapter.layout == "peft"
    for name, layer in adapter.layers.items():
        module = model.base_model.model.get_submodule(name.removeprefix("unet."))
        torch.testing.assert_close(change(layer, module.weight.shape), module.get_delta_weight("default"))
    assert len(adapter.layers) == 64


def test_peft_loads_what_is_written(tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel
    from peft import PeftModel

    from lapel.base.shapes import UNETS

    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    layers = {f"unet.{name}": lora(4, 64, 64, alpha=2.0), f"unet.{name[:-4]}to_k": lora(2, 64, 64)}
    save_peft(tmp_path, layers, diffusers_tensors(layers, torch.float32))
    model = PeftModel.from_pretrained(UNet2DConditionModel(**UNETS["tiny"]), tmp_path / "unet")
    for full, layer in layers.items():
        module = model.base_model.model.get_submodule(full.removeprefix("unet."))
        torch.testing.assert_close(module.get_delta_weight("default"), change(layer, (64, 64)))


@pytest.mark.parametrize("kernel", [(), (3, 3)])
@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_lohas_and_lokrs_are_what_peft_computes(kind: str, kernel: tuple[int, ...]) -> None:
    from peft import LoHaConfig, LoKrConfig, get_peft_model

    layer = nn.Conv2d(64, 96, 3) if kernel else nn.Linear(64, 96)
    model = nn.ModuleDict({"x": layer})
    common: dict[str, Any] = {"r": 2, "alpha": 3, "target_modules": ["x"]}
    config = LoHaConfig(**common) if kind == "loha" else LoKrConfig(**common, decompose_both=True)
    tuned = get_peft_model(model, config).base_model.model["x"]
    prefix = "hada_" if kind == "loha" else "lokr_"
    held: Layer = {"alpha": torch.tensor(3.0)}
    for name, parameter in tuned.named_parameters():
        if f"{prefix}w" in name or f"{prefix}t" in name:
            parameter.data = torch.randn_like(parameter)
            held[name.split(".")[0]] = parameter.data
    torch.testing.assert_close(change(held, layer.weight.shape), tuned.get_delta_weight("default"))


def test_tuckers_form_is_its_sum() -> None:
    layer = {DOWN: torch.randn(2, 5, 1, 1), MID: torch.randn(2, 2, 3, 3), UP: torch.randn(6, 2, 1, 1)}
    image = torch.randn(1, 5, 7, 7)
    down, mid, up = (layer[kind] for kind in (DOWN, MID, UP))
    expected = nn.functional.conv2d(nn.functional.conv2d(nn.functional.conv2d(image, down), mid), up)
    torch.testing.assert_close(nn.functional.conv2d(image, change(layer, (6, 5, 3, 3))), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_dora_of_rows_and_columns(columns: bool, kernel: tuple[int, ...]) -> None:
    weight, layer = torch.randn(6, 5, *kernel), lora(kernel=kernel)
    plain, kept = weight + change(layer, weight.shape), 1 if columns else 0
    shape = [-1 if dim == kept else 1 for dim in range(weight.dim())]
    lengths = torch.rand(weight.shape[kept]) + 0.5
    dora = {**layer, "dora_scale": lengths.reshape(shape)}
    found = weight + change(dora, weight.shape, weight)
    others = [dim for dim in range(weight.dim()) if dim != kept]
    torch.testing.assert_close(torch.linalg.vector_norm(found, dim=others), lengths)
    torch.testing.assert_close(
        nn.functional.normalize(found.transpose(0, kept).flatten(1)),
        nn.functional.normalize(plain.transpose(0, kept).flatten(1)),
    )
    with pytest.raises(ValueError, match="depends on the base"):
        change(dora, weight.shape)


def test_front_ends_never_get_a_dora_by_rows(tmp_path: Path) -> None:
    weight, layer = torch.randn(6, 5), lora()
    rows = {ATTENTION: {**layer, "dora_scale": torch.rand(6, 1) + 0.5}}
    names = family_names("sd15")
    with pytest.raises(UserError, match="misread"):
        kohya_tensors(names, rows, torch.float32)
    written = kohya_tensors(names, rows, torch.float32, {ATTENTION: weight})
    assert list(written) == [f"{STEM}.diff"]
    torch.testing.assert_close(written[f"{STEM}.diff"], change(rows[ATTENTION], (6, 5), weight))
    columns = {ATTENTION: {**layer, "dora_scale": torch.rand(1, 5) + 0.5}}
    assert f"{STEM}.dora_scale" in kohya_tensors(names, columns, torch.float32)
    with pytest.raises(ValueError, match="no place"):
        diffusers_tensors(columns, torch.float32)
    save_file(kohya_tensors(names, columns, torch.float16), tmp_path / "columns.safetensors")
    found = read_adapter(tmp_path / "columns.safetensors", names).layers[ATTENTION]
    torch.testing.assert_close(found["dora_scale"], columns[ATTENTION]["dora_scale"])


def test_keys_that_fit_nothing_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    layer = {f"{STEM}.{kind}": value for kind, value in lora().items()}
    for odd, words in ((f"{STEM}.lora_side.weight", "lora_side"), ("lora_unet_nothing.alpha", "nothing")):
        with pytest.raises(UserError, match=words):
            read_back(path, {**layer, odd: torch.ones(1)})
    with pytest.raises(UserError, match=r"incomplete \(lora_down.weight alone\)"):
        read_back(path, {f"{STEM}.{DOWN}": torch.ones(1, 5)})
    with pytest.raises(UserError, match="not an adapter"):
        read_back(path, {"a": torch.ones(1)})
    with pytest.raises(UserError, match="name a --base"):
        save_file(layer, path)
        read_adapter(path)


@pytest.mark.parametrize(("width", "family"), [(768, "sd15"), (1024, "sd2"), (2048, "sdxl")])
def test_a_family_is_told_by_shapes(width: int, family: str, tmp_path: Path) -> None:
    names = family_names(family)
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    for tensors in (
        kohya_tensors(names, {layer: lora(into=width)}, torch.float32),
        diffusers_tensors({layer: lora(into=width)}, torch.float32),
    ):
        save_file(tensors, tmp_path / "a.safetensors")
        assert read_adapter(tmp_path / "a.safetensors").names.family.name == family


def test_a_sum_is_exact_whatever_the_kinds() -> None:
    one: Layers = {ATTENTION: lora(2, alpha=1.0), CONVOLUTION: lora(kernel=(3, 3))}
    two: Layers = {ATTENTION: lora(4), TEXT: {"diff": torch.randn(6, 5)}}
    three: Layers = {ATTENTION: {"lokr_w1": torch.randn(2, 1), "lokr_w2": torch.randn(3, 5)}}
    weights = {ATTENTION: torch.randn(6, 5), TEXT: torch.randn(6, 5), CONVOLUTION: torch.randn(6, 5, 3, 3)}
    total = summed([one, two], [0.5, -2.0], weights)
    assert total[ATTENTION][DOWN].shape[0] == 6
    expected = 0.5 * change(one[ATTENTION], (6, 5)) - 2 * change(two[ATTENTION], (6, 5))
    torch.testing.assert_close(change(total[ATTENTION], (6, 5)), expected, rtol=1e-4, atol=1e-4)
    assert total.keys() == {ATTENTION, CONVOLUTION, TEXT}
    mixed = summed([one, three], [1.0, 1.0], weights)[ATTENTION]
    expected = change(one[ATTENTION], (6, 5)) + change(three[ATTENTION], (6, 5))
    torch.testing.assert_close(mixed["diff"], expected)
    with pytest.raises(UserError, match="name the base"):
        summed([one, three], [1.0, 1.0])


@settings(max_examples=30, deadline=None)
@given(rank=st.integers(1, 8), seed=st.integers(0, 2**31), kernel=st.sampled_from([(), (3, 3)]), whole=st.booleans())
def test_a_smaller_rank_is_the_nearest(rank: int, seed: int, kernel: tuple[int, ...], whole: bool) -> None:
    """The error is that of the singular values left out, and no more: the theorem of Eckart and Young."""
    torch.manual_seed(seed)
    layer = lora(6, 9, 8, kernel, alpha=2.0)
    expected = change(layer, (9, 8, *kernel))
    given_layer: Layer = {"diff": expected} if whole else layer
    found, loss = resized({ATTENTION: given_layer}, Size(rank=rank))
    error = (change(found[ATTENTION], expected.shape) - expected).norm()
    values = torch.linalg.svdvals(expected.flatten(1))
    torch.testing.assert_close(error, values[rank:].norm(), rtol=1e-3, atol=1e-3)
    assert loss.whole == pytest.approx((error / expected.norm()).item(), abs=1e-3)
    assert loss.ranks == (min(rank, 6 if not whole else 8),) * 2


def test_energy_chooses_the_rank() -> None:
    diagonal = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0]))
    for energy, rank in ((0.5, 1), (0.64, 1), (0.9, 2), (0.99, 3), (1.0, 3)):
        assert resized({ATTENTION: {"diff": diagonal}}, Size(energy=energy))[1].ranks == (rank, rank)
    assert resized({ATTENTION: {"diff": diagonal}}, Size(rank=1, energy=1.0))[1].ranks == (1, 1)
    assert resized({ATTENTION: {"diff": torch.zeros(3, 3)}}, Size(energy=0.9))[1].whole == 0


def test_the_difference_of_two_bases() -> None:
    before = {ATTENTION: torch.randn(6, 5), TEXT: torch.randn(6, 5)}
    after = {**before, ATTENTION: before[ATTENTION] + 1}
    assert difference_of(after, before).keys() == {ATTENTION}
    with pytest.raises(UserError, match="different builds"):
        difference_of({ATTENTION: torch.ones(1, 1)}, before)


def test_text_layers_have_names_in_every_family() -> None:
    import re

    for family, layers in (("sd15", 72), ("sd2", 138), ("sdxl", 72 + 192)):
        found = [name for name in family_names(family).stems if re.fullmatch(TEXT_LAYERS, name)]
        assert len(found) == layers
