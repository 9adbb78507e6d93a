"""What a garment is: a fixed identity that looks the same in every photo."""

from __future__ import annotations

from dataclasses import dataclass

from lapel.wardrobe.draws import Draws
from lapel.wardrobe.vocabulary import (
    COLOURS,
    DENIM_COLOURS,
    KINDS,
    LOWER,
    PATTERN_COLOURS,
    PATTERN_SCALES,
    PATTERNS,
    PRINT_SHAPES,
    PRINT_WORDS,
    Split,
)


@dataclass(frozen=True)
class Garment:
    """One garment: its kind, cut, colours, pattern and print."""

    kind: str
    sleeve: str
    """none, short or long."""
    length: str
    """short, regular or long: of the body of an upper garment, or of a dress, a skirt or legs."""
    neckline: str
    """none, crew, v, scoop or turtle."""
    collar: bool
    closure: str
    """none, buttons or zip."""
    pockets: bool
    hood: bool
    colours: tuple[str, ...]
    """The main colour first."""
    pattern: str
    pattern_scale: str
    print: str
    """none, a shape's name, or a word in capitals."""
    seed: int
    """Of what is left: where the flowers are, and how the cloth folds."""

    def words(self) -> str:
        """The garment in a shop's words, without its article: `red and white striped t-shirt with a star print`."""
        return f"{self.looks()} {self.kind}{self.details()}"

    def looks(self) -> str:
        """Colours and pattern: `red and white striped`."""
        if self.pattern == "plain":
            return self.colours[0]
        if self.pattern == "gradient":
            return f"{self.colours[0]} to {self.colours[1]} gradient"
        *first, last = self.colours
        return f"{', '.join(first)} and {last} {self.pattern}" if first else f"{last} {self.pattern}"

    def details(self) -> str:
        """Cut and print, as far as the kind does not say it: ` with long sleeves and a v neck`."""
        parts = []
        if self.kind in ("dress", "button shirt") and self.sleeve != "none":
            parts.append(f"{self.sleeve} sleeves")
        if self.neckline in ("v", "turtle"):
            parts.append(f"a {self.neckline} neck")
        if self.kind == "hoodie" and self.closure == "zip":
            parts.append("a zip")
        if self.print in PRINT_SHAPES:
            parts.append(f"a {self.print} print")
        elif self.print != "none":
            parts.append(f"the word {self.print.lower()}")
        cut = {"short": "short ", "long": "long "}.get(self.length, "") if self.kind in ("dress", "skirt") else ""
        before = f", {cut}cut" if cut else ""
        return before + (f" with {' and '.join(parts)}" if parts else "")


def split_of(kind: str, colour: str, pattern: str) -> Split:
    """Which split a combination of kind, main colour and pattern belongs to; an eighth of them is held out."""
    number = 7 * KINDS.index(kind) + 3 * list(COLOURS).index(colour) + 5 * PATTERNS.index(pattern)
    return "held_out" if number % 8 == 0 else "train"


def sample_garment(seed: int, split: Split = "train") -> Garment:
    """Draw a garment of that split; the same seed gives the same garment on every machine."""
    draws = Draws(seed, stream=1)
    while True:
        kind, pattern = draws.pick(KINDS), draws.pick(PATTERNS)
        colours = _sample_colours(draws, pattern)
        if split_of(kind, colours[0], pattern) == split:
            return _sample_cut(draws, kind, pattern, colours, seed)


SIBLINGS = 8
"""How many garments a family of siblings has."""


def sample_siblings(seed: int) -> list[Garment]:
    """Draw `SIBLINGS` garments of the training split that differ in one thing only: kind, pattern, or main colour.

    They are what a reader of images must learn to tell apart, and cannot by the rest of the photo.
    """
    draws = Draws(seed, stream=8)
    attribute = draws.pick(("kind", "kind", "pattern", "pattern", "main colour"))
    while True:
        kind, pattern, colours = draws.pick(KINDS), draws.pick(PATTERNS), _sample_colours(draws, "plaid")
        if attribute == "kind":
            family = [(other, colours, pattern) for other in KINDS]
        elif attribute == "pattern":
            family = [(kind, colours, other) for other in PATTERNS]
        else:
            family = [(kind, (other, *colours[1:]), pattern) for other in COLOURS if other not in colours[1:]]
        family = [
            (kind, colours[: PATTERN_COLOURS.get(pattern, 2)], pattern)
            for kind, colours, pattern in family
            if split_of(kind, colours[0], pattern) == "train" and (pattern != "denim" or colours[0] in DENIM_COLOURS)
        ]
        if len(family) >= SIBLINGS:
            start = draws.integer(len(family))
            chosen = [family[(start + number) % len(family)] for number in range(SIBLINGS)]
            return [_sample_cut(draws, kind, pattern, colours, seed) for kind, colours, pattern in chosen]


def _sample_colours(draws: Draws, pattern: str) -> tuple[str, ...]:
    chosen = [draws.pick(DENIM_COLOURS if pattern == "denim" else list(COLOURS))]
    while len(chosen) < PATTERN_COLOURS.get(pattern, 2):
        colour = draws.pick(list(COLOURS))
        if all(_far_apart(colour, other) for other in chosen):
            chosen.append(colour)
    return tuple(chosen)


def _far_apart(a: str, b: str) -> bool:
    """Whether a pattern of both is to be seen as one: navy dots on black are not."""
    return sum(abs(x - y) for x, y in zip(COLOURS[a], COLOURS[b], strict=True)) > 150


def _sample_cut(draws: Draws, kind: str, pattern: str, colours: tuple[str, ...], seed: int) -> Garment:
    sleeve = {"t-shirt": "short", "tank top": "none", **dict.fromkeys(LOWER, "none")}.get(kind, "long")
    if kind == "button shirt":
        sleeve = draws.pick(("short", "long", "long"))
    elif kind == "dress":
        sleeve = draws.pick(("none", "short", "long"))
    necklines = {
        "t-shirt": ("crew", "crew", "v"),
        "long sleeve shirt": ("crew", "v", "turtle"),
        "tank top": ("scoop",),
        "dress": ("crew", "v", "scoop"),
        "hoodie": ("crew",),
    }
    lengths = ("short", "regular", "long")
    length = draws.pick(lengths) if kind in ("dress", "skirt") else draws.pick(("regular", "regular", "long"))
    printable = kind in ("t-shirt", "long sleeve shirt", "hoodie", "tank top", "dress") and pattern == "plain"
    prints = (*PRINT_SHAPES, *PRINT_WORDS)
    return Garment(
        kind=kind,
        sleeve=sleeve,
        length=length,
        neckline=draws.pick(necklines.get(kind, ("none",))),
        collar=kind in ("button shirt", "jacket"),
        closure={"button shirt": "buttons", "jacket": "zip"}.get(kind)
        or ("zip" if kind == "hoodie" and draws.chance(0.3) else "none"),
        pockets=kind in ("hoodie", "jacket", "trousers", "shorts"),
        hood=kind == "hoodie",
        colours=colours,
        pattern=pattern,
        pattern_scale=draws.pick(list(PATTERN_SCALES)),
        print=draws.pick(prints) if printable and draws.chance(0.4) else "none",
        seed=seed,
    )
