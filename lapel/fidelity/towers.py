"""What an `ImageTower` stands on: a base's own towers, transformers' CLIP and image models, and open_clip's.

A base's own are in transformers' classes: `text_encoder/`, `tokenizer/`, `image_encoder/`, `feature_extractor/`, and
`text_projection.safetensors` with `text_projection.weight` (d, c) and `logit_scale` ().
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find_tower import open_clip_source, tower_place
from lapel.errors import UserError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    Prepare = Callable[[Sequence[Image.Image]], Tensor]
    Read = Callable[[Sequence[str]], Tensor]

_ONLY_IMAGES = ("dinov2", "dinov2_with_registers", "dinov3_vit", "vit")
"""Types of transformers' models that know no words, and whose first token stands for the image."""


@dataclass(frozen=True)
class TowerModel:
    """A model, in fp32 and evaluation mode, as functions; what they give is not yet on the unit sphere."""

    prepare: Prepare
    """RGB images of any size to pixels (n, 3, side, side), on the CPU. The centre square is seen, and all of it."""
    see: Callable[[Tensor], Tensor]
    """Such pixels, on the model's device, to (n, d)."""
    read: Read | None
    """Texts to (n, d); None of a model that knows no words."""
    scale: float
    """By which cosines become logits; 1 where there are no words."""
    weights: Mapping[str, Tensor]


def has_tower(folder: Path) -> bool:
    """Whether a base's folder holds the towers beside the base."""
    return (folder / "image_encoder").is_dir() and (folder / "text_projection.safetensors").is_file()


def load_tower_model(name: str, device: str, flag: str) -> TowerModel:
    """Load the model of that name (`lapel.base.find_tower`).

    Args:
        flag: where the name was given.

    Raises:
        UserError: there is no such model, it is of another kind, or it cannot be read or downloaded.
    """
    from transformers.utils.logging import disable_progress_bar

    from lapel.base.image_tower import loading

    disable_progress_bar()
    with loading(name, flag):
        place = tower_place(name, flag)
        source = open_clip_source(place)
        if source is not None:
            return _open_clip(source, device)
        if isinstance(place, Path) and (place / "image_encoder").is_dir():
            return _of_base(place, device)
        return _transformers(place, device)


def _of_base(folder: Path, device: str) -> TowerModel:
    from safetensors.torch import load_file
    from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

    from lapel.base.image_tower import load_whole

    if not has_tower(folder):
        raise UserError(f"{folder}: no pair of towers (it takes image_encoder/ and text_projection.safetensors)")
    vision = load_whole(CLIPVisionModelWithProjection, folder / "image_encoder").to(device)
    text = load_whole(CLIPTextModel, folder / "text_encoder").to(device)
    tensors = load_file(folder / "text_projection.safetensors", device=device)
    projection = tensors["text_projection.weight"].float()
    tokens = _tokens(CLIPTokenizer.from_pretrained(folder / "tokenizer"), text.config.max_position_embeddings, device)
    return TowerModel(
        prepare=_prepare(CLIPImageProcessor.from_pretrained(folder / "feature_extractor")),
        see=lambda pixels: vision(pixels).image_embeds,
        read=lambda texts: text(tokens(texts)).pooler_output @ projection.T,
        scale=float(tensors["logit_scale"].exp()),
        weights={
            **vision.state_dict(),
            **{f"text.{name}": weight for name, weight in text.state_dict().items()},
            **tensors,
        },
    )


def _transformers(place: Path | str, device: str) -> TowerModel:
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    from lapel.base.image_tower import load_whole

    kind = AutoConfig.from_pretrained(place, trust_remote_code=False).model_type
    if kind in _ONLY_IMAGES:
        # Not by the pooler: a ViT of DINO's has none in its file, and transformers fills it with random numbers.
        model = load_whole(AutoModel, place, without="pooler.").to(device)
        return TowerModel(
            prepare=_prepare(AutoImageProcessor.from_pretrained(place, trust_remote_code=False)),
            see=lambda pixels: model(pixels).last_hidden_state[:, 0],
            read=None,
            scale=1.0,
            weights=model.state_dict(),
        )
    if kind != "clip":
        raise UserError(f"{place}: a model of type {kind}; as an image tower, one of clip, {', '.join(_ONLY_IMAGES)}")
    clip = load_whole(CLIPModel, place).to(device)
    tokens = _tokens(CLIPTokenizer.from_pretrained(place), clip.config.text_config.max_position_embeddings, device)
    # By its parts, for what `get_image_features` returns is a matter of transformers' version.
    return TowerModel(
        prepare=_prepare(CLIPImageProcessor.from_pretrained(place)),
        see=lambda pixels: clip.visual_projection(clip.vision_model(pixels).pooler_output),
        read=lambda texts: clip.text_projection(clip.text_model(tokens(texts)).pooler_output),
        scale=float(clip.logit_scale.exp()),
        weights=clip.state_dict(),
    )


def _open_clip(source: str, device: str) -> TowerModel:
    import open_clip
    import torch

    model, preprocess = open_clip.create_model_from_pretrained(source, device=device, precision="fp32")
    model, tokens = model.eval().requires_grad_(False), open_clip.get_tokenizer(source)
    return TowerModel(
        prepare=lambda images: torch.stack([preprocess(image) for image in images]),
        see=model.encode_image,
        read=lambda texts: model.encode_text(tokens(list(texts)).to(device)),
        scale=float(model.logit_scale.exp()),
        weights=model.state_dict(),
    )


def _prepare(processor: Any) -> Prepare:
    """As transformers' processor does, but that what is cut off is never more than lies outside the centre square."""
    how = (
        {"size": {"shortest_edge": processor.crop_size["height"]}}
        if getattr(processor, "do_center_crop", False)
        else {}
    )

    def prepare(images: Sequence[Image.Image]) -> Tensor:
        pixels: Tensor = processor(images=list(images), return_tensors="pt", **how)["pixel_values"]
        return pixels

    return prepare


def _tokens(tokenizer: Any, length: int, device: str) -> Callable[[Sequence[str]], Tensor]:
    """Texts to tokens (n, length), the rest of longer ones cut off."""

    def tokens(texts: Sequence[str]) -> Tensor:
        found = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        ids: Tensor = found["input_ids"].to(device)
        return ids

    return tokens
