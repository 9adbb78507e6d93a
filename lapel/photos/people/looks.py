"""What people wear, in two kinds of words (Text2Human, Jiang et al., 2022): of shape, which a parsing map shows, and of
texture, which a prompt says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lapel.errors import UserError
from lapel.photos.colour_names import NAMES
from lapel.photos.masks.places import part_of
from lapel.photos.people.shape import SLEEVES, Shape, shape_of
from lapel.photos.understand import Embed, Lexicon, understand
from lapel.photos.vocabulary import ATTRIBUTES, CATEGORIES
from lapel.wardrobe import COLOURS, Clothes, Garment, with_article

OUTER = ("cardigan", "jacket", "coat", "blazer", "vest", "robe")
"""Class words of what is worn over an upper garment, where the words tell both."""

_NOT_IN_FRONT = ("suit", "jumpsuit", "overalls", "pyjamas")
"""Clothes for the whole body that have legs."""

_WORDS = Lexicon.of(
    [
        ("sleeves", ATTRIBUTES["sleeves"]),
        ("length", ATTRIBUTES["length"]),
        ("length", {"mini": ("short",), "maxi": ("long",)}),
        ("opening", {"open": ("opened", "unbuttoned", "unzipped", "open front")}),
        ("opening", {"closed": ("fastened",)}),
        ("hair", {"long": ("long hair",), "short": ("short hair",), "bun": ("hair in a bun", "bun hair")}),
        ("part", {"outer": ("outerwear", "outer garment", "outer layer")}),
        ("part", {"upper": ("upper garment", "upper body")}),
        ("part", {"lower": ("lower garment", "bottoms", "lower body")}),
        ("class", CATEGORIES),
        ("texture", ATTRIBUTES["pattern"]),
        ("texture", ATTRIBUTES["texture"]),
        ("texture", dict.fromkeys({**NAMES, **COLOURS}, ())),
        *((name, ATTRIBUTES[name]) for name in ("neckline", "collar", "closure")),
    ]
)

_KINDS = {
    **{name: name for name in ("t-shirt", "tank top", "hoodie", "dress", "skirt", "shorts")},
    **dict.fromkeys(("button shirt", "polo shirt", "shirt"), "button shirt"),
    **dict.fromkeys(OUTER, "jacket"),
    "top": "t-shirt",
    "swimsuit": "tank top",
}
"""Class word -> the kind of the wardrobe that is cut like it; other upper ones are long sleeve shirts, other lower
ones trousers."""

_SLEEVES = {0.0: "none", SLEEVES["short sleeve"]: "short", SLEEVES["three quarter sleeve"]: "three quarter"}
_NECKLINES = {
    "v neck": "v",
    "scoop neck": "scoop",
    "turtle neck": "turtle",
    "boat neck": "scoop",
    "off shoulder": "scoop",
}
_UPPER_LENGTHS = {"cropped": "cropped", "mini": "short", "maxi": "long", "knee length": "coat", "midi": "coat"}
_SKIRT_LENGTHS = {"cropped": "short", "mini": "short", "midi": "midi", "maxi": "long"}
_LEG_LENGTHS = {"cropped": "cropped", "mini": "short", "knee length": "midi", "midi": "midi"}


@dataclass
class Worn:
    """One garment in words: its class word, and attributes of the intake's vocabulary."""

    class_word: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    texture: list[str] = field(default_factory=list)
    """Colours, patterns and textures, in the order in which they were said."""

    @property
    def shape(self) -> Shape:
        """What of a person it covers."""
        return shape_of(self.class_word, self.attributes)

    def cut(self) -> str:
        """In words of shape: `button shirt, short sleeve`."""
        told = (self.attributes.get(name, "") for name in ("sleeves", "length"))
        return ", ".join(filter(None, (self.class_word, *told)))

    def take(self, other: Worn) -> None:
        """Words that were told of another, and mean this one."""
        self.attributes = other.attributes | self.attributes
        self.texture = other.texture + self.texture

    def named(self) -> str:
        """For a prompt, without its article: `plaid dress with long sleeves`."""
        words = " ".join([*self.texture, self.class_word])
        told = self.class_word in ("dress", "button shirt", "shirt", "blouse", "top")
        sleeves = self.attributes.get("sleeves", "") if told else ""
        return f"{words} with {sleeves}s" if sleeves.endswith(" sleeve") else words


@dataclass
class Looks:
    """What a person wears, by where: `upper`, `lower`, `dress` and `outer`, as far as words told it."""

    worn: dict[str, Worn] = field(default_factory=dict)
    opened: bool = False
    hair: str = "short"
    guesses: list[str] = field(default_factory=list)
    """What had to be guessed, such as `"tartn" as plaid`."""

    @classmethod
    def of(cls, worn: Worn) -> Looks:
        """Of somebody who wears that, as far as it has a place on a parsing map; the rest stays untold."""
        looks = cls()
        if worn.shape.part != "thing":
            looks.worn = dict.fromkeys(_parts(worn.class_word, "", "", {}, looks), worn)
        return looks

    def clothes(self) -> Clothes:
        """Cut as the wardrobe cuts; a top and trousers stand in for what was not told, and hide nothing that was."""
        one = {part: _garment(worn, part) for part, worn in self.worn.items()}
        upper = one.get("dress") or one.get("upper") or _garment(Worn("t-shirt"), "upper")
        lower = one.get("lower") or (None if "dress" in one else _garment(Worn("trousers"), "lower"))
        tucked = "lower" in one and not one.keys() & {"dress", "upper"}
        return Clothes(lower, upper, one.get("outer"), self.opened, tucked)

    def told(self) -> str:
        """What was understood: `upper: long sleeve shirt, long sleeve; outer: jacket; worn open`."""
        told = [
            f"{part}: {', '.join([*worn.texture, worn.class_word, *worn.attributes.values()])}"
            for part, worn in self.worn.items()
        ]
        return "; ".join([*told, *(["worn open"] if self.opened else []), *self.guesses])

    def named(self) -> str:
        """What is worn, for a prompt: `a plaid shirt, a skirt and a jacket`."""
        told = list(
            dict.fromkeys(
                with_article(self.worn[part].named())
                for part in ("dress", "upper", "lower", "outer")
                if part in self.worn
            )
        )
        return " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))


