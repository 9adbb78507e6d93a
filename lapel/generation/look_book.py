"""A look-book as requests: one for every person in every place and pose."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.errors import UserError
from lapel.generation.outfit import Outfit, read_outfit
from lapel.generation.people import PeopleSettings
from lapel.generation.request import Request
from lapel.photos.captions import class_word_of
from lapel.photos.people.looks import Worn
from lapel.wardrobe import with_article

if TYPE_CHECKING:
    from lapel.generation.studio import Studio


@dataclass(frozen=True)
class Page:
    """A row of the look-book."""

    request: Request
    label: str


def require_look_book(request: Request, people: PeopleSettings, outfit: Outfit, found: bool = False) -> None:
    """Refuse what would not be drawn.

    Args:
        found: whether a search tells what the garment is.

    Raises:
        UserError: nothing tells what the garment is called, or a pose or a texture that nothing would show.
    """
    assert request.dress is not None
    prompt, trigger, texture = request.picture.prompt, outfit.cards[0].get("trigger"), request.dress.texture
    if people.pose and not request.dress.pose_control and not request.dress.keep:
        raise UserError("a pose is kept by a ControlNet only; give --pose_control, such as `tiny`")
    # Words that a prompt says already may still tell a map what is worn.
    if texture and (trigger or (prompt and not request.control.shape)):
        why = f"{trigger} has its own" if trigger else "the prompt is given; say the texture there"
        raise UserError(f"--texture {texture}: {why}")
    if not (
        prompt
        or trigger
        or texture
        or found
        or request.control.shape
        or outfit.called(request.garment_words, request.picture.prompt)
    ):
        raise UserError('nothing tells what the garment is; give --garment_words, such as "t-shirt, short sleeve"')


def look_book(request: Request, people: PeopleSettings, studio: Studio, captions: Sequence[str] = ()) -> list[Page]:
    """The requests of a look-book, in its order, with what tells each of them from the others.

    Args:
        request: with `dress`; its prompt takes the place of everybody's.
        captions: of garments that nothing else shows, for the prompts.

    Raises:
        UserError: words that are not understood.
    """
    assert request.dress is not None
    outfit, dress, control = read_outfit(request.wear), request.dress, request.control
    word = outfit.called(request.garment_words, request.picture.prompt) or ""
    if control.shape:
        control = replace(control, shape=_with_the_cut(control.shape, request, outfit, word))
    looks = None
    if control.shape or dress.texture:
        cut = control.shape or dress.garment_words or Worn(word, outfit.attributes("")).cut()
        looks = studio.looks(outfit.base, cut, dress.texture)
    worn = looks.named() if looks else with_article(word or "garment")
    # A texture is in the prompts from here on; a map may go by what it names besides.
    dress = replace(dress, texture=dress.texture if control.shape else "")
    pages = []
    prompts = prompts_of(outfit, people, request, captions, worn)
    poses: Sequence[Path | None] = people.pose or [None]
    for prompt, pose in itertools.product(prompts, poses):
        picture = replace(request.picture, prompt=prompt)
        page = replace(request, picture=picture, control=control, dress=dress, pose=pose)
        pages.append(Page(page, f"{prompt}\n{pose}" if len(people.pose) > 1 else prompt))
    return pages


def prompts_of(
    outfit: Outfit, people: PeopleSettings, request: Request, captions: Sequence[str], worn: str
) -> list[str]:
    """The prompts of the look-book: the one given, or every person's in every place; with captions of what was found.

    Args:
        worn: what is worn, where neither the prompt, nor a trigger, nor a caption tells it.
    """
    prompt = request.picture.prompt
    if not prompt and not outfit.cards[0].get("trigger"):
        return people.prompts(" and ".join(captions) or worn)
    said = [prompt] if prompt else people.prompts("a {garment}")
    return [", ".join([outfit.named(text), *captions]) for text in said]


def _with_the_cut(shape: str, request: Request, outfit: Outfit, word: str) -> str:
    """Words of shape after those that tell the garment's own cut, unless these stand there already."""
    cut = request.garment_words or Worn(word, outfit.attributes("")).cut()
    said = [shape[: len(cut)], *map(class_word_of, shape.split(","))]
    return shape if not cut or cut in said else f"{cut}, {shape}"
