"""Captions: what the shop wrote, or what the file's name tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lapel.errors import UserError

_VIEW_WORDS = {
    "front": ("front",),
    "back": ("back", "rear", "behind"),
    "side": ("side", "left", "right", "profile"),
    "detail": ("detail", "details", "closeup", "zoom", "macro", "fabric", "label"),
    "worn": ("worn", "model", "wearing", "onmodel", "look", "person"),
}

VIEWS = tuple(_VIEW_WORDS)

_TEMPLATES = {
    "": "a photo of {}",
    "front": "a photo of {}, front view",
    "back": "a photo of {}, back view",
    "side": "a photo of {}, side view",
    "detail": "a close-up photo of {}",
    "worn": "a photo of a person wearing {}",
}

# Class word -> further names of it that shops use. The names of the photo's file and folder are searched for them.
_CLASS_WORDS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("tshirt", "t shirt", "tee", "tee shirt"),
    "long sleeve shirt": ("long sleeve", "longsleeve", "long sleeve t shirt", "long sleeve tee"),
    "button shirt": ("button up", "button down", "button up shirt", "button down shirt", "oxford shirt"),
    "polo shirt": ("polo",),
    "shirt": (),
    "blouse": (),
    "tank top": ("tank", "sleeveless top", "singlet"),
    "top": (),
    "sweatshirt": (),
    "hoodie": ("hoody", "hooded sweatshirt"),
    "sweater": ("pullover", "jumper", "half zip"),
    "cardigan": (),
    "jacket": ("parka", "windbreaker"),
    "coat": ("raincoat", "overcoat"),
    "blazer": (),
    "vest": ("waistcoat", "gilet"),
    "suit": (),
    "dress": ("gown",),
    "skirt": (),
    "trousers": ("chinos", "slacks"),
    "pants": ("joggers",),
    "capri pants": ("capri", "capris"),
    "jeans": (),
    "leggings": (),
    "shorts": (),
    "jumpsuit": ("romper",),
    "overalls": ("dungarees",),
    "swimsuit": ("bikini",),
    "pyjamas": ("pajamas",),
    "robe": ("kimono",),
    "boot": ("boots",),
    "shoe": ("shoes", "loafers"),
    "sneaker": ("sneakers", "trainers"),
    "sandal": ("sandals",),
    "cap": (),
    "hat": (),
    "beanie": (),
    "scarf": (),
    "gloves": (),
    "socks": (),
    "tie": (),
    "belt": (),
    "backpack": ("rucksack",),
    "bag": ("handbag", "tote"),
}


def words_of(name: str) -> list[str]:
    """The words of a file's or folder's name, in lower case: `mt04-blue_Back.jpg` -> mt, blue, back, jpg."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def view_of(stem: str) -> str:
    """The view that a photo's name tells: front, back, side, detail, worn, or "" where it does not."""
    words = words_of(stem)
    return next((view for view, names in _VIEW_WORDS.items() if any(name in words for name in names)), "")


def class_word_of(text: str) -> str | None:
    """The class word that `text` contains; of several the last one, which in English is the thing itself."""
    haystack = f" {' '.join(words_of(text))} "
    found = []
    for class_word, others in _CLASS_WORDS.items():
        for name in (class_word, *others):
            at = haystack.rfind(f" {' '.join(words_of(name))} ")
            if at >= 0:
                found.append((at + len(name), len(name), class_word))
    return max(found)[2] if found else None


def read_text(path: Path) -> str:
    """A small text file in UTF-8 (a byte order mark is allowed); `UserError` where it is not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def compose(written: str | None, view: str, trigger: str, class_word: str) -> str:
    """The training caption, in which `<trigger> <class word>` stands for the garment.

    A written caption keeps its words: `{garment}` in it becomes the garment's name; else the class word gets the
    trigger before it; else the name is put before the caption. Without one, the view makes the caption.
    """
    garment = f"{trigger} {class_word}"
    if written is None:
        return _TEMPLATES[view].format(garment)
    text = " ".join(written.split())
    if "{garment}" in text:
        return text.replace("{garment}", garment)
    if re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text):
        return text
    named, count = re.subn(rf"(?<!\w){re.escape(class_word)}(?!\w)", lambda _: garment, text, count=1, flags=re.I)
    return named if count else f"a photo of {garment}, {text}"


def first_class_word(texts: Iterable[str]) -> str | None:
    """The class word of the first of `texts` that contains one."""
    return next((word for word in map(class_word_of, texts) if word), None)
