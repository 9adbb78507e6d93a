"""`tiny`'s text and image towers, trained together on the wardrobe's pairs with open-clip-torch's loss (CLIP, 2021)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from open_clip.loss import ClipLoss
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

from lapel.files import written_whole
from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.training.pretraining.pool import LABEL_SIZES, Pool, labels_of, sibling, single
from lapel.wardrobe import SIBLINGS

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class LogitScale(torch.nn.Module):
    """CLIP's learned inverse temperature, as its logarithm."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self) -> torch.Tensor:
        """The factor on the cosines, at most 100 as in CLIP."""
        return self.value.exp().clamp(max=100)


def image_input(images: torch.Tensor) -> torch.Tensor:
    """(n, h, w, 3) uint8 to CLIP's normalised (n, 3, h, w) fp32."""
    mean, std = torch.tensor(CLIP_MEAN)[:, None, None], torch.tensor(CLIP_STD)[:, None, None]
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std


def text_input(tokenizer: CLIPTokenizer, captions: list[str], whole: bool = False) -> torch.Tensor:
    """(n, length) token numbers, padded to the longest, or `whole` to the 77 that pipelines hand to a UNet.

    For the towers themselves padding changes nothing: the mask is causal.
    """
    padding = "max_length" if whole else "longest"
    return tokenizer(captions, padding=padding, truncation=True, max_length=77, return_tensors="pt").input_ids


def train_towers(
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
    """Train both towers on photos and captions.

    Beside CLIP's loss, linear heads name kind, pattern, colours, scene and view from the embeddings; the two towers
    share them. They are thrown away afterwards: on a hundred thousand pairs, CLIP's loss alone taught an image tower
    from nothing colours and scenes, and no shapes.

    Args:
        text, image, scale, tokenizer: the towers, and what goes with them.
        pool: single photos: a third of each batch. Colours and scene alone tell these apart.
        families: siblings, whole families of which are the rest of a batch. These are told apart by kind, pattern
            or main colour alone, so that the towers must read them.
        recipe, folder, name: as in `train`.
    """
    loss_function, singles = ClipLoss(), recipe.batch // 3
    members = torch.arange(SIBLINGS)
    single_labels = labels_of(single, len(pool.captions))
    family_labels = labels_of(sibling, len(families.captions))
    heads = torch.nn.ModuleList(torch.nn.Linear(text.text_projection.out_features, size) for size in LABEL_SIZES)

    def naming_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        each = [torch.nn.functional.cross_entropy(head(features), labels[:, i]) for i, head in enumerate(heads)]
        return torch.stack(each).mean()

    def loss_of(step: int) -> torch.Tensor:
        one = batch_of(step, singles, len(pool.captions), seed=2).sort().values
        chosen = batch_of(step, (recipe.batch - singles) // SIBLINGS, len(families.captions) // SIBLINGS, seed=4)
        many = (chosen.sort().values[:, None] * SIBLINGS + members).flatten()
        images = torch.from_numpy(np.concatenate([pool.images[one.numpy()], families.images[many.numpy()]]))
        captions = [pool.captions[i] for i in one.tolist()] + [families.captions[i] for i in many.tolist()]
        tokens = text_input(tokenizer, captions)
        with torch.autocast("cpu", torch.bfloat16):
            image_features = image(pixel_values=image_input(images)).image_embeds
            text_features = text(input_ids=tokens).text_embeds
        image_features, text_features = image_features.float(), text_features.float()
        normal = torch.nn.functional.normalize
        contrastive = loss_function(normal(image_features, dim=-1), normal(text_features, dim=-1), scale())
        labels = torch.cat([single_labels[one], family_labels[many]])
        return contrastive + naming_loss(image_features, labels) + naming_loss(text_features, labels)

    train(name, [text, image, scale, heads], loss_of, recipe, folder)


@torch.no_grad()
def encode_captions(
    text: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer, captions: list[str], folder: Path, batch: int = 500
) -> torch.Tensor:
    """The text tower's last hidden states, as a pipeline hands them to the UNet, kept in `folder`.

    Returns:
        (n, 77, width) bf16.
    """
    kept = folder / "captions.safetensors"
    if not kept.exists():
        parts = text_input(tokenizer, captions, whole=True).split(batch)
        with torch.autocast("cpu", torch.bfloat16):
            states = [text(input_ids=part).last_hidden_state.bfloat16() for part in tqdm(parts, "encode captions")]
        with written_whole(kept) as path:
            save_file({"states": torch.cat(states).contiguous()}, path)
    return load_file(kept)["states"]
