"""The garments of a catalogue that are nearest to a sentence, to be worn: by their photos, or by their captions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lapel.errors import UserError
from lapel.files import written_whole
from lapel.photos.captions import class_word_of
from lapel.photos.catalogue import Catalogue, CatalogueSettings, list_catalogue
from lapel.wardrobe import SCENE_WORDS

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lapel.generation.outfit import Outfit
    from lapel.generation.request import Request

AT_ONCE = 64
"""Photos embedded at a time."""
MOST_PHOTOS = 4
"""Of a garment that is found, those that an encoder is shown: of its front, where there are any."""
_VIEWS = ("front", "", "side", "back", "worn", "detail")
_OF_THE_FRONT = _VIEWS[:3]
_PLACES = "|".join(map(re.escape, SCENE_WORDS.values()))
_OF_THE_PHOTO = re.compile(
    rf"^(?:(?:{_PLACES}), )?(?:an? (?:close-up |product )?photo of |an? (?:flat lay|close-up|detail) of )?"
    rf"|, (?:{_PLACES}|\w+ view)(?=$|,)",
    re.IGNORECASE,
)
"""What of a caption tells of the photo and its place, rather than of the garment."""


@dataclass
class RetrievalSettings:
    """Which garment of a catalogue is worn."""

    catalogue: str | None = None
    """A folder of garment folders, a metadata file (.csv, .jsonl; docs/encoder.md), or `wardrobe:N`. The garment that
    is nearest to `--query` is worn: shown to the encoder where one is worn, and else said in the prompt by its
    caption."""

    query: str = ""
    """A sentence, such as "a striped summer dress"."""

    nearest: int = 1
    """How many garments are taken. An encoder that is shown several mixes them."""

    reader: str = "tiny"
    """The towers that tell what is near: `tiny`, a model of open_clip (`hf-hub:Marqo/marqo-fashionSigLIP`, or a
    folder), or transformers' CLIP (hub id or folder)."""

    def __post_init__(self) -> None:
        """Refuse half a search.

        Raises:
            UserError: a catalogue without a query, a query without a catalogue, or no garment asked for.
        """
        if bool(self.catalogue) != bool(self.query.strip()):
            missing = "--query, such as a striped summer dress" if self.catalogue else "--catalogue"
            raise UserError(f"a search takes a catalogue and a sentence; give {missing}")
        if self.nearest < 1:
            raise UserError(f"--nearest {self.nearest}: take at least 1 garment")

    def listed(self) -> CatalogueSettings:
        """The catalogue's own settings, with its captions as they are written; its files are looked at.

        Raises:
            UserError: everything that is wrong with the catalogue.
        """
        settings = CatalogueSettings(catalogue=str(self.catalogue), captions="written")
        list_catalogue(settings)
        return settings


class Towers(Protocol):
    """A pair of towers onto one unit sphere; `fingerprint` names their weights."""

    @property
    def fingerprint(self) -> str: ...

    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors (n, d) of RGB pictures."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, d)."""
        ...


@dataclass(frozen=True)
class Found:
    """A garment of the catalogue."""

    sku: str
    class_word: str
    words: str
    """Its caption, as far as it tells of the garment."""
    likeness: float
    """Cosine of the sentence and the garment's photos, -1 to 1."""
    photos: tuple[tuple[Image.Image, Image.Image], ...]
    """RGB, and where the garment is (mode L)."""


def find_garments(catalogue: Catalogue, towers: Towers, query: str, nearest: int, cache_dir: Path) -> tuple[Found, ...]:
    """The garments nearest to the sentence, the nearest first.

    A garment lies where the mean of its photos does, each cut out; the index of all is kept in `cache_dir` under the
    hash of the photos and the towers.
    """
    import numpy as np

    index = _index(catalogue, towers, cache_dir)
    # Towers have learned captions, which say that they are of photos.
    sentence = query if "photo" in query.lower() else f"a photo of {query}"
    vector = np.ascontiguousarray(towers.embed_texts([sentence]).cpu().numpy(), np.float32)
    likeness, garments = index.search(vector, min(nearest, index.ntotal))
    return tuple(
        _found(catalogue, int(garment), float(near)) for garment, near in zip(garments[0], likeness[0], strict=True)
    )


