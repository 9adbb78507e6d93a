"""The image tower that a garment encoder looks at photos with: transformers' CLIP or an open-clip model, frozen.

Its features are as IP-Adapter (Ye et al., 2023) takes them: the pooled embedding, or every token of the last layer but
one, before the last norm.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lapel.base.find import SHIPPED
from lapel.base.find_tower import TOWERS, open_clip_source, tower_place
from lapel.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base

USUAL_TOWER = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""CLIP's ViT-H, which front ends load for the IP-Adapters of Stable Diffusion 1.5 and for most of SDXL."""

_FEATURE_EXTRACTORS = ("preprocessor_config.json", "../feature_extractor/preprocessor_config.json")
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass
class Tower:
    """An image tower, in evaluation mode, on one device."""

    name: str
    """By which it is found again: `tiny`, a hub id (open-clip's with `hf-hub:`), or a path."""
    model: Any
    """What holds the weights."""
    side: int
    """Of the square images that it takes, in pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of its normalised colours, of 0..1."""
    see: Any
    """A function from normalised pixels (n, 3, side, side), and whether every token is wanted, to features."""

    def release(self) -> None:
        """Give the weights' memory back, once everything was seen."""
        self.model = self.see = None

    @torch.no_grad()
    def features(self, images: Sequence[Image.Image], tokens: bool) -> Tensor:
        """What the tower sees in square RGB images of any size.

        Args:
            tokens: every token of the layer before the last, or else the pooled embedding.

        Returns:
            (n, tokens, c) or (n, d), fp32, on the CPU.
        """
        from PIL import Image

        size, sample = (self.side, self.side), Image.Resampling.BICUBIC
        arrays = [np.asarray(image.convert("RGB").resize(size, sample)) for image in images]
        pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
        mean, std = torch.tensor(self.mean)[:, None, None], torch.tensor(self.std)[:, None, None]
        return self._seen((pixels - mean) / std, tokens)

    @torch.no_grad()
    def nothing(self, tokens: bool) -> Tensor:
        """What stands for no photo, (tokens, c) or (d,), as front ends have it: zero pixels, or a zero embedding."""
        seen = self._seen(torch.zeros(1, 3, self.side, self.side), tokens)[0]
        return seen if tokens else torch.zeros_like(seen)

    def _seen(self, pixels: Tensor, tokens: bool) -> Tensor:
        weight = next(self.model.parameters())
        return self.see(pixels.to(weight.device, weight.dtype), tokens).float().cpu()


def load_tower(name: str | None, base: Base | None = None, device: torch.device | str = "cpu") -> Tower:
    """Load an image tower by its name: `tiny`, a transformers or open-clip folder, or a hub id of either.

    Args:
        name: the base's own tower where its folder has one, and else the usual ViT-H, if not given. A folder may be
            the tower's or that of a base, whose tower is its `image_encoder`.

    Raises:
        UserError: there is no such tower, or it cannot be read or downloaded.
    """
    name = name or tower_name(base)
    with loading(name, "--image_tower"):
        place = tower_place(name, "--image_tower")
        source = open_clip_source(place)
        if source is not None:
            return _open_clip(name, source, device)
        if isinstance(place, Path) and (place / "image_encoder").is_dir():
            place = place / "image_encoder"
        return _transformers(name, place, device)


@contextmanager
def loading(name: str, flag: str) -> Iterator[None]:
    """Says in one line what the two libraries raise over a model that is not there or not theirs.

    Raises:
        UserError: in place of every other exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = textwrap.shorten(first.rstrip("."), 160, placeholder=" ...")
        raise UserError(f"{name}: cannot be loaded as an image tower ({reason}); {flag} takes {TOWERS}") from error


def load_whole(kind: Any, place: Path | str, without: str | None = None) -> Any:
    """A model of transformers' class `kind`, in fp32 and in evaluation mode, with every number read from its file.

    Args:
        without: the name of a part that is not wanted, so that the file may lack it.

    Raises:
        UserError: the file lacks something, which transformers fills with random numbers and a warning.
    """
    model, told = kind.from_pretrained(place, dtype=torch.float32, output_loading_info=True)
    lacking = sorted(name for name in told["missing_keys"] if without is None or not name.startswith(without))
    if lacking:
        raise UserError(f"{place}: no {kind.__name__} (its file lacks {lacking[0]}, for one)")
    return model.eval().requires_grad_(False)


def tower_name(base: Base | None) -> str:
    """The tower of a base: its own where its folder has one, and else the one that front ends expect."""
    if base is None or base.name in SHIPPED:
        return "tiny" if base is not None else USUAL_TOWER
    folder = base.weight_files[0].parent.parent
    return str(folder) if (folder / "image_encoder").is_dir() else USUAL_TOWER


def _transformers(name: str, place: Path | str, device: torch.device | str) -> Tower:
    from transformers import CLIPVisionModelWithProjection

    model = load_whole(CLIPVisionModelWithProjection, place).to(device)

    def see(pixels: Tensor, tokens: bool) -> Tensor:
        output = model(pixels, output_hidden_states=tokens)
        return output.hidden_states[-2] if tokens else output.image_embeds

    return Tower(name, model, model.config.image_size, *_colours(place), see)


def _colours(place: Path | str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the colours, from the tower's files where they tell, and else CLIP's."""
    if isinstance(place, Path):
        found = next((place / file for file in _FEATURE_EXTRACTORS if (place / file).is_file()), None)
        if found is not None:
            config = json.loads(found.read_text(encoding="utf-8"))
            return tuple(config["image_mean"]), tuple(config["image_std"])
    return _CLIP_MEAN, _CLIP_STD


def _open_clip(name: str, source: str, device: torch.device | str) -> Tower:
    import open_clip

    whole, _ = open_clip.create_model_from_pretrained(source, device=device, precision="fp32")
    model, wants = whole.visual.eval().requires_grad_(False), open_clip.get_model_preprocess_cfg(whole)
    last = len(model.trunk.blocks if hasattr(model, "trunk") else model.transformer.resblocks)

    def see(pixels: Tensor, tokens: bool) -> Tensor:
        if not tokens:
            return model(pixels)
        seen = model.forward_intermediates(
            pixels, indices=[last - 2], intermediates_only=True, output_fmt="NLC", output_extra_tokens=True
        )
        parts = [*seen.get("image_intermediates_prefix", []), *seen["image_intermediates"]]
        return torch.cat([part for part in parts if part is not None], dim=1)

    side = wants["size"] if isinstance(wants["size"], int) else wants["size"][0]
    return Tower(name, model, side, tuple(wants["mean"]), tuple(wants["std"]), see)
