"""Identity and meaning of images as a CLIP pair of towers reads them (arXiv:2103.00020).

The towers are those of a base's own folder, in transformers' classes: `text_encoder/`, `tokenizer/`, `image_encoder/`,
`feature_extractor/`, and `text_projection.safetensors` with `text_projection.weight` (d, c) and `logit_scale` ().
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

BATCH = 64
"""Images or texts embedded at once."""


def has_tower(folder: Path) -> bool:
    """Whether a base's folder holds the towers beside the base."""
    return (folder / "image_encoder").is_dir() and (folder / "text_projection.safetensors").is_file()


class ImageTower:
    """An image tower and the text tower that it was trained with, on one unit sphere."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the towers of the base in `folder`.

        Raises:
            UserError: the folder has no image tower.
        """
        import torch
        from safetensors.torch import load_file
        from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection
        from transformers.utils.logging import disable_progress_bar

        if not has_tower(folder):
            raise UserError(f"{folder} has no image tower (image_encoder/ and text_projection.safetensors)")
        disable_progress_bar()
        self.device = device
        vision: Any = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32)
        text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        self.vision, self.text = vision.to(device).eval(), text.to(device).eval()
        self.processor = CLIPImageProcessor.from_pretrained(folder / "feature_extractor")
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        tensors = load_file(folder / "text_projection.safetensors", device=device)
        self.text_projection = tensors["text_projection.weight"].float()

    @property
    def side(self) -> int:
        """Pixels of a side of what the tower sees."""
        return int(self.vision.config.image_size)

    def embed_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors (n, d) of n RGB images of any size; what lies outside the centre square is not seen."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                pixels = self.processor(images=list(images[start : start + BATCH]), return_tensors="pt")["pixel_values"]
                parts.append(self.vision(pixels.to(self.device)).image_embeds)
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1)

    def embed_regions(
        self, images: Sequence[npt.NDArray[np.uint8]], regions: Sequence[npt.NDArray[np.bool_]]
    ) -> torch.Tensor:
        """Unit vectors (n, d) of regions (h, w) of n sRGB images (h, w, 3) alone, on grey."""
        from PIL import Image

        from lapel.fidelity.region import cut_out

        alone = (cut_out(image, region, self.side) for image, region in zip(images, regions, strict=True))
        return self.embed_images([Image.fromarray(picture) for picture in alone])

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (n, d) of n texts; tokens beyond the tower's 77 are cut off."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                tokens = self.tokenizer(
                    list(texts[start : start + BATCH]),
                    padding="max_length",
                    truncation=True,
                    max_length=self.text.config.max_position_embeddings,
                    return_tensors="pt",
                )
                pooled = self.text(tokens["input_ids"].to(self.device)).pooler_output
                parts.append(pooled @ self.text_projection.T)
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1)

    def similarity(self, images: Sequence[Image.Image], references: Sequence[Image.Image]) -> torch.Tensor:
        """Cosine similarities (n, m) of n images to m reference images, in -1..1; 1 is the same to the tower."""
        return self.embed_images(images) @ self.embed_images(references).T

    def zero_shot(self, images: Sequence[Image.Image], alternatives: Sequence[Sequence[str]]) -> list[int]:
        """For each image, the index of the text among its own `alternatives` that the towers find nearest.

        Raises:
            ValueError: not one list of alternatives for each image.
        """
        if len(images) != len(alternatives):
            raise ValueError(f"{len(images)} images, but {len(alternatives)} lists of alternatives")
        distinct = {text: row for row, text in enumerate(dict.fromkeys(t for texts in alternatives for t in texts))}
        texts = self.embed_texts(list(distinct))
        choices = []
        for embedding, own in zip(self.embed_images(images), alternatives, strict=True):
            choices.append(int((texts[[distinct[text] for text in own]] @ embedding).argmax()))
        return choices
