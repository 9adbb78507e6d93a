"""Photos to latents and captions to embeddings, once, through Hugging Face datasets' cache.

A cache file is named by the content of everything it was made of, encoder weights included, so that nothing stale is
ever read. Its rows hold tensors as the bytes of a small safetensors file, which keeps their shapes and precision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from tqdm import tqdm

from lapel.base.prompts import windows_taken
from lapel.errors import UserError
from lapel.photos.backdrops import VERSION as BACKDROPS
from lapel.photos.backdrops import Backdrop, backdrops_for, caption_on, list_pictures, painted
from lapel.photos.settings import PhotoSettings
from lapel.training.data import Example

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from lapel.base.base import Base
    from lapel.base.image_tower import Tower

# Raised when what is stored changes its meaning, so that no older cache is read.
VERSION = "2"

_MANY = 100
"""Rows from which on a bar shows how far the encoding is."""

Text = Callable[[Tensor], dict[str, Tensor]]
"""From numbers of captions (n,) to what `Base.encode_text` gives for them."""


def encode_photos(base: Base, photos: Dataset, cache_dir: Path, settings: PhotoSettings) -> list[Example]:
    """The photos of a GarmentFolder as latents, each followed by itself on its backdrops; and mirrored with `flip`.

    Raises:
        UserError: every photo whose latent is not finite, or whose mask is empty at the latent's size.
    """
    pictures = list_pictures(settings)
    words = photos.remove_columns(["image", "mask", "figure"])
    backdrops = [backdrops_for(row, settings, pictures) for row in words]
    sides = ("as_is", "mirrored") if settings.flip else ("as_is",)
    digest = _digest(base.vae)
    digest.update(b"inpainting" if base.inpainting else b"")
    for photo, on in zip(photos, backdrops, strict=True):
        digest.update(f"{photo['file']} {photo['image'].size} {sides} {BACKDROPS} {on}".encode())
        for picture in (photo["image"], photo["mask"], photo["figure"]):
            digest.update(picture.tobytes() if picture else b"none")

    def encode(photo: dict[str, Any], number: int) -> dict[str, Tensor]:
        return _encode_photo(base, photo, backdrops[number], sides)

    encoded = _cached(photos, encode, digest.hexdigest(), cache_dir)
    # Captions are not part of the cache: changing one must not cost an encoding.
    examples = [
        Example(
            row["file"],
            caption,
            *_load_picture(tensors, side, number),
            on_backdrop=number > 0,
            around=tensors.get(f"{side}.{number}.around"),
        )
        for row, on, tensors in zip(words, backdrops, encoded, strict=True)
        for side in sides
        for number, caption in enumerate([row["caption"], *(caption_on(row, backdrop) for backdrop in on)])
    ]
    findings = [finding for example in examples if (finding := _fault(example))]
    if findings:
        raise UserError(*dict.fromkeys(findings))
    return examples


def encode_latents(base: Base, photos: Dataset, cache_dir: Path) -> Encoded:
    """Latents and masks of photos by row, with `image` and `mask` among their columns, each as it is: `as_is.0.mean`,
    `as_is.0.std` and `as_is.mask`."""
    digest = _digest(base.vae)
    _take_in_pictures(digest, photos, ("image", "mask"))

    def encode(photo: dict[str, Any], _: int) -> dict[str, Tensor]:
        return _encode_photo(base, {**photo, "figure": None}, (), ("as_is",))

    return _cached(photos.select_columns(["image", "mask"]), encode, digest.hexdigest(), cache_dir)


def encode_cutouts(tower: Tower, photos: Dataset, tokens: bool, cache_dir: Path) -> Encoded:
    """What an image tower sees in the column `cutout`, by row: `features`, fp16, as `Tower.features` has them."""
    digest = _digest(tower.model)
    digest.update(f"{tower.side} {tower.mean} {tower.std} {tokens}".encode())
    _take_in_pictures(digest, photos, ("cutout",))

    def encode(photo: dict[str, Any], _: int) -> dict[str, Tensor]:
        return {"features": tower.features([photo["cutout"]], tokens)[0].half()}

    return _cached(photos.select_columns(["cutout"]), encode, digest.hexdigest(), cache_dir)


def _take_in_pictures(digest: Any, photos: Dataset, columns: Sequence[str]) -> None:
    """The bytes of the pictures as they are stored, which are not decoded for it."""
    from datasets import Image

    stored = photos.select_columns(list(columns))
    for column in columns:
        stored = stored.cast_column(column, Image(decode=False))
    for row in stored:
        for column in columns:
            digest.update(hashlib.sha256(row[column]["bytes"]).digest())


def _encode_photo(
    base: Base, photo: dict[str, Any], backdrops: Sequence[Backdrop], sides: Sequence[str]
) -> dict[str, Tensor]:
    pictures: list[Image.Image] = [photo["image"], *painted(photo, backdrops)]
    mask = torch.from_numpy(np.array(photo["mask"]))[None, None].float() / 255
    tensors: dict[str, Tensor] = {}
    for side in sides:
        turned = mask.flip(-1) if side == "mirrored" else mask
        for number, picture in enumerate(pictures):
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(base.vae.dtype) / 127.5 - 1
            sided = pixels.flip(-1) if side == "mirrored" else pixels
            mean, std = base.encode_images(sided)
            tensors |= {f"{side}.{number}.mean": mean[0], f"{side}.{number}.std": std[0]}
            if base.inpainting:
                tensors[f"{side}.{number}.around"] = surroundings(base, sided, turned)
        # The mean over each latent pixel's area: soft edges and thin straps survive.
        small = torch.nn.functional.adaptive_avg_pool2d(turned, (mean.shape[-2], mean.shape[-1]))
        tensors[f"{side}.mask"] = small[0]
    return tensors


def surroundings(base: Base, pixels: Tensor, mask: Tensor) -> Tensor:
    """What an inpainting base is shown of a picture that is hidden in several ways; the first of them is wholly.

    Args:
        pixels: (1, 3, h, w) in [-1, 1].
        mask: (1, 1, h, w), above 0 where the garment is.

    Returns:
        (ways, 5, h, w) at the latents' size: 1 where it is hidden, and the latents of the picture with grey there.
    """
    hidden = hidings(mask, base.latent_stride)
    shown = [
        pixels.masked_fill(over.bool(), 0.0)
        for over in hidden.repeat_interleave(base.latent_stride, -1).repeat_interleave(base.latent_stride, -2)
    ]
    return torch.cat([hidden, torch.cat([base.encode_images(picture)[0].cpu() for picture in shown])], dim=1)


def hidings(mask: Tensor, stride: int) -> Tensor:
    """Ways to hide a garment (1, 1, h, w), by whole latents (4, 1, h / stride, w / stride), 1 where it is hidden: with
    the whole picture; closely; loosely, by an eighth of the picture's shorter side; and in its box."""
    close = torch.nn.functional.max_pool2d((mask > 0).float(), stride)
    reach = min(close.shape[-2:]) // 8
    loose = torch.nn.functional.max_pool2d(close, 2 * reach + 1, stride=1, padding=reach)
    rows, columns = close[0, 0].amax(1).nonzero()[:, 0], close[0, 0].amax(0).nonzero()[:, 0]
    box = torch.zeros_like(close)
    if len(rows):
        box[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1.0
    return torch.cat([torch.ones_like(close), close, loose, box])


def _load_picture(row: dict[str, Tensor], side: str, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, std and mask of a side of an encoded photo: as it is (number 0), or on its backdrop of that number."""
    return row[f"{side}.{number}.mean"], row[f"{side}.{number}.std"], row[f"{side}.mask"]


def _fault(example: Example) -> str | None:
    if not (example.mean.isfinite().all() and example.std.isfinite().all()):
        return f"{example.file}: its latent is not finite (NaN or infinity); try --precision fp32, or another VAE"
    if example.mask.sum() <= 0:
        return f"{example.file}: its mask is empty at the size of the latent; correct the mask file, or remove it"
    return None


def content_name(examples: Sequence[Example]) -> str:
    """A short name for what is learned from: latents, masks and captions."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.file} {example.caption}".encode())
        for tensor in (example.mean, example.std, example.mask):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def cache_folder(given: Path | None) -> Path:
    """The folder that was given, or lapel's own in the cache of Hugging Face datasets (HF_DATASETS_CACHE)."""
    from datasets import config

    return given or Path(config.HF_DATASETS_CACHE) / "lapel"


def text_of(base: Base, captions: Sequence[str], cache: bool, cache_dir: Path) -> Text:
    """The text of captions by their numbers: from the cache, or through the text encoders at every step.

    Captions of any length: all of them get the windows that the longest takes, as prompts do that are drawn together.
    """
    return _cached_text(base, captions, cache_dir) if cache else _live_text(base, captions)


def _cached_text(base: Base, captions: Sequence[str], cache_dir: Path) -> Text:
    """The captions encoded once: the text encoders are not needed any more."""
    encoded = _encode_captions(base, captions, cache_dir)
    table = {name: tensor.to(base.device) for name, tensor in encoded.stacked(range(len(encoded))).items()}
    return lambda captions: {name: tensor[captions] for name, tensor in table.items()}


def mapped_text(base: Base, captions: Sequence[str], cache_dir: Path) -> Text:
    """The captions encoded once and read from disk as they come: those of a catalogue are many."""
    encoded = _encode_captions(base, captions, cache_dir)
    return lambda captions: {
        name: tensor.to(base.device) for name, tensor in encoded.stacked(captions.tolist()).items()
    }


def _encode_captions(base: Base, captions: Sequence[str], cache_dir: Path) -> Encoded:
    from datasets import Dataset

    windows = windows_taken(base.tokenizers, captions)
    digest = _digest(*base.text_encoders)
    digest.update(f"{list(captions)!r} in {windows}".encode())
    return _cached(
        Dataset.from_dict({"caption": list(captions)}),
        lambda row, _: {name: tensor[0] for name, tensor in base.encode_text([row["caption"]], windows).items()},
        digest.hexdigest(),
        cache_dir,
    )


def _live_text(base: Base, captions: Sequence[str]) -> Text:
    """The captions encoded anew at every step, with gradients: for training the text encoders."""
    tokens = [numbers.to(base.device) for numbers in base.tokenize(captions)]
    return lambda captions: base.encode_tokens([numbers[captions] for numbers in tokens])


class Encoded(Sequence[dict[str, Tensor]]):
    """Tensors by row, in a file that is mapped: a catalogue's would not fit into memory.

    Args:
        rows: with a column `tensors`, each the bytes of a small safetensors file.
        name: of what they were made from, to tell one file from another.
    """

    def __init__(self, rows: Dataset, name: str) -> None:
        self.rows, self.name = rows, name

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, row: int) -> dict[str, Tensor]: ...
    @overload
    def __getitem__(self, row: slice) -> list[dict[str, Tensor]]: ...
    def __getitem__(self, row: int | slice) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        if isinstance(row, slice):
            return [load(tensors) for tensors in self.rows[row]["tensors"]]
        return load(self.rows[row]["tensors"])

    def stacked(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Rows of one shape together, by name, each tensor with the rows along its first axis."""
        found = [load(tensors) for tensors in self.rows[list(rows)]["tensors"]]
        return {name: torch.stack([tensors[name] for tensors in found]) for name in found[0]}


def _cached(
    rows: Dataset, encode: Callable[[dict[str, Any], int], dict[str, Tensor]], fingerprint: str, cache_dir: Path
) -> Encoded:
    """What `encode` gives for every row and its number, from the cache file of that fingerprint where there is one."""
    from datasets import Features, Value

    progress = tqdm(total=len(rows), desc="encode", unit="row", mininterval=1, delay=1, disable=len(rows) < _MANY)

    def as_bytes(row: dict[str, Any], number: int) -> dict[str, bytes]:
        progress.update()
        return {"tensors": save({name: tensor.cpu().contiguous() for name, tensor in encode(row, number).items()})}

    cache_dir.mkdir(parents=True, exist_ok=True)
    encoded = rows.map(
        as_bytes,
        with_indices=True,
        remove_columns=rows.column_names,
        features=Features({"tensors": Value("binary")}),
        new_fingerprint=fingerprint[:32],
        cache_file_name=str(cache_dir / f"encoded-{fingerprint[:32]}.arrow"),
    )
    progress.close()
    return Encoded(encoded, fingerprint[:12])


def _digest(*modules: torch.nn.Module) -> Any:
    """A SHA-256 that has taken in the weights of the modules, in the precision they encode with."""
    digest = hashlib.sha256(VERSION.encode())
    for module in modules:
        for name, weight in module.state_dict().items():
            digest.update(f"{name} {weight.dtype}".encode())
            digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest
