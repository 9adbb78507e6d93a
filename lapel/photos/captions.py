"""Captions: what the shop wrote, or what the file's name tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from lapel.errors import UserError
from lapel.photos.vocabulary import ATTRIBUTES, CATEGORIES, last_of, words_of

_VIEW_WORDS = {
    "front": ("front",),
    "back": ("back", "rear", "behind"),
    "side": ("side", "left", "right", "profile"),
    "detail": ("detail", "details", "closeup", "zoom", "macro", "fabric", "label"),
    "worn": ("worn", "model", "wearing", "onmodel", "look", "person"),
}

VIEWS = tuple(_VIEW_WORDS)


def view_of(stem: str) -> str:
    """The view that a photo's name tells: front, back, side, detail, worn, or "" where it does not."""
    words = words_of(stem)
    return next((view for view, names in _VIEW_WORDS.items() if any(name in words for name in names)), "")


def is_another_view(stem: str, others: Collection[str]) -> bool:
    """Whether a photo's name says that it shows another view than the first: `tee_alt`, or `tee-2` beside `tee`.

    `others` are the stems of the folder's photos; a number alone is only a number.
    """
    if re.search(r"(?<![a-z])(alt|alternate|alternative)\d*$", stem, re.I):
        return True
    numbered = re.fullmatch(r"(.*[^\d\W_].*?)[-_ ]0?([2-9])", stem)
    firsts = [f"{numbered[1]}{end}" for end in ("", "_main", "-main")] if numbered else []
    return any(first in others for first in firsts)


def class_word_of(text: str) -> str | None:
    """The class word that `text` contains; of several the last one, which in English is the thing itself."""
    return last_of(text, CATEGORIES)


def read_text(path: Path) -> str:
    """A small text file in UTF-8 (a byte order mark is allowed); `UserError` where it is not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def compose(written: str | None, view: str, worn: bool, trigger: str, class_word: str, place: str = "") -> str:
    """The training caption, in which `<trigger> <class word>` stands for the garment.

    A written caption keeps its words: `{garment}` in it becomes the garment's name, as `filled` has it; else the class
    word does; else the name is put before the caption. Without one, the caption says what varies from photo to photo,
    its view, whether somebody wears the garment, and the `place` where one is told ("at the beach"), so that
    these stay free to choose in a prompt. What is constant (colours, pattern, neckline) is left out, so that it goes
    into the trigger.
    """
    garment = f"{trigger} {class_word}"
    if written is None:
        return unwritten(garment, view, worn) + (f", {place}" if place else "")
    text = " ".join(written.split())
    if "{garment}" in text:
        return filled(text, garment)
    if re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text):
        return text
    named, count = re.subn(rf"(?<!\w){re.escape(class_word)}(?!\w)", "{garment}", text, count=1, flags=re.I)
    return filled(named, garment) if count else f"a photo of {garment}, {text}"


def filled(text: str, name: str, articled: bool = False) -> str:
    """The text in which the garment's name stands for `{garment}`.

    An article before it becomes the one that the name takes: `a {garment}` is `an orange dress`, or `blue trousers`.

    Args:
        articled: whether the name has its article in any case.
    """
    from lapel.wardrobe import with_article

    def named(found: re.Match[str]) -> str:
        if not (found[1] or articled):
            return name
        article = with_article(name).removesuffix(name)
        return (article.capitalize() if (found[1] or "").istitle() else article) + name

    return re.sub(r"(?:(?<!\w)([Aa]n?)\s+)?\{garment\}", named, text)


def of_the_class(caption: str, trigger: str, class_word: str) -> str:
    """A training caption for any garment of the class: `a photo of a t-shirt` for `a photo of ohwx t-shirt`.

    The class word has an article where the name had one, and where one must stand: not in `a red t-shirt`.
    """
    name = rf"(?<!\w){re.escape(trigger)}\s+{re.escape(class_word)}(?!\w)"
    plain = re.sub(name, "{garment}", caption)
    plain = re.sub(r"(^|\b(?:of|wearing|with|in)\s|[,.]\s)\{garment\}", r"\1a {garment}", plain)
    return re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)", lambda _: class_word, filled(plain, class_word))


def unwritten(garment: str, view: str, worn: bool) -> str:
    """The caption of a photo that nobody wrote one for: `a photo of a person wearing <garment>`."""
    what = f"a person wearing {garment}" if worn or view == "worn" else garment
    start = "a close-up photo" if view == "detail" else "a photo"
    return f"{start} of {what}" + (f", {view} view" if view in ("front", "back", "side") else "")


def first_class_word(texts: Iterable[str]) -> str | None:
    """The class word of the first of `texts` that contains one."""
    return next((word for word in map(class_word_of, texts) if word), None)


def class_word_told(words: str, card: str = "") -> str | None:
    """The class word of "hoodie, long sleeve", whichever comes first: what names a sleeve names no shirt beside it.

    Args:
        card: the class word on a card, which all words but those of sleeves and lengths alone are put before.
    """
    phrases = words.split(",")
    return first_class_word(filter(_is_thing, phrases)) or card or first_class_word(phrases)


def _is_thing(phrase: str) -> bool:
    """Whether a phrase says more than a sleeve or a length, as "long sleeve dress" does and "long sleeve" does not."""
    said = words_of(phrase)
    named = (
        name for kind in ("sleeves", "length") for pair in ATTRIBUTES[kind].items() for name in (pair[0], *pair[1])
    )
    return said not in map(words_of, named)
