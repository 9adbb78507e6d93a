"""Models that find masks (`lapel.photos.masks.models.MaskModel`), each loaded only when it is asked for by name.

`rembg:NAME` is a model of rembg's; `parser:PLACE` a clothes parser of SegFormer's kind and `sam:PLACE` a Segment
Anything model, both through transformers, where PLACE is a hub id or a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lapel.base.licence import stated_licence, tell_licence
from lapel.base.weights import tensors_hash
from lapel.errors import UserError
from lapel.photos.masks.places import part_of

if TYPE_CHECKING:
    from lapel.photos.masks import Mask
    from lapel.photos.masks.models import MaskModel

_MOST_TRUST = 0.95
"""No model is right more often than masks by transparency; what it says of itself ends here."""

_REMBG_LICENCES = {
    "u2net": "Apache-2.0",
    "u2netp": "Apache-2.0",
    "u2net_human_seg": "Apache-2.0",
    "u2net_cloth_seg": "MIT",
    "silueta": "Apache-2.0",
    "isnet-general-use": "Apache-2.0",
    "isnet-anime": "Apache-2.0",
    "birefnet-general": "MIT",
    "birefnet-general-lite": "MIT",
    "birefnet-portrait": "MIT",
    "birefnet-massive": "MIT",
    "bria-rmbg": "CC BY-NC 4.0 or by agreement: not for commercial use",
}

_LABELS = {
    "upper": (
        "upper-clothes",
        "shirt",
        "blouse",
        "top",
        "t-shirt",
        "sweatshirt",
        "sweater",
        "cardigan",
        "jacket",
        "vest",
    ),
    "whole": ("dress", "jumpsuit", "coat", "cape"),
    "legs": ("pants", "tights", "stockings"),
    "shorts": ("shorts", "pants"),
    "skirt": ("skirt",),
    "head": ("hat", "headband", "cap"),
    "feet": ("left-shoe", "right-shoe", "shoe"),
    "bag": ("bag", "wallet"),
    "scarf": ("scarf",),
    "belt": ("belt",),
    "hands": ("glove",),
    "tie": ("tie",),
    "socks": ("sock",),
}
"""What clothes parsers (ATR, LIP, Fashionpedia) call the parts of a garment. A coat may be called upper-clothes."""

_THINGS = {
    "head": ("cap", "hat", "beanie"),
    "feet": ("boot", "shoe", "sneaker", "sandal"),
    "bag": ("bag", "backpack"),
    "scarf": ("scarf",),
    "belt": ("belt",),
    "hands": ("gloves",),
    "tie": ("tie",),
    "socks": ("socks",),
}


def load_mask_model(name: str | None) -> MaskModel | None:
    """The model of that name, or none for None; its licence is printed.

    Raises:
        UserError: no such kind of model, or its library or weights are neither at hand nor to be had.
    """
    if name is None:
        return None
    kind, _, place = name.partition(":")
    kinds: dict[str, Callable[[str, str], MaskModel]] = {"rembg": Rembg, "parser": Parser, "sam": Sam}
    if kind not in kinds or not place:
        raise UserError(f"--mask_model {name}: give rembg:NAME, parser:PLACE or sam:PLACE (a hub id or a folder)")
    try:
        return kinds[kind](name, place)
    except UserError:
        raise
    except Exception as error:  # the libraries and the hub's client raise many kinds
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"--mask_model {name}: cannot be loaded ({reason}); download it first, or leave it out"
        ) from None


class Rembg:
    """A model of rembg (optional: `pip install rembg`). All but `u2net_cloth_seg` find the whole figure."""

    def __init__(self, name: str, place: str) -> None:
        try:
            import rembg
        except ImportError:
            raise UserError(f'--mask_model {name}: rembg is not installed; pip install "lapel[rembg]"') from None
        if place not in _REMBG_LICENCES:
            raise UserError(f"--mask_model {name}: no such model; take one of {', '.join(_REMBG_LICENCES)}")
        self.name, self.place = name, place
        self.finds_figure = place != "u2net_cloth_seg"
        self.session: Any = rembg.new_session(place)
        self.fingerprint = f"{name} {rembg.__version__}"
        tell_licence(f"mask model {name}", _REMBG_LICENCES[place])

    def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float] | None:
        """As `MaskModel.find`."""
        import rembg

        if self.finds_figure:
            found = rembg.remove(photo, session=self.session, only_mask=True)
        else:
            part = {"upper": "upper", "whole": "full"}.get(part_of(class_word), "lower")
            found = self.session.predict(photo, cloth_category=part)[0]
        mask = found.convert("L").resize(photo.size)
        values = np.asarray(mask) / 255
        inside = values >= 0.5
        return (mask, min(float(values[inside].mean()), _MOST_TRUST)) if inside.any() else None


class Parser:
    """A semantic segmentation of clothes, such as `mattmdjaga/segformer_b2_clothes`."""

    finds_figure = False

    def __init__(self, name: str, place: str) -> None:
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        self.name = name
        self.processor: Any = AutoImageProcessor.from_pretrained(place)
        self.model: Any = AutoModelForSemanticSegmentation.from_pretrained(place).eval()
        self.labels = {label.lower(): number for number, label in self.model.config.id2label.items()}
        self.fingerprint = tensors_hash(self.model.state_dict())
        tell_licence(f"mask model {name}", stated_licence(place))

    def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float] | None:
        """As `MaskModel.find`: the probability of the labels of the class word, at every pixel."""
        import torch

        own = [number for label, number in self.labels.items() if _is_of(label, class_word)]
        if not own:
            return None
        with torch.inference_mode():
            logits = self.model(**self.processor(images=photo, return_tensors="pt")).logits
            shares = logits.softmax(dim=1)[:, own].sum(dim=1, keepdim=True)
            size = (photo.height, photo.width)
            values = torch.nn.functional.interpolate(shares, size=size, mode="bilinear", align_corners=False)[0, 0]
        inside = values >= 0.5
        if not inside.any():
            return None
        mask = Image.fromarray((values.numpy() * 255).round().astype(np.uint8))
        return mask, min(float(values[inside].mean()), _MOST_TRUST)


class Sam:
    """A Segment Anything model, such as `facebook/sam-vit-base`, pointed to what was found without it."""

    finds_figure = False

    def __init__(self, name: str, place: str) -> None:
        from transformers import SamModel, SamProcessor

        self.name = name
        self.processor: Any = SamProcessor.from_pretrained(place)
        self.model: Any = SamModel.from_pretrained(place).eval()
        self.fingerprint = tensors_hash(self.model.state_dict())
        tell_licence(f"mask model {name}", stated_licence(place))

    def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float] | None:
        """As `MaskModel.find`: of the model's three masks the one that it thinks best."""
        import torch

        box, point = _pointers(guess.image)
        inputs = self.processor(photo, input_boxes=[[box]], input_points=[[point]], return_tensors="pt")
        with torch.inference_mode():
            output = self.model(**inputs)
        masks = self.processor.image_processor.post_process_masks(
            output.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"], binarize=False
        )[0][0]
        scores = output.iou_scores[0, 0]
        best = int(scores.argmax())
        values = masks[best].sigmoid().numpy()
        trust = float(scores[best].clamp(0, _MOST_TRUST))
        return Image.fromarray((values * 255).round().astype(np.uint8)), trust


def _pointers(guess: Image.Image) -> tuple[list[float], list[list[float]]]:
    """The box of a mask (left, top, right, bottom), and the point (x, y) deepest inside it."""
    import cv2

    inside = (np.asarray(guess) >= 128).astype(np.uint8)
    if not inside.any():
        inside[:] = 1
    rows, columns = np.nonzero(inside)
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    box = [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]
    return box, [[float(x), float(y)]]


def _is_of(label: str, class_word: str) -> bool:
    """Whether a parser's label is part of the garment; "shirt, blouse" is two names."""
    part = next((part for part, words in _THINGS.items() if class_word in words), part_of(class_word))
    names = _LABELS.get(part, ())
    if class_word in ("coat", "robe", "suit"):
        names = (*names, *_LABELS["upper"])
    return any(name.strip() in names for name in label.split(","))
