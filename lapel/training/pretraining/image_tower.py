"""`tiny`'s image tower, finished against its locked text tower (LiT, Zhai et al., 2022) under dense supervision.

A vision transformer from nothing learns shapes slowly from one caption for each photo. The wardrobe knows more of its
photos: what each patch shows, and which cloth. Heads that name this from the patch tokens are thrown away afterwards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

from lapel.files import written_whole
from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.training.pretraining.pool import LABEL_SIZES, Pool, labels_of, sibling, single
from lapel.training.pretraining.towers import LogitScale, image_input, text_input
from lapel.wardrobe import KINDS, PARSING, SIBLINGS
from lapel.wardrobe.vocabulary import UPPER

CLOTH = (0, 1, 2)
"""The columns of `labels_of` that a patch of cloth can tell by itself, or with its neighbours."""

IGNORED = -100
"""A target that cross-entropy does not count."""

GARMENT_CLASS = torch.tensor(
    [PARSING["dress" if kind == "dress" else "upper" if kind in UPPER else "lower"] for kind in KINDS]
)
"""The class of the parsing map that a kind of garment is; other clothes in a worn photo are of another class."""


class Heads(torch.nn.Module):
    """Linear heads: what the photo is, from its embedding; what each patch is, from its token."""

    def __init__(self, hidden: int, embedding: int) -> None:
        super().__init__()
        self.photo = torch.nn.ModuleList(torch.nn.Linear(embedding, size) for size in LABEL_SIZES)
        self.norm = torch.nn.LayerNorm(hidden)
        self.parsing = torch.nn.Linear(hidden, len(PARSING))
        self.cloth = torch.nn.ModuleList(torch.nn.Linear(hidden, LABEL_SIZES[column]) for column in CLOTH)

    def naming_loss(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of the photos' names, from (n, d) embeddings and (n, 6) labels."""
        return torch.stack(
            [F.cross_entropy(head(embeddings), labels[:, i]) for i, head in enumerate(self.photo)]
        ).mean()

    def patch_loss(self, tokens: torch.Tensor, parsing: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the patches' classes, and on the garment's patches of its kind, pattern and colour.

        Args:
            tokens: (n, patches, c) last hidden states.
            parsing: (n, patches) int64 classes.
            labels: (n, 6) int64 of `labels_of`.
        """
        tokens = self.norm(tokens)
        loss = F.cross_entropy(self.parsing(tokens).flatten(0, 1), parsing.flatten())
        own = parsing == GARMENT_CLASS[labels[:, 0]][:, None]
        for column, head in zip(CLOTH, self.cloth, strict=True):
            # Other patches are ignored and not left out, so that shapes stay the same: a CPU caches kernels by shape.
            targets = torch.where(own, labels[:, column, None], IGNORED)
            loss = loss + F.cross_entropy(head(tokens).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        return loss


@torch.no_grad()
def pooled_captions(
    text: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer, captions: list[str], folder: Path, batch: int = 500
) -> torch.Tensor:
    """The locked tower's (n, c) bf16 pooled states, before its projection, kept in `folder`."""
    kept = folder / "pooled.safetensors"
    if not kept.exists():
        parts = [captions[start : start + batch] for start in range(0, len(captions), batch)]
        with torch.autocast("cpu", torch.bfloat16):
            states = [
                text.text_model(input_ids=text_input(tokenizer, part)).pooler_output.bfloat16()
                for part in tqdm(parts, "read captions")
            ]
        with written_whole(kept) as path:
            save_file({"states": torch.cat(states).contiguous()}, path)
    return load_file(kept)["states"]


def train_image_tower(
    text: CLIPTextModelWithProjection,
    image: CLIPVisionModelWithProjection,
    scale: LogitScale,
    tokenizer: CLIPTokenizer,
    pool: Pool,
    families: Pool,
    recipe: Recipe,
    folder: Path,
    name: str,
) -> None:
    """Train the image tower, the text tower's projection and the scale; the UNet reads the text tower as it was.

    Args as in `train_towers`: a third of each batch are single photos, the rest whole families of siblings.
    """
    loss_function, singles, members = ClipLoss(), recipe.batch // 3, torch.arange(SIBLINGS)
    captions = pooled_captions(text, tokenizer, [*pool.captions, *families.captions], folder)
    labels = torch.cat([labels_of(single, len(pool.captions)), labels_of(sibling, len(families.captions))])
    parsing = torch.from_numpy(np.concatenate([pool.parsing, families.parsing])).flatten(1)
    heads = Heads(image.config.hidden_size, image.config.projection_dim)
    # At this size, written-out attention takes six tenths of the fused kernel's time on a CPU.
    image.set_attn_implementation("eager")

    def loss_of(step: int) -> torch.Tensor:
        one = batch_of(step, singles, len(pool.captions), seed=2).sort().values
        chosen = batch_of(step, (recipe.batch - singles) // SIBLINGS, len(families.captions) // SIBLINGS, seed=4)
        many = (chosen.sort().values[:, None] * SIBLINGS + members).flatten()
        images = torch.from_numpy(np.concatenate([pool.images[one.numpy()], families.images[many.numpy()]]))
        both = torch.cat([one, many + len(pool.captions)])
        with torch.autocast("cpu", torch.bfloat16):
            states = image.vision_model(pixel_values=image_input(images))
            seen = image.visual_projection(states.pooler_output)
            read = text.text_projection(captions[both])
            named = heads.naming_loss(seen, labels[both])
            dense = heads.patch_loss(states.last_hidden_state[:, 1:], parsing[both].long(), labels[both])
        contrastive = loss_function(F.normalize(seen.float(), dim=-1), F.normalize(read.float(), dim=-1), scale())
        return contrastive + 2 * named.float() + dense.float()

    train(name, [image, text.text_projection, scale, heads], loss_of, recipe, folder)
