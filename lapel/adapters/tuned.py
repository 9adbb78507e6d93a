"""Write a fine-tuned base for all front ends, and read every file back: it holds what was trained, or the run fails."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lapel.adapters.combine import Size, resized
from lapel.adapters.compare import OUTPUT_NOISE, Probe, relative
from lapel.adapters.export import LEFT_OUT, base_metadata, write_adapter
from lapel.adapters.fuse import load_fused_base
from lapel.adapters.layers import Layers, change, weights_of
from lapel.adapters.merge import merge
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import Adapter, read_adapter
from lapel.adapters.verify import Reading
from lapel.base.base import Base
from lapel.base.families import FAMILIES, TINY_TEXT_WIDTH
from lapel.base.load import load_base
from lapel.base.save import save_folder, save_single_file, single_file_tensors
from lapel.base.settings import BaseSettings
from lapel.base.weights import open_weights

FOLDER = "diffusers"
LORA_SUFFIX = "-lora.safetensors"
WIDTHS = {TINY_TEXT_WIDTH, *(family.text_width for family in FAMILIES.values())}
"""Numbers per token of text, by which the family of a single file is told."""
STORED = torch.float16
"""Precision of what is written; every reader takes it."""


@dataclasses.dataclass(frozen=True)
class Extracted:
    """The nearest LoRA to what was trained. Norms are Frobenius', over all weights together."""

    layers: Layers
    left_out: float
    """|trained - LoRA| / |trained - base| of the weights, norms and biases included, which no LoRA holds."""


def save_tuned(
    base: Base, settings: BaseSettings, folder: Path, name: str, metadata: Mapping[str, str], rank: int
) -> tuple[list[Path], list[Reading]]:
    """Write `<name>.safetensors`, the folder `diffusers`, and with a rank `<name>-lora.safetensors`; read them back.

    Args:
        base: as it was trained, in fp32. Text encoders that were released did not learn.
        settings: of the base that it was trained from, which is loaded anew to compare with.
        metadata: further fields of the files' headers, strings all.
        rank: of the LoRA; 0 for none.

    Returns:
        The paths, in this order, and how each compares.

    Raises:
        UserError: a value is NaN or infinite, or too large for fp16.
        RuntimeError: a file does not give the trained base back.
    """
    exact = dataclasses.replace(settings, precision="fp32", embedding=[])
    original = load_fused_base(exact)
    probe = Probe(original, bool(base.text_encoders))
    outputs = probe.outputs(base), probe.outputs(original)
    facts = {**base_metadata(base), **metadata}
    file, inner, small = folder / f"{name}.safetensors", folder / FOLDER, folder / f"{name}{LORA_SUFFIX}"
    lora = []
    if rank:
        extracted = extract(base, original, rank)
        _write_lora(small, original, extracted, facts)
        lora.append(_read_lora(small, original, extracted, probe, *outputs))
    # What clip skip leaves out belongs to the checkpoint.
    whole = original if base.clip_skip == 1 else load_fused_base(dataclasses.replace(exact, clip_skip=1))
    put_into(base, whole)
    save_single_file(whole, file, STORED, facts)
    shutil.rmtree(inner, ignore_errors=True)
    save_folder(whole, inner, STORED)
    read_file = _read_base if whole.unet.config.cross_attention_dim in WIDTHS else _read_tensors
    readings = [
        read(path, base.clip_skip, whole, probe, *outputs) for path, read in ((file, read_file), (inner, _read_base))
    ]
    return [file, inner, *([small] if rank else [])], [*readings, *lora]


@torch.no_grad()
def extract(base: Base, original: Base, rank: int) -> Extracted:
    """The LoRA of that rank nearest to what lies between two bases of one build (Eckart and Young, 1936)."""
    before, after = (weights_of(layer_modules(_learnable(one, base))) for one in (original, base))
    layers: Layers = {}
    lost = 0.0
    for name in tqdm(before, desc="extract", unit="layer", mininterval=1, delay=1):
        # One at a time, where the base computes: the changes of a whole base are as large as the base.
        difference = after[name].float() - before[name].to(after[name].device, torch.float32)
        if difference.any():
            near, loss = resized({name: {"diff": difference}}, Size(rank))
            layers[name] = {kind: tensor.cpu() for kind, tensor in near[name].items()}
            lost += (loss.whole * difference.double().norm().item()) ** 2
    rest, total = _squares(base, original)
    return Extracted(layers, ((lost + rest) / total) ** 0.5 if total else 0.0)


def _learnable(one: Base, base: Base) -> dict[str, Any]:
    """The models of a base that those of the trained one are held against."""
    return {part: model for part, model in one.models.items() if part in base.models}


