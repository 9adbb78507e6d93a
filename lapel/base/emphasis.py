"""Weights of words in prompts, written as AUTOMATIC1111's WebUI has them. Imports nothing heavy.

`(word)` counts 1.1 times, `[word]` a 1.1th, `(word:1.3)` 1.3 times; brackets within brackets multiply. `\\(` is a
bracket that is meant, and `BREAK` begins a new window. WebUI's prompt editing, `[from:to:when]` and `[one|other]`, is
not known.

No library fits: compel writes weights its own way, breaks long prompts at sentences, and weighs otherwise than WebUI.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_STEP = 1.1
"""By which a bracket counts."""

_MARK = re.compile(
    r"(?P<meant>\\[()\[\]\\])|(?P<opens>[(\[])|:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)|(?P<closes>[)\]])"
    r"|(?P<breaks>\s*\bBREAK\b\s*)|(?P<text>.)",
    re.DOTALL,
)

_EDITING = re.compile(r"(?<!\\)\[[^\[\]]*(?:\|[^\[\]]*|:\s*(?:\d+\.?\d*|\.\d+)\s*)(?<!\\)\]")


class Piece(NamedTuple):
    """A part of a prompt: as it is read, without marks."""

    text: str
    weight: float = 1.0
    breaks: bool = False
    """Whether it is no text, but the end of a window."""


def pieces_of(prompt: str) -> list[Piece]:
    """A prompt's pieces, neighbours of one weight in one; brackets that are not closed reach to the end."""
    found: list[Piece] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def weigh(bracket: str, factor: float) -> None:
        start = opened[bracket].pop()
        found[start:] = [piece._replace(weight=piece.weight * factor) for piece in found[start:]]

    for match in _MARK.finditer(prompt):
        text, kind = match.group(), match.lastgroup
        if kind == "opens":
            opened[text].append(len(found))
        elif kind == "weight" and opened["("]:
            weigh("(", float(match["weight"]))
        elif kind == "closes" and opened["(" if text == ")" else "["]:
            weigh("(" if text == ")" else "[", _STEP if text == ")" else 1 / _STEP)
        elif kind == "breaks":
            found.append(Piece("", breaks=True))
        else:
            found.append(Piece(text[1:] if kind == "meant" else text))
    for bracket, factor in (("(", _STEP), ("[", 1 / _STEP)):
        while opened[bracket]:
            weigh(bracket, factor)
    return _joined(found)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and not piece.breaks and not last.breaks and last.weight == piece.weight:
            joined[-1] = Piece(last.text + piece.text, piece.weight)
        else:
            joined.append(piece._replace(weight=1.0) if piece.breaks else piece)
    return joined or [Piece("")]


def is_plain(pieces: Sequence[Piece]) -> bool:
    """Whether nothing is weighed and no window ended, so that the text alone says it all."""
    return all(piece.weight == 1 and not piece.breaks for piece in pieces)


def text_of(pieces: Sequence[Piece]) -> str:
    """What is read, without weights."""
    return "".join(" " if piece.breaks else piece.text for piece in pieces)


def escaped(text: str) -> str:
    """A text as a prompt that means every bracket in it."""
    return re.sub(r"([()\[\]\\])", r"\\\1", text)


def edits(prompt: str) -> str | None:
    """The first piece of a prompt that WebUI changes while it draws, which lapel does not."""
    match = _EDITING.search(prompt)
    return match.group() if match else None
