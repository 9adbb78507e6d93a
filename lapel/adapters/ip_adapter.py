"""IP-Adapter's file layout, in which garment encoders are written and read: `image_proj.*` and `ip_adapter.*`.

`image_proj` is the projection under the official names, `ip_adapter.<N>.to_k_ip.weight` and `to_v_ip.weight` are those
of the N-th attention processor as diffusers counts them: self-attentions too, from 0, the middle block last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.adapters.encoder import cross_attentions
from lapel.adapters.encoder_settings import Form
from lapel.adapters.export import base_metadata
from lapel.base.base import Base
from lapel.base.find import encoder_file
from lapel.base.save import require_finite
from lapel.base.weights import PICKLES, read_header
from lapel.errors import UserError
from lapel.files import save_tensors, written_whole

_RESAMPLER = (
    (r"(layers\.\d+)\.ln0\.", r"\1.0.norm1."),
    (r"(layers\.\d+)\.ln1\.", r"\1.0.norm2."),
    (r"(layers\.\d+)\.attn\.to_q\.", r"\1.0.to_q."),
    (r"(layers\.\d+)\.attn\.to_out\.0\.", r"\1.0.to_out."),
    (r"(layers\.\d+)\.ff\.0\.", r"\1.1.0."),
    (r"(layers\.\d+)\.ff\.1\.net\.0\.proj\.", r"\1.1.1."),
    (r"(layers\.\d+)\.ff\.1\.net\.2\.", r"\1.1.3."),
    (r"^image_embeds\.", r"proj."),
)
"""diffusers' names of the projections' weights -> the official ones; keys and values apart, which go together."""
_KEYS, _VALUES = ".attn.to_k.", ".attn.to_v."


@dataclass(frozen=True)
class EncoderFile:
    """A garment encoder's file by its tensors."""

    path: Path
    image_proj: dict[str, Tensor]
    ip_adapter: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def form(self) -> Form:
        """`plus` where it resamples patches, `plain` where it projects one embedding."""
        return "plus" if "latents" in self.image_proj else "plain"

    @property
    def width(self) -> int:
        """Of the image tower's features that it takes."""
        return self.image_proj["proj_in.weight" if self.form == "plus" else "proj.weight"].shape[1]

    @property
    def cross(self) -> int:
        """Numbers per token of the UNet that it was made for."""
        return next(iter(self.ip_adapter.values())).shape[1]

    def require_tower(self, tower: str, width: int) -> None:
        """Refuse an image tower with features of another width than the encoder takes.

        Raises:
            UserError: it is another one than the encoder was trained with.
        """
        if self.width != width:
            raise UserError(
                f"{self.path}: takes features of {self.width} numbers, and {tower} gives {width}; give the "
                "--image_tower that it was trained with"
            )

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The form that diffusers' `load_ip_adapter` takes."""
        return {"image_proj": self.image_proj, "ip_adapter": self.ip_adapter}


def encoder_tensors(unet: Any) -> dict[str, Tensor]:
    """The garment encoder in a UNet, by the official names, detached, in its own precision."""
    projection = unet.encoder_hid_proj.image_projection_layers[0].state_dict()
    tensors = {f"image_proj.{name}": tensor for name, tensor in _official(projection).items()}
    for number, name in cross_attentions(unet):
        processor = unet.attn_processors[name]
        tensors[f"ip_adapter.{number}.to_k_ip.weight"] = processor.to_k_ip[0].weight.detach()
        tensors[f"ip_adapter.{number}.to_v_ip.weight"] = processor.to_v_ip[0].weight.detach()
    return tensors