def _squares(base: Base, original: Base) -> tuple[float, float]:
    """The squared norm of the change of what is no layer (norms, biases, embeddings), and of all that changed."""
    layers = {id(module.weight) for module in layer_modules(base.models).values()}
    rest = total = 0.0
    for part, model in base.models.items():
        for name, value in model.named_parameters():
            before = original.models[part].get_parameter(name).to(value.device)
            square = (value[: len(before)].float() - before.float()).double().square().sum().item()
            total += square
            rest += 0.0 if id(value) in layers else square
    return rest, total


def _write_lora(path: Path, original: Base, extracted: Extracted, facts: Mapping[str, str]) -> None:
    names = names_of(original.family, original.models)
    stated = {**facts, LEFT_OUT: f"{extracted.left_out:.3g}"}
    write_adapter(Adapter(path, "kohya", names, extracted.layers, stated), "kohya", path, STORED)


def _read_lora(
    path: Path, original: Base, extracted: Extracted, probe: Probe, trained: Tensor, bare: Tensor
) -> Reading:
    """The LoRA, worn by the base that it was extracted from, which wears it from now on.

    Raises:
        RuntimeError: the file has other layers than were extracted, or one differs by more than rounding.
    """
    read, modules = read_adapter(path, names_of(original.family, original.models)), layer_modules(original.models)
    if read.layers.keys() != extracted.layers.keys():
        raise RuntimeError(f"{path}: {len(read.layers)} layers read back, {len(extracted.layers)} extracted")
    worst = 0.0
    for name, layer in extracted.layers.items():
        shape = modules[name].weight.shape
        expected = change(layer, shape)
        error = (change(read.layers[name], shape) - expected).norm() / expected.norm().clamp_min(1e-12)
        worst = max(worst, error.item())
    # Two factors, each rounded to fp16, whose smallest numbers keep fewer digits.
    if not worst <= 16 * torch.finfo(STORED).eps:
        raise RuntimeError(f"{path}: a layer is not what was extracted (off by {worst:.2%})")
    merge(read, modules)
    compared = relative(probe.outputs(original), trained, bare)
    return Reading(path.name, "merged", len(read.layers), worst, *compared, extracted.left_out)


@torch.no_grad()
def put_into(base: Base, whole: Base) -> None:
    """Put the trained weights into a base of the same build, in the precision that is stored.

    That base may have more layers (clip skip) and fewer words.
    """
    for model in _parts(whole).values():
        model.to(STORED)
    whole.unet.load_state_dict(base.unet.state_dict())
    for encoder, own in zip(base.text_encoders, whole.text_encoders, strict=False):
        wanted = {name: value.shape for name, value in own.state_dict().items()}
        state = {name: value[: wanted[name][0]] for name, value in encoder.state_dict().items()}
        own.load_state_dict(state, strict=False)


def _parts(base: Base) -> dict[str, Any]:
    return {**base.models, "vae": base.vae}


def _read_tensors(path: Path, clip_skip: int, whole: Base, probe: Probe, trained: Tensor, bare: Tensor) -> Reading:
    """A single file of a base that is thinner than any published one, so that no loader tells its family.

    Raises:
        RuntimeError: a tensor is not the trained one in the stored precision, to the bit.
    """
    file, wanted = open_weights(path), single_file_tensors(whole)
    found = file.read(file.shapes)
    odd = sorted(name for name in found.keys() | wanted.keys() if name not in found or name not in wanted)
    odd += [name for name, value in found.items() if name in wanted and not value.equal(wanted[name].to(STORED))]
    if odd:
        raise RuntimeError(f"{path}: {odd[0]} is not what was trained")
    return Reading(path.name, "tensors", len(found), 0.0, *relative(None, trained, bare))


def _read_base(path: Path, clip_skip: int, whole: Base, probe: Probe, trained: Tensor, bare: Tensor) -> Reading:
    """A checkpoint, loaded as any base is.

    Raises:
        RuntimeError: a weight is not the trained one in the stored precision, to the bit, or the output is another.
    """
    read = load_base(BaseSettings(base=str(path), precision="fp16"))
    count = 0
    for part, model in _parts(read).items():
        found, wanted = model.state_dict(), _parts(whole)[part].state_dict()
        odd = [name for name in wanted if name not in found or not found[name].to(STORED).equal(wanted[name])]
        if odd or found.keys() != wanted.keys():
            first = (odd or sorted(found.keys() ^ wanted.keys()))[0]
            raise RuntimeError(f"{path}: {part}'s {first} is not what was trained")
        count += len(found)
    if clip_skip > 1:
        read = load_base(BaseSettings(base=str(path), precision="fp16", clip_skip=clip_skip))
    for model in read.models.values():
        model.float()
    error, effect = relative(probe.outputs(read), trained, bare)
    assert error is not None, "it was run"
    if not error <= 0.02 * effect + OUTPUT_NOISE[STORED]:
        raise RuntimeError(f"{path}: the output differs by {error:.2%} from the trained base's")
    return Reading(path.name, "base", count, 0.0, error, effect)