def _index(catalogue: Catalogue, towers: Towers, cache_dir: Path) -> Any:
    """faiss' exact index of inner products (Johnson et al., 2017): a row for each garment, by its number."""
    import faiss

    photos = catalogue.photos
    name = hashlib.sha256(f"{photos._fingerprint} {towers.fingerprint}".encode()).hexdigest()[:32]
    path = cache_dir / f"garments-{name}.faiss"
    if path.is_file():
        return faiss.read_index(str(path))
    vectors = _garment_vectors(catalogue, towers)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    with written_whole(path) as unfinished:
        faiss.write_index(index, str(unfinished))
    return index


def _garment_vectors(catalogue: Catalogue, towers: Towers) -> Any:
    """(garments, d) fp32 unit vectors."""
    import numpy as np
    import torch
    from tqdm import tqdm

    photos = catalogue.photos
    starts = range(0, len(photos), AT_ONCE)
    parts = [
        towers.embed_images(photos[start : start + AT_ONCE]["cutout"]).cpu().float()
        for start in tqdm(starts, desc="indexing", unit="batch", mininterval=1)
    ]
    garments = torch.tensor(list(photos["garment"]))
    vectors = torch.cat(parts)
    sums = torch.zeros(int(garments.max()) + 1, vectors.shape[1]).index_add_(0, garments, vectors)
    return np.ascontiguousarray(torch.nn.functional.normalize(sums, dim=-1).numpy())


def _found(catalogue: Catalogue, garment: int, likeness: float) -> Found:
    numbers = [row for row, number in enumerate(catalogue.photos["garment"]) if number == garment]
    rows = [catalogue.photos[number] for number in numbers]
    best = sorted(rows, key=lambda row: _VIEWS.index(row["view"]))
    shown = [row for row in best if row["view"] in _OF_THE_FRONT][:MOST_PHOTOS] or best[:1]
    written = [row for row in best if row["described"] != row["caption"]] or best
    words = _OF_THE_PHOTO.sub("", written[0]["described"])
    photos = tuple((row["image"], row["mask"]) for row in shown)
    return Found(best[0]["sku"], best[0]["class_word"], words, likeness, photos)


def write_found(found: Sequence[Found], folder: Path) -> list[Path]:
    """Write the photos of what was found beside the images, cut out by transparency, as an encoder is shown them."""
    paths = []
    for place, garment in enumerate(found, start=1):
        name = re.sub(r"[^\w.-]+", "-", garment.sku)
        for number, (photo, mask) in enumerate(garment.photos, start=1):
            whole = photo.copy()
            whole.putalpha(mask)
            paths.append(folder / f"found-{place}-{name}-{number}.png")
            with written_whole(paths[-1]) as unfinished:
                whole.save(unfinished, format="PNG")
    return paths


def dressed_in(found: Sequence[Found], request: Request, outfit: Outfit) -> tuple[Request, list[str]]:
    """The request of somebody who wears what was found, and what the prompt must say of it.

    An encoder is shown its photos, which are written beside the images; what none is shown, captions tell.
    """
    assert request.dress is not None
    paths = write_found(found, request.wear.output_dir)
    wear, dress = request.wear, request.dress
    if wear.encoder:
        wear = replace(wear, garment_photo=[*wear.garment_photo, *paths])
    told = outfit.called(dress.garment_words, request.picture.prompt)
    if not told and (word := class_word_of(found[0].class_word)):
        dress = replace(dress, garment_words=", ".join(filter(None, (word, dress.garment_words))))
    captions = [] if wear.encoder else [garment.words for garment in found]
    return replace(request, wear=wear, dress=dress), captions