def _official(projection: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in projection.items():
        if _VALUES in name:
            continue
        if _KEYS in name:
            both = torch.cat([tensor, projection[name.replace(_KEYS, _VALUES)]])
            tensors[name.replace(_KEYS, ".0.to_kv.")] = both
            continue
        for pattern, official in _RESAMPLER:
            name = re.sub(pattern, official, name)
        tensors[name] = tensor
    return tensors


def encoder_file_name(name: str, form: Form, family: str) -> str:
    """A name by which front ends know form and family: `ip-adapter-plus_<name>_sd15`, without suffix."""
    return f"ip-adapter{'-plus' if form == 'plus' else ''}_{name}_{family}"


def save_encoder(
    base: Base, folder: Path, stem: str, metadata: Mapping[str, str], dtype: torch.dtype = torch.float16
) -> list[Path]:
    """Write `<stem>.safetensors` and, for front ends that want it, `<stem>.bin` into `folder`.

    Args:
        base: with the encoder that `inject_encoder` put in.
        metadata: further fields of the header, strings all: the image tower's name, for one.
        dtype: of the stored numbers; every reader takes fp16.

    Returns:
        The two paths, in this order.

    Raises:
        UserError: a value is NaN or infinite, or too large for `dtype`; nothing is written then.
    """
    learned = encoder_tensors(base.unet)
    require_finite(learned, dtype)
    tensors = {name: tensor.cpu().to(dtype).contiguous() for name, tensor in learned.items()}
    facts = {"lapel_kind": "garment encoder", "lapel_family": base.family.name, **base_metadata(base), **metadata}
    paths = [folder / f"{stem}.safetensors", folder / f"{stem}.bin"]
    save_tensors(paths[0], tensors, facts)
    with written_whole(paths[1]) as unfinished:
        torch.save(_nested(tensors), unfinished)
    return paths


def _nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """By the level before the first dot, as the pickled form has it."""
    nested: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in tensors.items():
        level, _, rest = name.partition(".")
        nested.setdefault(level, {})[rest] = tensor
    return nested


def read_encoder(path: Path) -> EncoderFile:
    """Read an IP-Adapter's file, of either form and suffix, or the shipped one by its name `tiny`.

    Raises:
        UserError: it is missing, damaged, no IP-Adapter, or one of a form that is not for garments (full, FaceID).
    """
    path = encoder_file(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a garment encoder's .safetensors or .bin file")
    metadata: dict[str, str] = {}
    if path.suffix in PICKLES:
        nested = _read_pickle(path)
    else:
        from safetensors.torch import load_file

        metadata = read_header(path).get("__metadata__", {})
        nested = _nested(load_file(path))
    if nested.keys() != {"image_proj", "ip_adapter"} or not all(nested.values()):
        raise UserError(f"{path}: not a garment encoder (an IP-Adapter holds image_proj.* and ip_adapter.*, no more)")
    known = {"latents", "proj_in.weight"} <= nested["image_proj"].keys() or "proj.weight" in nested["image_proj"]
    if not known:
        raise UserError(f"{path}: an IP-Adapter of another form (full or FaceID); give a plain or a plus one")
    return EncoderFile(path, nested["image_proj"], nested["ip_adapter"], metadata)


def _read_pickle(path: Path) -> dict[str, dict[str, Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler meets damage with whatever the damaged instruction leads to
        raise UserError(f"{path}: damaged, or more than weights ({type(error).__name__}); download it again") from None
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise UserError(f"{path}: not a garment encoder (an IP-Adapter holds image_proj and ip_adapter)")
    return content


def start_encoder(base: Base, file: EncoderFile, form: Form, width: int) -> None:
    """Put a file's numbers into the encoder that `inject_encoder` put into a base.

    Raises:
        UserError: another form, or made for another base or image tower.
    """
    _require(file, form, width, base.unet.config.cross_attention_dim)
    fresh = encoder_tensors(base.unet)
    stored = {f"image_proj.{name}": tensor for name, tensor in file.image_proj.items()}
    stored |= {f"ip_adapter.{name}": tensor for name, tensor in file.ip_adapter.items()}
    odd = sorted(fresh.keys() ^ stored.keys()) or [name for name in fresh if fresh[name].shape != stored[name].shape]
    if odd:
        raise UserError(f"{file.path}: made for another base or another build of encoder ({odd[0]}, for one)")
    with torch.no_grad():
        for number, name in cross_attentions(base.unet):
            processor = base.unet.attn_processors[name]
            processor.to_k_ip[0].weight.copy_(file.ip_adapter[f"{number}.to_k_ip.weight"])
            processor.to_v_ip[0].weight.copy_(file.ip_adapter[f"{number}.to_v_ip.weight"])
        projection = base.unet.encoder_hid_proj.image_projection_layers[0]
        projection.load_state_dict(_of_diffusers(projection.state_dict(), file.image_proj))


def _of_diffusers(names: Mapping[str, Tensor], official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors under the names that a projection of diffusers has for its own."""
    tensors = {}
    for name in names:
        half = 0 if _KEYS in name else 1 if _VALUES in name else None
        if half is not None:
            both = official[re.sub(r"\.attn\.to_[kv]\.", ".0.to_kv.", name)]
            tensors[name] = both.chunk(2)[half]
            continue
        known = name
        for pattern, replacement in _RESAMPLER:
            known = re.sub(pattern, replacement, known)
        tensors[name] = official[known]
    return tensors


def _require(file: EncoderFile, form: Form, width: int, cross: int) -> None:
    if file.form != form:
        raise UserError(f"{file.path}: an IP-Adapter of form {file.form}, not {form}; give --form {file.form}")
    file.require_tower("the image tower", width)
    if file.cross != cross:
        raise UserError(
            f"{file.path}: made for a base with {file.cross} numbers per token, not {cross}; choose another"
        )


def wear_encoder(pipeline: Any, file: EncoderFile, weight: float) -> None:
    """Bring a garment encoder into a pipeline with diffusers' own loader; photos come as image embeds.

    Args:
        weight: 1 as it was trained, 0 not at all.

    Raises:
        UserError: it was made for another base.
    """
    _require(file, file.form, file.width, pipeline.unet.config.cross_attention_dim)
    try:
        pipeline.load_ip_adapter(file.state(), subfolder=None, weight_name=None, image_encoder_folder=None)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"{file.path}: made for another base than this one ({str(error).splitlines()[0]})") from None
    pipeline.set_ip_adapter_scale(weight)
