"""VAEs that come from elsewhere, and VAEs whose precision does not hold their numbers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lapel.base.families import Family
from lapel.base.fill import filled
from lapel.base.single_file import VAE_ROOT
from lapel.base.weights import open_weights
from lapel.errors import UserError

_ORIGINAL = "encoder.down.0.block.0.norm1.weight"
_DIFFUSERS = "encoder.down_blocks.0.resnets.0.norm1.weight"
_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def latents_of(vae: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the latents of `pixels` (n, 3, h, w) in [-1, 1]; see `Base.encode_images`."""
    posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
    shift, scale = vae.config.get("shift_factor") or 0.0, vae.config.scaling_factor
    return (posterior.mean.float() - shift) * scale, posterior.std.float() * scale


def load_vae(place: Path | str, family: Family, config: dict[str, Any], dtype: torch.dtype) -> Any:
    """An AutoencoderKL from a file, a diffusers folder or a hub id, in `dtype`.

    A family's VAE that overflows in half precision is loaded in fp32, unless its configuration says that this one does
    not (`force_upcast: false`, as the fp16-safe VAEs of SDXL have it).

    Args:
        config: of the base's own VAE, which a file's must have the build of; folders and hub ids bring their own.

    Raises:
        UserError: a file of something else.
    """
    from diffusers import AutoencoderKL

    if isinstance(place, Path) and place.is_file():
        return vae_from_file(place, config, torch.float32 if family.fp32_vae else dtype)
    inner = isinstance(place, Path) and (place / "vae" / "config.json").is_file()
    where: dict[str, Any] = {"subfolder": "vae"} if inner else {}
    stated: Any = AutoencoderKL.load_config(str(place), **where)
    if stated.get("_class_name", "AutoencoderKL") != "AutoencoderKL":
        raise UserError(
            f"{place}: {stated['_class_name']}, not a VAE of Stable Diffusion; --vae takes an AutoencoderKL"
        )
    precise = family.fp32_vae and stated.get("force_upcast", True)
    return AutoencoderKL.from_pretrained(str(place), torch_dtype=torch.float32 if precise else dtype, **where)


def vae_from_file(path: Path, config: dict[str, Any], dtype: torch.dtype) -> Any:
    """The VAE of `x.vae.pt`, a .safetensors file in the original's or diffusers' names, or a whole checkpoint.

    Raises:
        UserError: no VAE is in the file, or one of another build than `config`.
    """
    weights = open_weights(path)
    names = {name.removeprefix(VAE_ROOT): name for name in weights.shapes}
    names = {name: raw for name, raw in names.items() if name.startswith(("encoder.", "decoder.", "quant_", "post_"))}
    if _ORIGINAL not in names and _DIFFUSERS not in names:
        raise UserError(f"{path}: no VAE is in it; --vae takes a file, a folder or a hub id of one")
    read = weights.read(names.values(), dtype)
    return vae_of({name: read[raw] for name, raw in names.items()}, config, path)


def vae_of(tensors: dict[str, torch.Tensor], config: dict[str, Any], path: Path) -> Any:
    """An AutoencoderKL of that configuration with these weights, in the original's names or in diffusers'.

    Raises:
        UserError: weights are missing or of another shape.
    """
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    if _ORIGINAL in tensors:
        tensors = convert_ldm_vae_checkpoint({f"{VAE_ROOT}{name}": value for name, value in tensors.items()}, config)
    tensors = {_present_name(name): value for name, value in tensors.items()}
    return filled(lambda: AutoencoderKL.from_config(config), tensors, path)


def _present_name(name: str) -> str:
    """The name that attention has in diffusers now, of the one that it had when the first VAEs were published."""
    for before, after in {
        ".query.": ".to_q.",
        ".key.": ".to_k.",
        ".value.": ".to_v.",
        ".proj_attn.": ".to_out.0.",
    }.items():
        name = name.replace(before, after)
    return name


def guard(vae: Any) -> None:
    """Have a VAE take any precision, and turn to fp32 for good once its own gives NaN or infinity.

    Stock pipelines hand a VAE what the UNet's precision gives them. Half precision overflows in some VAEs on some
    pictures; WebUI answers in the same way.
    """

    def guarded(method: Callable[..., Any], result_of: Callable[[Any], torch.Tensor]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            result = method(tensor.to(vae.dtype), *args, **kwargs)
            if vae.dtype == torch.float32 or result_of(result).isfinite().all():
                return result
            name = str(vae.dtype).removeprefix("torch.")
            print(f"warning: the VAE overflowed in {name}; it goes on in fp32", file=sys.stderr)
            vae.to(torch.float32)
            return method(tensor.to(torch.float32), *args, **kwargs)

        return call

    vae.encode = guarded(vae.encode, lambda result: result[0].parameters)
    vae.decode = guarded(vae.decode, lambda result: result[0])
