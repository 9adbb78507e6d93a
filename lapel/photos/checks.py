"""Honest findings on a garment's photos: what is wrong, how bad it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lapel.photos.facts import hash_distance
from lapel.photos.masks import TRUSTED

Level = Literal["error", "warning", "note"]
Row = Mapping[str, Any]

# Settled on real shop photos and the wardrobe; what the photos of one garment show lies well on the other side.
_ALIKE_BITS = 5
"""Of 64. Different photos of one garment differ by 8 and more."""
_OTHER_COLOURWAY = 0.25
"""Of colours shared. Two colourways share up to 0.17, two views of one garment 0.5 and more."""
_CAST = 12
"""CIE Lab units that a garment's mean colour may move (in a and b, or in L) between its photos."""
_BLURRED = 0.48
"""Sharp photos have up to 0.38, the same blurred by 3 pixels at 512 have 0.6 and more."""
_CLIPPED = 0.25
_SMALL = 0.08
_ENLARGED, _MUCH_ENLARGED = 1.01, 1.5
_FEW = 3
_SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Finding:
    """One finding: `about` names the photos that it is about, "" for the folder as a whole."""

    level: Level
    about: str
    what: str
    do: str

    def line(self) -> str:
        """`warning: a.jpg: is blurred; take it again`."""
        return f"{self.level}: {f'{self.about}: ' if self.about else ''}{self.what}; {self.do}"


def check(rows: Sequence[Row]) -> tuple[Finding, ...]:
    """All findings on the rows of `read_garment` (without their pictures), the worst first."""
    checks = (_alike, _colours, _light, _sharpness, _sizes, _masks, _borders, _frames, _views, _number)
    order = ("error", "warning", "note")
    return tuple(sorted((finding for of in checks for finding in of(rows)), key=lambda found: order.index(found.level)))


