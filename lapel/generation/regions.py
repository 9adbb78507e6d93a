"""Words and photos that count in a part of the picture only: regional prompting by masks in the cross-attentions.

As HumanDiffusion binds words to the parts of a semantic map. Each place of the picture attends to the words of one
prompt: its region's, or, outside of all regions, the image's own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.generation.denoise import encode_prompts
from lapel.generation.parsed import PARSED, Parsed, is_parsed
from lapel.photos.people.parsing import PALETTE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from lapel.generation.patch import Alpha, Patch
    from lapel.photos.people.parsing import Classes

    Bools = npt.NDArray[np.bool_]


@dataclass
class RegionSettings:
    """Which words, and which photos, count where."""

    region: list[str] = field(default_factory=list)
    """`WHERE=WORDS` each, such as `upper="a red plaid shirt" lower="blue jeans"`. WHERE is a class of the parsing map,
    or a mask's file, white there; where several cover a place, the last one counts. Elsewhere, the prompt does."""

    region_map: Path | None = None
    """The parsing map that tells where classes are, a PNG in the palette of docs/wear.md; unless given, the one that is
    made of `--shape`, or else the photo's own (`--parsing`), where clothes are changed."""

    encoder_region: str = ""
    """WHERE alone the photos that the garment encoder is shown count; everywhere unless given."""

    def __post_init__(self) -> None:
        """Refuse what names no place.

        Raises:
            UserError: every finding, a line each.
        """
        findings = []
        for text in self.region:
            where, equals, words = text.partition("=")
            if not (where and equals and words.strip()):
                findings.append(f'--region {text}: give a place and its words, as in upper="a red plaid shirt"')
        for where in self.places():
            if where not in PALETTE and not Path(where).is_file():
                findings.append(f"{where}: no such place; give a mask's file, or one of {', '.join(PALETTE)}")
        if self.region_map is not None and is_parsed(self.region_map):
            findings.append(f"--region_map takes a PNG; {PARSED}POSE is for --control, and --shape tells what it shows")
        elif self.region_map is not None and not self.region_map.is_file():
            findings.append(f"{self.region_map}: no such parsing map")
        if self.region_map is not None and not self.places():
            findings.append(
                f"--region_map {self.region_map}: tells where regions are; give --region or --encoder_region"
            )
        if findings:
            raise UserError(*findings)

    def places(self) -> list[str]:
        """Every WHERE that is named."""
        named = [text.partition("=")[0] for text in self.region if "=" in text]
        return [where for where in [*named, self.encoder_region] if where]

    def require_encoder(self, encoder: Path | None) -> None:
        """Refuse a region for photos that nothing is shown.

        Raises:
            UserError: no encoder is worn.
        """
        if self.encoder_region and encoder is None:
            raise UserError(
                f"--encoder_region {self.encoder_region}: no encoder is worn; give --encoder, or leave it out"
            )


@dataclass(frozen=True)
class Regions:
    """Prompts and where they count, in a picture of `size` (width, height)."""

    size: tuple[int, int]
    words: tuple[str, ...] = ()
    masks: tuple[Bools, ...] = ()
    """(h, w) for each of the words."""
    photos: Bools | None = None
    """(h, w) where the garment encoder's photos count; None for everywhere."""

    def cut(self, patch: Patch, alpha: Alpha) -> Regions:
        """Of a photo of their size, the regions in the patch that is drawn, of which `alpha` (h, w) says what changes.

        Raises:
            UserError: nothing of a region changes.
        """
        import numpy as np
        from PIL import Image

        def part(mask: Bools) -> Bools:
            return np.asarray(patch.cut_map(Image.fromarray(mask), self.size))

        missed = [words for words, mask in zip(self.words, self.masks, strict=True) if not alpha[mask].any()]
        if self.photos is not None and not alpha[self.photos].any():
            missed.append("the encoder's photos")
        if missed:
            raise UserError(
                *(f"{what}: its region lies outside of the mask, where nothing is drawn" for what in missed)
            )
        photos = None if self.photos is None else part(self.photos)
        return Regions(patch.size, self.words, tuple(map(part, self.masks)), photos)


def read_regions(
    settings: RegionSettings, size: tuple[int, int], made: Sequence[Parsed] = (), before: Classes | None = None
) -> Regions:
    """The regions of a picture of that size (width, height).

    Args:
        made: parsing maps that were made for it, of which the first one counts.
        before: the parsing map of what the picture is made of, which counts where none was made.

    Raises:
        UserError: a file that cannot be read, a class without a map, or a place that is empty.
    """
    classes = made[0].classes if made else before
    if settings.region_map is not None:
        classes = _read_classes(settings.region_map, size)
    pairs = [text.partition("=")[::2] for text in settings.region]
    masks = tuple(_where(where, size, classes) for where, _ in pairs)
    photos = _where(settings.encoder_region, size, classes) if settings.encoder_region else None
    return Regions(size, tuple(words.strip() for _, words in pairs), masks, photos)


def _read_classes(path: Path, size: tuple[int, int]) -> Classes:
    import numpy as np
    from PIL import Image

    from lapel.photos.people.parsing import read_parsing
    from lapel.photos.read import picture_size

    classes = Image.fromarray(read_parsing(path, picture_size(path)))
    return np.asarray(classes.resize(size, Image.Resampling.NEAREST))


