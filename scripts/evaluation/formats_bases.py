"""A base of `evaluation.formats`, its outputs, and its way from a folder to a single file and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from lapel.adapters.compare import Probe
from lapel.base.base import DTYPES, Base
from lapel.base.load import load_base
from lapel.base.save import save_folder, save_single_file
from lapel.base.settings import BaseSettings, Precision
from lapel.base.weights import read_header


def precision_of(family: str) -> Precision:
    """fp32 where memory has room for it; the weights themselves are in bf16 in the files."""
    return "bf16" if family == "sdxl" else "fp32"


def load(place: Path, family: str) -> Base:
    return load_base(BaseSettings(base=str(place), precision=precision_of(family)))


def round_trip(folder: Path, family: str, scratch: Path) -> dict[str, float]:
    """What a base loses where its folder becomes a single file, and that a folder again, in the precision it is in.

    Outputs of the same weights may differ in their last bits, since kernels sum by the weights' place in memory.
    """
    single, again = scratch / "single.safetensors", scratch / "again"
    dtype = DTYPES[precision_of(family)]
    base = load(folder, family)
    expected, sums = list(outputs(base)), checksums(base)
    save_single_file(base, single, dtype)
    found: dict[str, float] = {"tensors": len(read_header(single)) - 1, "weights": len(sums)}
    for name, place in (("single_file", single), ("folder", again)):
        base = load(place, family)
        pairs = zip(outputs(base), expected, strict=True)
        found[name] = max(((one - other).float().norm() / other.float().norm()).item() for one, other in pairs)
        found[f"{name}_weights"] = sum(sums.get(key) != value for key, value in checksums(base).items())
        if place == single:
            save_folder(base, again, dtype)
            single.unlink()
    return found


def checksums(base: Base) -> dict[str, str]:
    """A hash of every weight by its name."""
    models = {**base.models, "vae": base.vae}
    return {
        f"{part}.{name}": hashlib.sha256(value.contiguous().view(torch.uint8).numpy().data).hexdigest()
        for part, model in models.items()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }


@torch.no_grad()
def outputs(base: Base) -> Iterator[Tensor]:
    """What the UNet, the VAE's two halves and the text encoders give for the same inputs."""
    text = base.encode_text(["a photo of a linen shirt at the beach"])
    yield from (text[key] for key in sorted(text))
    yield Probe(base, with_text=False).outputs(base)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents, spread = base.encode_images(pixels)
    yield from (latents, spread, base.vae.decode(latents.to(base.vae.dtype)).sample)