def _alike(rows: Sequence[Row]) -> Iterator[Finding]:
    """Photos that show the same, each group once."""
    groups: list[list[Row]] = []
    for row in rows:
        near = (group for group in groups if hash_distance(group[0]["hash"], row["hash"]) <= _ALIKE_BITS)
        group = next(near, None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    for group in groups:
        if len(group) > 1:
            exact = len({row["content"] for row in group}) == 1
            what = f"{len(group)} {'identical' if exact else 'near-identical'} photos"
            yield Finding("warning", _names(group), what, "keep one of them, or the others count that much less")


def _colours(rows: Sequence[Row]) -> Iterator[Finding]:
    """Photos whose garment has other colours than the most typical one's; details may show any part of it."""
    whole = [row for row in rows if row["view"] != "detail" and row["mask_source"] != "none"]
    if len(whole) < 2:
        return
    # Bhattacharyya's coefficient of every two palettes, of which the most typical photo's are the largest.
    roots = np.sqrt(np.stack([np.frombuffer(row["palette"], np.float32) for row in whole]))
    nearest = int((roots @ roots.sum(axis=0)).argmax())
    typical, common = whole[nearest], roots @ roots[nearest]
    sure = [row for row in whole if _tells_colours(row)]
    usual = np.median([row["lab"] for row in sure], axis=0) if len(sure) > 2 else None
    for row, share in zip(whole, common.tolist(), strict=True):
        if share < _OTHER_COLOURWAY:
            yield _another_colourway(row, typical, share)
        elif usual is not None and _tells_colours(row):
            yield from _cast(row, np.array(row["lab"]) - usual)


def _tells_colours(row: Row) -> bool:
    """Whether the mask is good enough for a mean colour; a cast may look like skin, and lower a plain mask's trust."""
    return row["mask_trust"] >= TRUSTED or row["mask_source"] == "background"


def _cast(row: Row, moved: np.ndarray) -> Iterator[Finding]:
    """A garment whose mean colour `moved` (L, a, b) away from where it usually is."""
    light, tint = float(moved[0]), float(np.hypot(*moved[1:]))
    if tint > _CAST:
        what = f"its colours are off by {tint:.0f} from the other photos' (CIE a and b)"
        yield Finding("warning", row["file"], what, "correct its white balance, or remove it")
    elif abs(light) > _CAST:
        what = f"the garment is {'lighter' if light > 0 else 'darker'} than in the other photos by {abs(light):.0f} L"
        yield Finding("note", row["file"], what, "correct its exposure, unless that side of the garment is so")


def _another_colourway(row: Row, typical: Row, common: float) -> Finding:
    distance = float(np.linalg.norm(np.array(row["lab"]) - np.array(typical["lab"])))
    what = (
        f"its garment has other colours than in {typical['file']} (delta E {distance:.0f}, "
        f"{100 * common:.0f} % of colours shared)"
    )
    if min(row["mask_trust"], typical["mask_trust"]) >= TRUSTED:
        return Finding("error", row["file"], what, "a folder is one colourway: move the other one out")
    return Finding("warning", row["file"], what, "move it out if it is another colourway; else give it a .mask.png")


def _light(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        for key, name in (("white", "over-exposed"), ("black", "under-exposed")):
            if row["mask_source"] != "none" and row[key] > _CLIPPED:
                what = f"{name}: {100 * row[key]:.0f} % of the garment is pure {key}"
                yield Finding("warning", row["file"], what, "take it again with the garment's shades in it")


def _sharpness(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["blur"] > _BLURRED and row["enlargement"] <= _MUCH_ENLARGED:
            what = f"blurred ({row['blur']:.2f} of 1, at the training size)"
            yield Finding("warning", row["file"], what, "take a sharper one, or remove it")


def _sizes(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["enlargement"] > _ENLARGED:
            level: Level = "warning" if row["enlargement"] > _MUCH_ENLARGED else "note"
            what = f"smaller than the training size: enlarged {row['enlargement']:.1f} times"
            yield Finding(level, row["file"], what, "give a larger photo, or lower --resolution")
        if row["share"] < _SMALL:
            what = f"the garment fills only {100 * row['share']:.0f} % of the frame"
            yield Finding("note", row["file"], what, "crop the photo closer to it")


def _masks(rows: Sequence[Row]) -> Iterator[Finding]:
    unsure = [row for row in rows if row["mask_source"] != "none" and row["mask_trust"] < TRUSTED]
    if unsure:
        told = ", ".join(f"{row['file']} ({row['mask_trust']:.2f})" for row in unsure)
        yield Finding(
            "note",
            told,
            "mask not sure, so used softly and on no backdrop",
            "look at it, and give a .mask.png where it is wrong",
        )
    whole = [row for row in rows if row["mask_source"] == "none"]
    if whole:
        what = "no garment could be told from the rest, so all of the photo is learned"
        yield Finding("warning", _names(whole), what, "give a .mask.png beside it")


def _borders(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        wide = [f"{count} at the {side}" for side, count in zip(_SIDES, row["border"], strict=True) if count]
        if wide:
            what = f"has a border ({', '.join(wide)}, in pixels)"
            yield Finding("warning", row["file"], what, "cut it off, or the adapter learns it")


def _frames(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row["frames"] > 1:
            what = f"holds {row['frames']} frames or pages, of which the first is used"
            yield Finding("note", row["file"], what, "save the one that you want as a picture of its own")


def _views(rows: Sequence[Row]) -> Iterator[Finding]:
    seen = {row["view"] for row in rows} - {""}
    if not seen:
        yield Finding("note", "", "no file name tells a view", "put front, back, side, detail or worn into the names")
        return
    for view in ("front", "back"):
        if view not in seen and not (view == "front" and any(map(_may_be_the_front, rows))):
            what = f"the {view} was never seen (seen: {', '.join(sorted(seen))})"
            yield Finding("note", "", what, f"add a photo of the {view}, or the adapter will invent it")


def _may_be_the_front(row: Row) -> bool:
    """Whether nobody has told the view, or only that somebody wears it, and the name does not say: another view."""
    return row["view_source"] in ("", "mask") and not row["another"]


def _number(rows: Sequence[Row]) -> Iterator[Finding]:
    if len(rows) < _FEW:
        what = f"only {len(rows)} photo{'s' * (len(rows) > 1)}"
        yield Finding("warning", "", what, "add more: 4 to 12, with different views and backgrounds, teach a garment")


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(row["file"] for row in rows)