def read_looks(shape: str, texture: str = "", embed: Embed | None = None) -> Looks:
    """What words tell of the shape and the texture of clothes.

    Args:
        shape: such as `long sleeves, short skirt, open outer`; every garment in a phrase of its own.
        texture: such as `plaid`, or `red plaid shirt, denim skirt`; without a garment it is the first one's.
        embed: as in `understand`.

    Raises:
        UserError: every phrase that is not understood, or says nothing of clothes, or, as a texture, of texture.
    """
    looks, problems = Looks(), []
    for text, take in ((shape, _take_shape), (texture, _take_texture)):
        for phrase in filter(None, (part.strip() for part in re.split(r"[,;+]|\band\b|\bover\b", text))):
            try:
                heard = understand(phrase, _WORDS, embed)
                looks.guesses += heard.guesses
                told = {attribute: value for attribute, value in heard.meanings if attribute != "texture"}
                take(looks, told, [value for attribute, value in heard.meanings if attribute == "texture"])
            except UserError as error:
                problems += [f"{phrase}: {line}" for line in error.lines]
    if problems:
        raise UserError(*problems)
    if "dress" in looks.worn:  # whose sleeves and length may have been told before it was
        for part in ("upper", "lower"):
            if part in looks.worn and not looks.worn[part].class_word:
                looks.worn["dress"].take(looks.worn.pop(part))
    for part, worn in looks.worn.items():
        worn.class_word = worn.class_word or _usual(part, worn)
    return looks


def _take_shape(looks: Looks, told: dict[str, str], texture: list[str]) -> None:
    """Put one phrase into the looks."""
    if hair := told.pop("hair", ""):
        looks.hair = hair
        if not told:
            return
    opening, class_word, part = (told.pop(name, "") for name in ("opening", "class", "part"))
    for one in _parts(class_word, part, opening, told, looks):
        worn = looks.worn.setdefault(one, Worn())
        worn.class_word = class_word or worn.class_word
        worn.attributes |= told
        worn.texture += texture
    if opening:
        looks.opened = opening == "open"


def _take_texture(looks: Looks, told: dict[str, str], texture: list[str]) -> None:
    if not texture:
        raise UserError("says nothing of texture; such as plaid, denim, or red striped")
    if "class" in told or "part" in told:
        parts = _parts(told.get("class", ""), told.get("part", ""), "", {}, looks)
    else:
        parts = (next((part for part in ("dress", "upper", "outer", "lower") if part in looks.worn), "upper"),)
    for part in parts:
        worn = looks.worn.setdefault(part, Worn())
        worn.class_word = worn.class_word or told.get("class", "")
        worn.texture += texture


def _parts(class_word: str, part: str, opening: str, told: Mapping[str, str], looks: Looks) -> tuple[str, ...]:
    """Where the garment of a phrase is worn."""
    if class_word:
        covered = part_of(class_word)
        if covered == "thing":
            raise UserError(f"a {class_word} has no place on a parsing map; name clothes")
        if class_word in _NOT_IN_FRONT:
            return "upper", "lower"
        if class_word in OUTER or part == "outer":
            return ("outer",)
        return ({"upper": "upper", "whole": "dress"}.get(covered, "lower"),)
    if part or opening:
        return (part or "outer",)
    if "length" in told and told["length"] != "cropped":
        return ("dress" if "dress" in looks.worn else "lower",)
    return ("dress" if "dress" in looks.worn else "upper",)


def _usual(part: str, worn: Worn) -> str:
    """The class word of a garment that only its place and its attributes tell of."""
    if part == "lower":
        return "skirt" if "length" in worn.attributes else "trousers"
    sleeves = SLEEVES.get(worn.attributes.get("sleeves", ""), SLEEVES["short sleeve"])
    upper = "tank top" if not sleeves else "t-shirt" if sleeves <= 1 else "long sleeve shirt"
    return {"dress": "dress", "outer": "jacket"}.get(part, upper)


def _garment(worn: Worn, part: str) -> Garment:
    """The wardrobe's garment that is cut as the words tell; its looks are of no matter."""
    shape, told = worn.shape, worn.attributes
    kind = _KINDS.get(worn.class_word, "trousers" if part == "lower" else "long sleeve shirt")
    if part == "dress":
        kind = "dress"
    sleeve = next((name for reach, name in _SLEEVES.items() if shape.sleeves <= reach), "long")
    lengths = {"lower": _SKIRT_LENGTHS if kind == "skirt" else _LEG_LENGTHS, "dress": _SKIRT_LENGTHS}
    usual = {"coat": "coat", "robe": "coat", "capri pants": "cropped"}.get(worn.class_word, "regular")
    return Garment(
        kind=kind,
        sleeve=sleeve,
        length=lengths.get(part, _UPPER_LENGTHS).get(told.get("length", ""), usual),
        neckline=_NECKLINES.get(told.get("neckline", ""), "scoop" if kind == "tank top" else "crew"),
        collar=kind in ("button shirt", "jacket") and worn.class_word not in ("cardigan", "vest"),
        closure="none",
        pockets=False,
        hood=kind == "hoodie" or told.get("collar") == "hood",
        colours=("black",),
        pattern="plain",
        pattern_scale="medium",
        print="none",
        seed=0,
    )
