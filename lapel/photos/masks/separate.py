"""Tells the garment from what is behind it and from who wears it, by place and colour, without any model."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from lapel.photos.masks import Mask
from lapel.photos.masks.colours import learn_garment, palette, shared, skin_likeness, to_lab
from lapel.photos.masks.edges import follow_edges, tidy
from lapel.photos.masks.places import border, expected_place
from lapel.photos.masks.plain import plain_background_mask

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_SIDE = 256
"""Pixels of the longer side while the garment is looked for."""

_EDGE_SIDE = 1024
"""Pixels of the longer side at which its edges are drawn."""

_ROUNDS = 2

_BORDER_WEIGHT = 4
"""The border is background more surely than anything else, so that its colours count so many times."""

_PLAIN_TRUST, _DOUBTED_TRUST = 0.97, 0.8

_WEARER = (0.005, 0.42)
"""Of what stands on a plain background: with so much skin somebody may be in it. Less are specks, more is tan cloth."""

_LEAST_TRUST = 0.3
"""Below this a mask says nothing."""


def separate(photo: Image.Image, class_word: str, view: str, silhouette: Image.Image | None = None) -> Mask:
    """The mask of the garment in an RGB photo, and its trust.

    A plain background gives the `silhouette` (mode L) where nobody else has; a garment laid flat is then found.
    Otherwise the place where `class_word` is expected teaches its colours, skin counts against it where it is worn, and
    GrabCut (Rother, Kolmogorov, Blake 2004; OpenCV's) draws the boundary.
    """
    plain = silhouette or plain_background_mask(photo)
    pixels = _small(photo)
    lab = cv2.medianBlur(to_lab(pixels), 3)
    figure = None if plain is None else _resized(plain, pixels.shape)
    shown = _how_shown(view, lab, figure)
    prior, weight = _prior(lab, class_word, shown, figure)
    if plain is not None and figure is not None and shown == "flat":
        low, high = _WEARER
        doubted = low < _skin(lab, figure).sum() / figure.sum() < high
        trust = _DOUBTED_TRUST if doubted else _PLAIN_TRUST
        return Mask(_only(plain, tidy(figure, prior)), "background", trust)

    probability = learn_garment(lab, prior, weight)
    region = tidy(_cut(pixels, probability, prior), prior)
    trust = 0.0 if region.all() or not region.any() else _trust(probability, region, lab, figure)
    if trust < _LEAST_TRUST:
        return Mask(Image.new("L", photo.size, 255), "none", 0.0)
    worn = shown == "worn"
    return Mask(_full_size(region, photo), "worn" if worn else "scene", trust, worn, plain if worn else None)


def _how_shown(view: str, lab: Floats, figure: Bools | None) -> str:
    """ "flat", "worn" or "detail": as the view says, else worn where a figure shows skin beside its middle."""
    if view in ("worn", "detail"):
        return view
    return "worn" if figure is not None and _shows_skin(lab, figure) else "flat"


def _shows_skin(lab: Floats, figure: Bools) -> bool:
    """Whether some of the figure is like skin, and its middle, where the garment is, is less so."""
    skin = _skin(lab, figure)
    rows, columns = np.nonzero(figure)
    (top, bottom), (left, right) = (rows.min(), rows.max() + 1), (columns.min(), columns.max() + 1)
    height, width = bottom - top, right - left
    middle = skin[top + height * 7 // 20 : bottom - height * 7 // 20, left + width * 3 // 8 : right - width * 3 // 8]
    share = skin.sum() / figure.sum()
    return bool(0.02 < share < 0.6 and middle.mean() < 0.5 * share)


def _skin(lab: Floats, figure: Bools) -> Floats:
    """(h, w) 0 to 1: patches of the figure that are like skin, as hands and faces are."""
    # Where two colours of a print meet there are only lines like skin.
    patches: Floats = cv2.morphologyEx(skin_likeness(lab) * figure, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return patches


def _prior(lab: Floats, class_word: str, shown: str, figure: Bools | None) -> tuple[Floats, Floats]:
    """(h, w) each: how likely the garment is at a pixel, and how much the pixel says about everything else."""
    height, width = lab.shape[:2]
    prior = expected_place(class_word, shown, figure if shown == "worn" else None).probability(height, width)
    ring = border(height, width)
    weight = np.ones((height, width), np.float32)
    if shown == "detail":
        prior[ring] = np.minimum(prior[ring], 0.3)
    else:
        prior[ring] = np.minimum(prior[ring], 0.02)
        weight[ring] = _BORDER_WEIGHT
    if figure is not None:
        prior = np.where(figure, prior, 0.005).astype(np.float32)
    if shown == "worn":
        # In the middle of its place the garment may have the colour of skin; further out, skin is skin.
        outer = 1 - np.clip((prior - 0.5) / 0.4, 0, 1)
        prior = prior * (1 - 0.85 * skin_likeness(lab) * outer)
    return prior, weight


def _cut(pixels: npt.NDArray[np.uint8], probability: Floats, prior: Floats) -> Bools:
    """(h, w) the garment by GrabCut, started from what colour and place say."""
    labels = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[(probability < 0.1) & (prior < 0.08)] = cv2.GC_BGD
    labels[(probability > 0.9) & (prior > 0.8)] = cv2.GC_FGD
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if inside.all() or not inside.any():
        return inside
    cv2.setRNGSeed(0)  # its clusters start from OpenCV's global random state
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _trust(probability: Floats, region: Bools, lab: Floats, figure: Bools | None) -> float:
    """How sure colour and place are of what is inside; little where inside and outside have the same colours.

    Outside is, where the wearer's figure is known, the rest of the figure: white on white is then no matter.

    On drawn photos it comes near the overlap with the truth, which `scripts/evaluate.py masks` shows.
    """
    outside = ~region if figure is None else figure & ~region
    return float(min(probability[region].mean(), 0.95) * (1 - shared(palette(lab, region), palette(lab, outside)) ** 4))


def _small(photo: Image.Image) -> npt.NDArray[np.uint8]:
    small = photo.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def _only(mask: Image.Image, region: Bools) -> Image.Image:
    """The mask without those of its parts that the region (h, w) does not touch, such as shadows on the floor."""
    near = cv2.dilate(region.astype(np.uint8) * 255, np.ones((3, 3), np.uint8))
    return ImageChops.darker(mask, Image.fromarray(near).resize(mask.size, Image.Resampling.BILINEAR))


def _resized(mask: Image.Image, shape: tuple[int, ...]) -> Bools:
    return np.asarray(mask.resize((shape[1], shape[0]), Image.Resampling.BOX)) >= 128


def _full_size(region: Bools, photo: Image.Image) -> Image.Image:
    """The region as a mask of the photo's size, mode L, with the photo's edges."""
    guide = photo.convert("L")
    guide.thumbnail((_EDGE_SIDE, _EDGE_SIDE), Image.Resampling.BOX)
    grey: Floats = np.asarray(guide).astype(np.float32) / np.float32(255)
    alpha = follow_edges(region, grey)
    soft = Image.fromarray((alpha * 255).round().astype(np.uint8))
    return soft if soft.size == photo.size else soft.resize(photo.size, Image.Resampling.BILINEAR)
