"""Free words to the words of clothes: by synonym, then by spelling, then by whatever tower of texts is at hand."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lapel.errors import UserError
from lapel.photos.vocabulary import words_of

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts (n) to unit vectors (n, d)."""

Meaning = tuple[str, str]
"""An attribute and its value."""

SPELT = 0.8
"""How alike two words are (difflib's ratio, which is Ratcliff and Obershelp's) that are one word, misspelt."""

PASSED_OVER = frozenset(
    ("a", "an", "the", "and", "with", "of", "in", "is", "his", "her", "their", "wearing", "person", "has", "very")
)
"""Words that say nothing of clothes."""


@dataclass(frozen=True)
class Lexicon:
    """Names of one, two or more words, and what each means."""

    names: dict[tuple[str, ...], Meaning]

    @classmethod
    def of(cls, tables: Iterable[tuple[str, Mapping[str, Sequence[str]]]]) -> Lexicon:
        """From tables of an attribute's values and their synonyms; of names in several tables, the first counts."""
        named = [
            (name, (attribute, value))
            for attribute, values in tables
            for value, synonyms in values.items()
            for name in (value, *synonyms)
        ]
        names: dict[tuple[str, ...], Meaning] = {}
        for end in ("", "s"):  # plurals last, for shorts are not several of what is short
            for name, meaning in named:
                names.setdefault(tuple(words_of(name + end)), meaning)
        return cls(names)

    @property
    def longest(self) -> int:
        """Words of the longest name."""
        return max(map(len, self.names))


@dataclass
class Heard:
    """What a phrase means, in its order, and what of it had to be guessed."""

    meanings: list[Meaning] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    """Such as `"tartn" as plaid`."""


def understand(phrase: str, lexicon: Lexicon, embed: Embed | None = None) -> Heard:
    """What the words of a phrase mean.

    Args:
        embed: a tower of texts, which finds the nearest name of a word that is none, and is no misspelt one.

    Raises:
        UserError: a word that nothing is near to; names what is nearest in spelling.
    """
    heard, words = Heard(), words_of(phrase)
    while words:
        taken = next((n for n in range(lexicon.longest, 0, -1) if tuple(words[:n]) in lexicon.names), 0)
        if taken:
            heard.meanings.append(lexicon.names[tuple(words[:taken])])
        elif words[0] not in PASSED_OVER:
            meaning, how = _nearest(words[0], lexicon, embed)
            heard.meanings.append(meaning)
            heard.guesses.append(f'"{words[0]}" as {meaning[1]}{how}')
        words = words[max(taken, 1) :]
    return heard


def _nearest(word: str, lexicon: Lexicon, embed: Embed | None) -> tuple[Meaning, str]:
    single = {name[0]: meaning for name, meaning in lexicon.names.items() if len(name) == 1}
    spelt = difflib.get_close_matches(word, single, n=1, cutoff=SPELT)
    if spelt:
        return single[spelt[0]], ""
    if embed is None:
        near = difflib.get_close_matches(word, single, n=3, cutoff=0.0)
        raise UserError(f'"{word}" is not understood; the nearest words are {", ".join(near)}')
    names = list(lexicon.names)
    vectors = embed([word, *(" ".join(name) for name in names)])
    return lexicon.names[names[int((vectors[1:] @ vectors[0]).argmax())]], " (the nearest to the text encoder)"
