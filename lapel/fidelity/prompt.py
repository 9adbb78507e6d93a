"""Whether generated images still show what their prompts say, against the base's own on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from lapel.fidelity.identity import ImageTower


def prompt_margins(tower: ImageTower, images: Sequence[Image.Image], prompts: Sequence[str]) -> torch.Tensor:
    """(n,) how much nearer each image is to its own prompt than, on average, to the other prompts of the set, in -2..2.

    Prompts name the class word, not the trigger, which no text tower knows. Images come without the garment
    (`lapel.fidelity.region.without_garment`): of their own, its pattern, which the prompt does not describe, would take
    from the margin what it adds to fidelity.

    Raises:
        ValueError: not a prompt for each image, or all prompts are the same.
    """
    import torch

    distinct = list(dict.fromkeys(prompts))
    if len(images) != len(prompts) or len(distinct) < 2:
        raise ValueError(f"{len(images)} images of {len(prompts)} prompts, {len(distinct)} of them distinct")
    similarities = tower.embed_images(images) @ tower.embed_texts(distinct).T
    own = torch.tensor([distinct.index(prompt) for prompt in prompts]).to(similarities.device)[:, None]
    right = similarities.gather(1, own)[:, 0]
    return right - (similarities.sum(dim=1) - right) / (len(distinct) - 1)
