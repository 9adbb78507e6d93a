"""Kinds of adapter on chosen blocks: what is learned, and what files of it mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from lapel.adapters.combine import Size as Cut
from lapel.adapters.combine import resized
from lapel.adapters.diffusers_layout import diffusers_tensors
from lapel.adapters.export import NEAR, nearest_held, save_adapter
from lapel.adapters.inject import inject
from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.kohya import kohya_tensors
from lapel.adapters.layers import change, has_one_alpha, scale_of, weights_of
from lapel.adapters.learned import ADAPTER_NAME, adapted_layers, learned_updates
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import read_adapter
from lapel.adapters.settings import AdapterSettings, Size
from lapel.adapters.targets import layer_sizes
from lapel.adapters.verify import verify_adapter
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.files import save_tensors

KINDS = ["lora", "rslora", "dora", "loha", "lokr"]
TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
TEXT = "text_encoder.text_model.encoder.layers.1.mlp.fc1"


def tiny() -> Base:
    return load_base(BaseSettings(precision="fp32"))


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny()


def moved(base: Base, adapter: AdapterSettings, seed: int = 0) -> Base:
    generator = torch.Generator().manual_seed(seed)
    for parameter in inject(base, adapter):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return base


BLOCKS = [
    *("unet", "down_blocks.0", "down_blocks.1.attentions.0", "mid_block", "up_blocks.1", "up_blocks.3.attentions.2"),
    *("text_encoder", "text_encoder.layers.0", "text_encoder.layers.1.mlp"),
]


@st.composite
def adapters(draw: st.DrawFn) -> AdapterSettings:
    """Any kind on any blocks, each with a rank and alpha of its own or the common ones, convolutions or not."""
    chosen = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4, unique=True))
    blocks = []
    for name in chosen:
        rank, alpha = draw(st.none() | st.integers(1, 6)), draw(st.none() | st.integers(1, 32))
        blocks.append(name + ("" if rank is None else f"={rank}" if alpha is None else f"={rank}/{alpha / 4}"))
    return AdapterSettings(
        kind=draw(st.sampled_from(KINDS)),
        rank=draw(st.integers(1, 5)),
        alpha=draw(st.none() | st.floats(0.5, 16)),
        convolutions=draw(st.booleans()),
        blocks=blocks,
    )


@settings(max_examples=12, deadline=None)
@given(adapter=adapters(), seed=st.integers(0, 2**31))
def test_files_give_back_what_any_adapter_learned(
    adapter: AdapterSettings, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """kohya's layout, read by its formulas, is the identity for every kind; diffusers', for what it holds."""
    base, folder = moved(tiny(), adapter, seed), tmp_path_factory.mktemp("kinds")
    updates = {update.name: update for update in learned_updates(base)}
    layers = {name: update.layer for name, update in updates.items()}
    names, weights = names_of(base.family, base.models), weights_of(layer_modules(base.models))
    assert layers.keys() == layer_sizes(base.models, adapter).keys()
    kohya, held = kohya_tensors(names, layers, torch.float32, weights), nearest_held(layers, weights)
    save_tensors(folder / "kohya.safetensors", kohya, {})
    save_tensors(folder / "plain.safetensors", diffusers_tensors(held[0], torch.float32), {})
    assert has_one_alpha(read_adapter(folder / "kohya.safetensors", names).layers)
    assert (held[1] is None) == (adapter.kind in ("lora", "rslora", "dora"))
    for file, tolerance in (("kohya", 1e-4), ("plain", 1e-4 if held[1] is None else 2e-3)):
        found = read_adapter(folder / f"{file}.safetensors", names).layers
        assert found.keys() == layers.keys()
        for name, update in updates.items():
            expected = update.difference()
            error = (change(found[name], expected.shape, update.weight) - expected).norm()
            assert error <= tolerance * expected.norm() + 1e-5 * update.weight.norm()


@pytest.mark.parametrize("kind", ["lora", "rslora", "loha", "lokr"])
def test_what_is_read_is_what_peft_adds(kind: str) -> None:
    adapter = AdapterSettings(
        kind=kind,  # type: ignore[arg-type]
        rank=3,
        alpha=5,
        convolutions=True,
        blocks=["mid_block=2/7", "down_blocks.0", "text_encoder=4"],
    )
    base = moved(tiny(), adapter)
    updates = {update.name: update for update in learned_updates(base)}
    layers = dict(layer for model in base.models.values() for layer in adapted_layers(model))
    assert len(layers) == len(updates)
    for update, layer in zip(updates.values(), layers.values(), strict=True):
        torch.testing.assert_close(update.difference(), layer.get_delta_weight(ADAPTER_NAME), rtol=1e-4, atol=1e-6)


def test_rslora_divides_by_the_root_of_the_rank() -> None:
    base = moved(tiny(), AdapterSettings(kind="rslora", rank=16, alpha=2, blocks=["down_blocks.0", "mid_block=4/3"]))
    scales = {update.name: scale_of(update.layer) for update in learned_updates(base)}
    assert {scale for name, scale in scales.items() if ".mid_block" in name} == {3 / 2}
    assert {scale for name, scale in scales.items() if ".down_blocks.0" in name} == {2 / 4}
    plain = AdapterSettings(kind="rslora", rank=16)
    assert plain.sizes["unet"] == Size(16, 4)  # a scale of 1


def test_the_narrowest_block_decides(base: Base) -> None:
    adapter = AdapterSettings(
        rank=8, alpha=2, blocks=["text_encoder=2", "unet", "down_blocks.0=0", "unet.down_blocks.0.attentions.0=5/3"]
    )
    sizes = layer_sizes(base.models, adapter)
    assert sizes[f"unet.{TO_Q}"] == Size(5, 3)
    assert f"unet.{TO_Q}".replace("attentions.0", "attentions.1") not in sizes
    assert sizes[f"unet.{TO_Q}".replace("down_blocks.0", "up_blocks.1")] == Size(8, 2)
    assert sizes[TEXT] == Size(2, 2)
    assert adapter.text_encoder
    assert adapter.words == (
        "lora on text_encoder (rank 2, alpha 2), unet (rank 8, alpha 2), not down_blocks.0, "
        "down_blocks.0.attentions.0 (rank 5, alpha 3)"
    )


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        (["up_block.1"], "no up_block.1; the nearest is up_blocks.1"),
        (["unet", "mid_blocks=4"], "no mid_blocks; the nearest is mid_block"),
        (["text_encoder_2"], "no text_encoder_2; the nearest is text_encoder"),
        (["down_blocks.3"], "nothing to learn but convolutions; add --convolutions"),
        (["unet=0"], "nothing is left to learn"),
    ],
)
def test_a_block_that_is_not_there_is_named_with_the_nearest(base: Base, blocks: list[str], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        layer_sizes(base.models, AdapterSettings(blocks=blocks))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"blocks": []}, "blocks is empty"),
        ({"blocks": ["unet=x"]}, "blocks has 'unet=x'"),
        ({"blocks": ["unet=4/0"]}, "blocks has 'unet=4/0'"),
        ({"blocks": ["mid block"]}, "blocks has 'mid block'"),
        ({"blocks": ["unet", "unet=4"]}, "unet twice"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        AdapterSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "prefix"), [("loha", "hada_"), ("lokr", "lokr_")])
def test_lohas_and_lokrs_have_the_names_of_lycoris(kind: str, prefix: str, tmp_path: Path) -> None:
    adapter = AdapterSettings(kind=kind, rank=2, blocks=["unet", "text_encoder"], convolutions=True)  # type: ignore[arg-type]
    files = save_adapter(moved(tiny(), adapter), tmp_path, "tee", {})
    kinds = {key.rsplit(".", 1)[1] for key in load_file(files[0])}
    assert kinds - {"alpha"} and all(name.startswith(prefix) for name in kinds - {"alpha"})
    with safe_open(files[0], "pt") as file:
        assert file.metadata()["ss_network_module"] == "lycoris.kohya"
        assert f'"algo": "{kind}"' in file.metadata()["ss_network_args"]
    with safe_open(files[1], "pt") as file:
        assert 0 <= float(file.metadata()["lapel.left_out"]) <= 1e-3


def factored() -> Iterator[tuple[str, dict[str, torch.Tensor], tuple[int, ...]]]:
    for shape in ((24, 30), (24, 30, 3, 3)):
        flat = 30 * (9 if len(shape) == 4 else 1)
        loha = {
            "hada_w1_a": torch.randn(24, 3),
            "hada_w1_b": torch.randn(3, flat),
            "hada_w2_a": torch.randn(24, 3),
            "hada_w2_b": torch.randn(3, flat),
            "alpha": torch.tensor(2.0),
        }
        lokr = {"lokr_w1": torch.randn(4, 5), "lokr_w2_a": torch.randn(6, 2), "lokr_w2_b": torch.randn(2, flat // 5)}
        yield "loha", loha, shape
        yield "lokr", {**lokr, "alpha": torch.tensor(3.0)}, shape


@pytest.mark.parametrize(("kind", "layer", "shape"), factored())
def test_nearest_loras_by_factors_are_those_of_the_whole(
    kind: str, layer: dict[str, torch.Tensor], shape: tuple[int, ...]
) -> None:
    """Against the singular values of the change, multiplied out."""
    weight = torch.zeros(shape)
    whole = change(layer, shape)
    for rank in (1, 4, 9):
        found, loss = resized({"unet.x": layer}, Cut(rank=rank), {"unet.x": weight})
        values = torch.linalg.svdvals(whole.flatten(1))
        best = (values[rank:].square().sum() / values.square().sum()).sqrt().item()
        error = ((change(found["unet.x"], shape) - whole).norm() / whole.norm()).item()
        assert error == pytest.approx(best, rel=1e-3, abs=1e-5)
        assert loss.whole == pytest.approx(best, rel=1e-3, abs=1e-5)
    exact, loss = resized({"unet.x": layer}, NEAR, {"unet.x": weight})
    assert loss.whole <= 1e-3
    assert {DOWN, UP, "alpha"} == exact["unet.x"].keys()


def test_sdxl_learns_in_both_text_encoders(small_sdxl: Path, tmp_path: Path) -> None:
    base = load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))
    blocks = ["unet=4/2", "mid_block=2/1", "text_encoder=3", "text_encoder_2=2/4"]
    base = moved(base, AdapterSettings(kind="rslora", convolutions=True, blocks=blocks))
    files = save_adapter(base, tmp_path, "a", {})
    readings = verify_adapter(base, files)
    assert all(reading.output_error is not None and reading.output_error < 1e-3 for reading in readings)
    assert any(key.startswith("lora_te2_") for key in load_file(files[0]))
