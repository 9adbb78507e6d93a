"""What a photo shows, read zero-shot by a pair of towers that a program brings along: view, place and attributes.

This room knows nothing of models: it asks a `Reader` which of some texts fits a picture, and believes it where it is
sure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lapel.photos.vocabulary import ATTRIBUTES
from lapel.wardrobe import SCENE_WORDS, with_article

if TYPE_CHECKING:
    from PIL import Image

SURE = 0.95
"""The probability from which a reading is believed. `scripts/evaluate.py views` shows what that is worth."""

_VIEW_TEXTS = {
    "front": ("a photo of {}, front view", "a flat lay of {}"),
    "back": ("a photo of {}, back view", "the back of {}"),
    "side": ("a photo of {}, side view", "the side of {}"),
    "detail": ("a close-up of {}", "a detail of {}"),
    "worn": ("a photo of a person wearing {}", "a person wearing {}"),
}


class Reader(Protocol):
    """A pair of towers. `name` is what the user called it, `fingerprint` names its weights.

    `views`, `scenes` and `attributes` are the words that it can be asked about; others it has never seen.
    """

    name: str
    fingerprint: str

    @property
    def views(self) -> Sequence[str]: ...

    @property
    def scenes(self) -> Sequence[str]: ...

    @property
    def attributes(self) -> Mapping[str, Sequence[str]]: ...

    def probabilities(self, picture: Image.Image, texts: Sequence[str]) -> list[float]:
        """How well each text fits the RGB picture, beside the others: they add up to 1."""
        ...


@dataclass(frozen=True)
class Choice:
    """What was read: the likeliest of the words, and its probability."""

    word: str
    probability: float

    @property
    def sure(self) -> bool:
        """Whether it is believed."""
        return self.probability >= SURE


def read_view(reader: Reader, picture: Image.Image, class_word: str, another: bool = False) -> Choice:
    """The view of a garment in a whole photo; where the name says that it is `another` view, it is not the front."""
    views = [view for view in reader.views if not (another and view == "front")]
    texts = {view: [text.format(with_article(class_word)) for text in _VIEW_TEXTS[view]] for view in views}
    return _choose(reader, picture, texts)


def read_scene(reader: Reader, picture: Image.Image, class_word: str) -> Choice:
    """The place, in the words that a caption says it with: `at the beach`."""
    words = [SCENE_WORDS[scene] for scene in reader.scenes]
    return _choose(reader, picture, {word: [f"a photo of {with_article(class_word)}, {word}"] for word in words})


def read_attributes(reader: Reader, picture: Image.Image, class_word: str) -> dict[str, Choice]:
    """The attributes of the garment that the reader knows words for."""
    return {
        attribute: _choose(
            reader, picture, {value: ["a photo of " + with_article(f"{value} {class_word}")] for value in values}
        )
        for attribute, values in reader.attributes.items()
    }


def all_attributes() -> dict[str, tuple[str, ...]]:
    """Every attribute's values, for readers that were taught in all words."""
    return {attribute: tuple(values) for attribute, values in ATTRIBUTES.items()}


@dataclass(frozen=True)
class Readings:
    """What was surely read of one photo: "" and nothing where it was not."""

    view: str = ""
    place: str = ""
    attributes: tuple[str, ...] = ()
    """`attribute: value` each."""


def read_photo(reader: Reader | None, picture: Image.Image, class_word: str, another: bool) -> Readings:
    """All that `reader` is sure of in a whole photo; without one nothing is read."""
    if reader is None:
        return Readings()
    view, place = read_view(reader, picture, class_word, another), read_scene(reader, picture, class_word)
    chosen = read_attributes(reader, picture, class_word).items()
    attributes = tuple(f"{attribute}: {choice.word}" for attribute, choice in chosen if choice.sure)
    return Readings(view.word if view.sure else "", place.word if place.sure else "", attributes)


def agreed(readings: Sequence[Sequence[str]]) -> dict[str, str]:
    """The attributes that were read alike in more than half of the photos."""
    counts = Counter(said for of_photo in readings for said in of_photo)
    often = (said.split(": ") for said, count in counts.items() if 2 * count > len(readings))
    return dict(often)


def _choose(reader: Reader, picture: Image.Image, texts: Mapping[str, Sequence[str]]) -> Choice:
    """The word whose texts fit best together."""
    owners = [word for word, of_word in texts.items() for _ in of_word]
    shares = reader.probabilities(picture, [text for of_word in texts.values() for text in of_word])
    sums = dict.fromkeys(texts, 0.0)
    for word, share in zip(owners, shares, strict=True):
        sums[word] += share
    best = max(sums, key=lambda word: sums[word])
    return Choice(best, sums[best])