def _where(where: str, size: tuple[int, int], classes: Classes | None) -> Bools:
    """(h, w) the place of that name."""
    import numpy as np
    from PIL import Image

    from lapel.photos.read import picture_size, read_mask
    from lapel.wardrobe import PARSING

    if where not in PARSING:
        mask = read_mask(Path(where), Path(where), picture_size(Path(where)))
        return np.asarray(mask.resize(size, Image.Resampling.NEAREST)) >= 128
    if classes is None:
        raise UserError(f"{where}: no parsing map tells where that is; give --region_map, or --shape and a pose")
    found: Bools = classes == PARSING[where]
    if not found.any():
        present = [name for name, number in PARSING.items() if (classes == number).any()]
        raise UserError(f"{where}: is nowhere on the parsing map, which shows {', '.join(present)}")
    return found


@contextmanager
def regional(pipeline: Any, regions: Regions) -> Iterator[None]:
    """Within the block, whatever the pipeline draws at the regions' size keeps to them.

    Its negative prompt counts everywhere. Of SDXL, the pooled text is the image's own prompt's for all regions.
    """
    if not regions.words and regions.photos is None:
        yield
        return
    unet, plain = pipeline.unet, dict(pipeline.unet.attn_processors)
    encoded = [encode_prompts(pipeline, [words])["prompt_embeds"] for words in regions.words]
    texts = [text.to(unet.device, unet.dtype) for text in encoded]
    cells = Cells(regions, pipeline.vae_scale_factor)
    halves = _Halves(pipeline)
    unet.set_attn_processor(
        {
            name: RegionAttnProcessor(inner, texts, cells, halves) if name.endswith("attn2.processor") else inner
            for name, inner in plain.items()
        }
    )
    try:
        yield
    finally:
        unet.set_attn_processor(plain)


class _Halves:
    """Whether the first half of a batch is the negative prompt's, which a pipeline knows once it runs."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def start(self, count: int) -> int:
        """The place in a batch of so many from which the prompt's own begin."""
        return count // 2 if self.pipeline.do_classifier_free_guidance else 0


class Cells:
    """To which region each cell of a UNet's level belongs: 0 is none, 1 the first."""

    def __init__(self, regions: Regions, stride: int) -> None:
        """`stride`: pixels per latent."""
        import numpy as np

        width, height = regions.size
        self.finest = (height // stride, width // stride)
        self.labels = np.zeros((height, width), np.int64)
        for number, mask in enumerate(regions.masks, start=1):
            self.labels[mask] = number
        self.photos = regions.photos
        self._levels: Mapping[int, tuple[Tensor, Tensor | None]] = {}

    def level(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Of the level with so many cells: the region of each (count), and whether photos count there (count) bool."""
        if count not in self._levels:
            height, width = self.finest
            while height * width > count:
                height, width = -(-height // 2), -(-width // 2)
            if height * width != count:
                raise ValueError(f"no level of a picture of {self.finest} latents has {count} cells")
            labels = _shared(self.labels, (height, width))
            photos = None if self.photos is None else _shared(self.photos.astype("int64"), (height, width)) > 0
            self._levels = {**self._levels, count: (labels, photos)}
        return self._levels[count]


def _shared(labels: npt.NDArray[np.int64], size: tuple[int, int]) -> Tensor:
    """(h * w) the label that most of each cell has."""
    import torch
    import torch.nn.functional as F

    whole = F.one_hot(torch.from_numpy(labels)).permute(2, 0, 1)[None].double()
    return F.adaptive_avg_pool2d(whole, size)[0].argmax(dim=0).flatten()


class RegionAttnProcessor:
    """A cross-attention's own processor, asked once for every prompt; each place takes the answer for its own."""

    def __init__(self, inner: Any, texts: Sequence[Tensor], cells: Cells, halves: _Halves) -> None:
        self.inner, self.texts, self.cells, self.halves = inner, texts, cells, halves
        self.bare = None
        if cells.photos is not None and hasattr(inner, "to_k_ip"):
            self.bare = copy.copy(inner)  # over the same weights
            self.bare.scale = [0.0] * len(inner.scale)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Any = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """As diffusers' processors: (n, cells, c), and text (n, tokens, d), beside photos' tokens or alone."""
        import torch

        labels, photos = self.cells.level(hidden_states.shape[1])
        labels = labels.to(hidden_states.device)
        text, *shown = encoder_hidden_states if isinstance(encoder_hidden_states, tuple) else (encoder_hidden_states,)

        def answer(queries: Tensor, words: Tensor, tokens: list[Any]) -> Tensor:
            states = (words, *tokens) if tokens else words
            made: Tensor = self.inner(attn, queries, states, attention_mask, *args, **kwargs)
            if self.bare is None or photos is None:
                return made
            without = self.bare(attn, queries, states, attention_mask, *args, **kwargs)
            return torch.where(photos.to(made.device)[:, None], made, without)

        whole = answer(hidden_states, text, shown)
        start = self.halves.start(len(hidden_states))
        own, tokens = hidden_states[start:], [[tokens[start:] for tokens in part] for part in shown]
        for number, words in enumerate(self.texts, start=1):
            here = labels == number
            if here.any():
                part = answer(own, words.expand(len(own), -1, -1), tokens)
                drawn = torch.where(here[:, None], part, whole[start:])
                whole = torch.cat([whole[:start], drawn])
        return whole
