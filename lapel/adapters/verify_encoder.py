"""Read a garment encoder's exported files back through diffusers' own loader, and compare with what was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.adapters.compare import OUTPUT_NOISE, Probe
from lapel.adapters.encoder import strength, with_photos
from lapel.adapters.ip_adapter import encoder_tensors, read_encoder, wear_encoder
from lapel.base.base import UNCACHED, Base


@dataclass(frozen=True)
class EncoderReading:
    """One file, read by diffusers, against the trained encoder. Norms are Frobenius', errors relative."""

    file: str
    tensors: int
    tensor_error: float
    """The worst tensor's |read - trained| / |trained|."""
    output_error: float
    """|read - trained| / |trained| of the UNet's output on the same latents, text and features."""
    effect: float
    """|trained - base| / |trained| of the same output: what the photo does."""


def verify_encoder(base: Base, files: Sequence[Path]) -> list[EncoderReading]:
    """Read files back into fresh copies of the UNet and compare every tensor and the output.

    Raises:
        RuntimeError: a file does not give the trained encoder back; the message names the file.
    """
    learned = encoder_tensors(base.unet)
    trained = _output(base)
    with strength(base.unet, 0.0):
        bare = _output(base)
    readings = []
    for path in files:
        fresh = dataclasses.replace(base, unet=_bare_copy(base.unet))
        wear_encoder(fresh.pipeline(), read_encoder(path), 1.0)
        # diffusers keeps what it loads in the base's precision.
        coarsest = max((torch.float16, base.dtype), key=lambda dtype: torch.finfo(dtype).eps)
        readings.append(_compare(path, fresh, learned, trained, bare, base.dtype, coarsest))
    return readings


def _bare_copy(unet: Any) -> Any:
    """The UNet without its encoder, in new modules that share the frozen weights."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        fresh = type(unet).from_config({**unet.config, "encoder_hid_dim_type": None})
    own = fresh.state_dict().keys()
    fresh.load_state_dict({name: value for name, value in unet.state_dict().items() if name in own}, assign=True)
    return fresh.to(unet.device).requires_grad_(False).eval()


@torch.no_grad()
def _output(base: Base) -> Tensor:
    """The UNet's output on fixed latents, text and features, flat, fp32."""
    probe = Probe(base, with_text=False)
    projection = base.unet.encoder_hid_proj.image_projection_layers[0]
    first = projection.proj_in if hasattr(projection, "proj_in") else projection.image_embeds
    shape = (1, 9, first.in_features) if hasattr(projection, "proj_in") else (1, first.in_features)
    features = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    conditions = base.unet_conditions(probe.text, original_size=(512, 512), target_size=(512, 512))
    conditions = with_photos(conditions, features.to(base.device, base.dtype))
    latents, timestep = probe.latents.to(base.device, base.dtype), torch.tensor([500], device=base.device)
    # The trained encoder is in fp32 whatever the base's precision; one that was read is in the base's.
    with torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32, **UNCACHED):
        output = base.unet(latents, timestep, **conditions).sample
    return output.float().flatten().cpu()


def _compare(
    path: Path,
    fresh: Base,
    learned: dict[str, Tensor],
    trained: Tensor,
    bare: Tensor,
    dtype: torch.dtype,
    coarsest: torch.dtype,
) -> EncoderReading:
    read = encoder_tensors(fresh.unet)
    if read.keys() != learned.keys():
        odd = sorted(read.keys() ^ learned.keys())
        raise RuntimeError(
            f"{path}: {len(read)} tensors read back, {len(learned)} trained; the first odd one: {odd[0]}"
        )
    # What is far below the tensor's largest number may be lost to fp16's range.
    errors = {
        name: ((read[name].float() - tensor.float()).norm() / tensor.float().norm().clamp_min(1e-6)).item()
        for name, tensor in learned.items()
    }
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= torch.finfo(coarsest).eps:
        raise RuntimeError(f"{path}: {worst} is not what was trained (off by {errors[worst]:.2%})")
    size = trained.norm()
    error, effect = ((_output(fresh) - trained).norm() / size).item(), ((bare - trained).norm() / size).item()
    allowed = 0.02 * effect + OUTPUT_NOISE[dtype]
    if not error <= allowed:
        raise RuntimeError(
            f"{path}: the UNet's output differs by {error:.2%} from the trained one's; {allowed:.2%} is what the "
            "file's precision allows"
        )
    return EncoderReading(path.name, len(read), errors[worst], error, effect)


def encoder_lines(readings: Sequence[EncoderReading]) -> list[str]:
    """The table for people: one line per reading."""
    lines = [f"{'file':48} {'tensors':>7} {'effect':>8} {'error':>8}"]
    for reading in readings:
        lines.append(f"{reading.file:48} {reading.tensors:7} {reading.effect:8.2%} {reading.output_error:8.4%}")
    return lines
