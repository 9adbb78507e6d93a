"""Says in natural words what a photograph shows."""

from __future__ import annotations

import re

from lapel.wardrobe.draws import Draws
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.shot import Shot
from lapel.wardrobe.vocabulary import SCENE_WORDS

VIEW_PHRASES = {
    "front": ("a photo of {}, front view", "a flat lay of {}", "a product photo of {}", "a photo of {}"),
    "back": ("a photo of {}, back view", "the back of {}", "a product photo of {} from behind"),
    "detail": ("a close-up of {}", "a detail of {}", "a close-up photo of {}"),
    "worn": ("a photo of a person wearing {}", "{person} wearing {}", "a person wearing {}"),
}

_PLURALS = ("trousers", "shorts", "jeans", "pants", "leggings", "overalls", "pyjamas", "gloves", "socks")


_AN = re.compile(r"(?!ohwx\b|one\b|uni|us[eu]|eu)[aeiou]|hour|heir", re.IGNORECASE)
"""Where words begin with the sound of a vowel. `ohwx`, the usual trigger, is no word: people write `a ohwx t-shirt`."""


def phrase(garment_words: str, view: str, scene: str) -> str:
    """The plainest caption: `a photo of a red t-shirt, front view, in a park`.

    Args:
        garment_words: the garment without its article, such as `Garment.words()` or `<trigger> <class word>`.
        view: one of `VIEWS`.
        scene: one of `SCENES`.
    """
    return f"{VIEW_PHRASES[view][0].format(with_article(garment_words))}, {SCENE_WORDS[scene]}"


def with_article(words: str) -> str:
    """`an orange dress`, `a unisex t-shirt`, `blue trousers`: the one rule for captions and prompts."""
    if words.split(" with ")[0].split(",")[0].endswith(_PLURALS):
        return words
    return f"{'an' if _AN.match(words) else 'a'} {words}"


def caption(garment: Garment, shot: Shot, words: str | None = None) -> str:
    """The caption of a photograph; its wording is drawn from the shot's seed, its attributes always hold.

    Args:
        words: what the garment is called, without its article, instead of its own words: `garment.kind` leaves colours,
            pattern and cut to the photo.
    """
    draws = Draws(shot.seed, stream=4)
    own = garment.words() if draws.chance(0.75) else f"{garment.looks()} {garment.kind}"
    sentence = draws.pick(VIEW_PHRASES[shot.view])
    sentence = sentence.replace("{person}", shot.person.words()).format(with_article(words or own))
    place = SCENE_WORDS[shot.scene]
    return f"{place}, {sentence}" if draws.chance(0.12) else f"{sentence}, {place}"
