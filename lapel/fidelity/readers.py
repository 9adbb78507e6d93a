"""Readers of photos (`lapel.photos.reading.Reader`): tiny's own towers, or those of open_clip, loaded on demand.

open_clip reads FashionSigLIP, FashionCLIP and their like by hub id, `hf-hub:Marqo/marqo-fashionSigLIP`, or from a
folder with `open_clip_config.json` and weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import TINY_FOLDER
from lapel.errors import UserError
from lapel.files import sha256
from lapel.photos.reading import Reader, all_attributes
from lapel.photos.vocabulary import ATTRIBUTES
from lapel.wardrobe import PATTERNS, SCENES, VIEWS

if TYPE_CHECKING:
    import torch
    from PIL import Image

_HUB = "hf-hub:"
_CONFIG = "open_clip_config.json"


def load_reader(name: str | None) -> Reader | None:
    """The reader of that name: `tiny`, `hf-hub:ORGANISATION/MODEL`, a folder of open_clip's, or none for None.

    Raises:
        UserError: no such model, or its weights are neither at hand nor to be had.
    """
    return None if name is None else load_towers(name)


def load_towers(name: str) -> TinyReader | OpenClipReader:
    """The towers of a reader of that name, which embed pictures and texts too; raises as `load_reader` does."""
    return TinyReader() if name == "tiny" else OpenClipReader(name)


class TinyReader:
    """The towers of `tiny`, which know the wardrobe's words and drawings."""

    views = VIEWS
    scenes = SCENES

    def __init__(self) -> None:
        from safetensors.torch import load_file

        from lapel.fidelity.identity import ImageTower

        self.name = "tiny"
        self.attributes = {"pattern": [pattern for pattern in PATTERNS if pattern in ATTRIBUTES["pattern"]]}
        self.tower = ImageTower(TINY_FOLDER)
        projection = TINY_FOLDER / "text_projection.safetensors"
        self.scale = float(load_file(projection)["logit_scale"].exp())
        weights = [TINY_FOLDER / part / "model.safetensors" for part in ("image_encoder", "text_encoder")]
        self.fingerprint = _digest([*weights, projection])

    def embed_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors (n, d) of RGB pictures."""
        return self.tower.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (n, d)."""
        return self.tower.embed_texts(texts)

    def probabilities(self, picture: Image.Image, texts: Sequence[str]) -> list[float]:
        """As `Reader.probabilities`."""
        likeness = self.embed_images([picture]) @ self.embed_texts(texts).T
        shares: list[float] = (self.scale * likeness[0]).softmax(dim=-1).tolist()
        return shares


class OpenClipReader:
    """A model of open_clip."""

    views = ("front", "back", "side", "detail", "worn")
    scenes = SCENES

    def __init__(self, name: str) -> None:
        import open_clip
        import torch

        self.name = name
        self.attributes = all_attributes()
        place = _open_clip_place(name)
        try:
            model, processor = open_clip.create_model_from_pretrained(place)
            self.tokenizer: Any = open_clip.get_tokenizer(place)
        except Exception as error:  # open_clip and its hub client raise many kinds
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"--reader {name}: cannot be loaded ({reason}); download it first, or give tiny") from None
        self.model: Any = model.eval()
        self.processor: Any = processor
        digest = hashlib.sha256(name.encode())
        for weight in self.model.state_dict().values():
            digest.update(weight.detach().contiguous().flatten().view(torch.uint8).numpy())
        self.fingerprint = digest.hexdigest()
        self._texts: dict[tuple[str, ...], torch.Tensor] = {}

    def embed_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors (n, d) of RGB pictures."""
        import torch

        with torch.inference_mode():
            vectors: torch.Tensor = self.model.encode_image(torch.stack([*map(self.processor, images)]), normalize=True)
        return vectors

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (n, d)."""
        import torch

        if tuple(texts) not in self._texts:
            with torch.inference_mode():
                self._texts[tuple(texts)] = self.model.encode_text(self.tokenizer(list(texts)), normalize=True)
        return self._texts[tuple(texts)]

    def probabilities(self, picture: Image.Image, texts: Sequence[str]) -> list[float]:
        """As `Reader.probabilities`."""
        import torch

        with torch.inference_mode():
            likeness = self.model.logit_scale.exp() * self.embed_images([picture]) @ self.embed_texts(texts).T
        shares: list[float] = likeness[0].softmax(dim=-1).tolist()
        return shares


def _open_clip_place(name: str) -> str:
    if name.startswith(_HUB):
        return name
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"--reader {name}: no such folder; give tiny, hf-hub:ORGANISATION/MODEL, or a folder")
    if not (folder / _CONFIG).is_file():
        raise UserError(f"--reader {name}: holds no {_CONFIG}; give a folder that open_clip has written")
    return f"local-dir:{folder}"


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256("".join(map(sha256, paths)).encode()).hexdigest()
