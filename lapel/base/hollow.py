"""Bases without their numbers: the real modules, whose parameters have shapes and no memory (the device `meta`)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lapel.base.base import DTYPES, Base
from lapel.base.configs import PUBLISHED, write_configs
from lapel.base.families import Family
from lapel.base.find import TINY_FOLDER, base_place, folder_family, part_folder
from lapel.base.load import compute_as_settled, skip_as_settled, stated, usual_precision
from lapel.base.parts import Wanted
from lapel.base.settings import BaseSettings
from lapel.base.single_file import open_single_file
from lapel.errors import UserError


def hollow_base(settings: BaseSettings, device: torch.device) -> Base:
    """The base that the settings name, as `load_base` would give it on `device`, but on `meta` and without tokenizers.

    No weights are read. Of a hub id that is not on this machine, the configurations are downloaded, but for those of
    the published bases, which lapel knows.

    Raises:
        UserError: as `load_base` does over a base that is missing or of another kind.
    """
    with _configs(settings) as (folder, family):
        dtype = DTYPES[settings.precision or usual_precision(settings.base, device)]
        vae_dtype = Wanted(family, dtype).vae_dtype
        models = dict(hollow_models(folder, family.text_encoders))
        sampler = stated(_sampler(folder), settings)
    unet, vae = models.pop("unet").to(dtype), models.pop("vae").to(vae_dtype)
    encoders = [encoder.to(dtype) for encoder in models.values()]
    for model in (unet, vae, *encoders):
        model.requires_grad_(False).eval()
    skip_as_settled(encoders, family, settings)
    compute_as_settled(unet, vae, settings, device)
    return Base(settings.base, family, unet, vae, encoders, [], sampler, [], clip_skip=settings.clip_skip)


def hollow_resolution(settings: BaseSettings) -> int:
    """Side in pixels of the square pictures that the base was made for; see `hollow_base`."""
    with _configs(settings) as (folder, _):
        unet, vae = (
            json.loads((part_folder(folder, part) / "config.json").read_text("utf-8")) for part in ("unet", "vae")
        )
    return int(unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1))


def hollow_models(folder: Path, text_encoders: int) -> Iterator[tuple[str, Any]]:
    """The models of a diffusers folder by name, of their configurations alone, in fp32."""
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    for name, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        config = json.loads((part_folder(folder, name) / "config.json").read_text(encoding="utf-8"))
        with init_empty_weights():
            model: Any = kind.from_config(config)
        yield name, model
    for number in range(text_encoders):
        name = f"text_encoder{'_2' * number}"
        with init_empty_weights():
            config = CLIPTextConfig.from_pretrained(part_folder(folder, name))
            model = (CLIPTextModelWithProjection if number else CLIPTextModel)(config)
        yield name, model


@dataclass(frozen=True)
class HollowTower:
    """The shape of an image tower: `config` is transformers' of its vision model."""

    config: Any

    def features(self, tokens: bool) -> tuple[int, ...]:
        """Shape of what it gives for a photo, as `Tower.features` does."""
        if not tokens:
            return (self.config.projection_dim,)
        return (self.config.image_size // self.config.patch_size) ** 2 + 1, self.config.hidden_size

    @property
    def bytes(self) -> int:
        """Of its weights, which are in fp32."""
        from accelerate import init_empty_weights
        from transformers import CLIPVisionModelWithProjection

        with init_empty_weights():
            model = CLIPVisionModelWithProjection(self.config)
        return sum(weight.numel() for weight in model.parameters()) * torch.float32.itemsize


def hollow_tower(name: str | None, settings: BaseSettings) -> HollowTower:
    """The image tower that `load_tower` would load for a base, without its weights.

    One whose configuration is not on this machine, or is open-clip's, counts as the usual ViT-H.
    """
    from transformers import CLIPVisionConfig

    place = Path(base_place(settings) if name is None else TINY_FOLDER if name == "tiny" else name)
    for folder in (place, place / "image_encoder") if name is not None else (part_folder(place, "image_encoder"),):
        if (folder / "config.json").is_file():
            return HollowTower(CLIPVisionConfig.from_pretrained(folder))
    return HollowTower(CLIPVisionConfig(**_VIT_H))


_VIT_H: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 1024,
}
"""Of the usual image tower, as its configuration says."""


def _sampler(folder: Path) -> Any:
    import diffusers

    config = json.loads((part_folder(folder, "scheduler") / "scheduler_config.json").read_text(encoding="utf-8"))
    return getattr(diffusers, config["_class_name"]).from_config(config)


@contextmanager
def _configs(settings: BaseSettings) -> Iterator[tuple[Path, Family]]:
    """A folder of the base's configurations, and its family."""
    place = base_place(settings)
    if isinstance(place, str):
        place = _hub_folder(place, settings) or PUBLISHED[place]
    if isinstance(place, Path) and place.is_dir():
        yield place, folder_family(place, settings.base)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if isinstance(place, str):
            write_configs(place, "epsilon", folder)
        else:
            file = open_single_file(place)
            if file.shape == "tiny":
                folder = TINY_FOLDER
            else:
                write_configs(file.family.name, file.prediction_type(), folder, file.zero_terminal_snr)
        yield folder, folder_family(folder, settings.base)


def _hub_folder(hub_id: str, settings: BaseSettings) -> Path | None:
    """The folder of a hub id's configurations; None for a published base that is not on this machine."""
    from huggingface_hub import snapshot_download

    wanted: dict[str, Any] = {"revision": settings.revision, "allow_patterns": ["model_index.json", "*/*config.json"]}
    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True, **wanted))
        if (folder / "unet" / "config.json").is_file():
            return folder
    except OSError:
        pass
    if hub_id in PUBLISHED:
        return None
    try:
        return Path(snapshot_download(hub_id, **wanted))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{hub_id}: its configurations are not here, and the Hub does not give them ({type(error).__name__}); "
            "check the name and the connection, or plan with --base stable-diffusion-v1-5/stable-diffusion-v1-5 or "
            "another published base of its family"
        ) from None
