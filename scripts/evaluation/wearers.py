"""People of the wardrobe before a change of clothes and after it, and how an image of that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from lapel.photos.people.change import Change
    from lapel.photos.people.pose import Pose
    from lapel.wardrobe import Garment, Photograph

FIRST_SEED = 7_000_000
FOREARM = (1.25, 1.75)
"""The part of the arm (1 is the elbow, 2 the wrist) that tells a long sleeve from a short one."""

Masks = list["npt.NDArray[np.bool_]"]


@dataclass(frozen=True)
class Subject:
    """A person before the change, and after it as it should be."""

    garment: Garment
    scene: str
    before: Photograph
    truth: Photograph
    flat: Image.Image

    @property
    def pose(self) -> Pose:
        from lapel.photos.people.pose import Pose

        height, width = self.before.mask.shape
        return Pose(self.before.keypoints, (width, height))


def garment(number: int) -> Garment:
    """An upper garment of a combination that `tiny` never saw, by its number."""
    from lapel.wardrobe import sample_garment
    from lapel.wardrobe.vocabulary import UPPER

    new = sample_garment(FIRST_SEED + 1000 * number, "held_out")
    while new.kind not in UPPER:
        new = sample_garment(new.seed + 1, "held_out")
    return new


def subject(number: int, garments: int, size: int) -> Subject:
    """The person of that number, who gets one of so many garments: a pure function of the three."""
    from PIL import Image

    from lapel.wardrobe import photograph, sample_garment, sample_shot
    from lapel.wardrobe.vocabulary import UPPER

    new = garment(number % garments)
    seed = FIRST_SEED + 1000 * number
    old = sample_garment(seed + 500, "train")
    while old.kind not in UPPER or old.sleeve == new.sleeve or set(old.colours) & set(new.colours):
        old = sample_garment(old.seed + 1, "train")
    shot = sample_shot(seed, new, "worn")
    wider = new if new.sleeve == "long" or old.sleeve != "long" else old
    before, truth = (photograph(one, shot, size, framed_for=wider) for one in (old, new))
    flat = photograph(new, sample_shot(seed + 1, new, "front", "white studio"), 384)
    return Subject(new, shot.scene, before, truth, Image.fromarray(flat.image))


def change_for(one: Subject) -> Change:
    """Where the clothes change, by the garment's words, the pose and the parsing map."""
    from PIL import Image

    from lapel.photos.people.change import Wearer, change_of_clothes
    from lapel.photos.people.shape import shape_of

    sleeves = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}[one.garment.sleeve]
    wearer = Wearer(Image.fromarray(one.before.image), one.pose, one.before.parsing)
    return change_of_clothes(wearer, shape_of(one.garment.kind, {"sleeves": sleeves}))


def scores(subjects: Sequence[Subject], images: Sequence[Image.Image], masks: Masks) -> dict[str, float]:
    """Means (of colour the median) over people.

    `ssim` is the structural similarity to the truth within the new garment, `colour` the delta E 2000 of its dominant
    colours there, `sleeves` the share of people whose forearms are covered or bare as they should be, `outside` and
    `face` the greatest differences from the photo outside of what was drawn, and in the face.
    """
    import numpy as np

    from lapel.fidelity import colour_difference, dominant_colours
    from lapel.fidelity.likeness import difference_outside, masked_ssim
    from lapel.photos.people.shape import body_of, head
    from lapel.wardrobe import PARSING

    ssim, colour, sleeves, outside, face = [], [], [], [], []
    for one, image, mask in zip(subjects, images, masks, strict=True):
        pixels, inside = np.asarray(image), one.truth.mask >= 128
        ssim.append(masked_ssim(pixels, one.truth.image, inside))
        real = dominant_colours([one.truth.image], [inside])
        colour.append(colour_difference(dominant_colours([pixels], [inside]), real).mean)
        sleeves.append(sleeves_right(one, pixels))
        outside.append(difference_outside(pixels, one.before.image, mask))
        body = body_of(one.pose)
        assert body is not None
        of_face = head(one.pose, body) & (one.before.parsing == PARSING["skin"])
        face.append(int(np.abs(pixels.astype(int) - one.before.image)[of_face].max(initial=0)))
    return {
        "ssim": mean(ssim),
        "colour": median(colour),
        "sleeves": mean(sleeves),
        "outside": max(outside),
        "face": max(face),
    }


def sleeves_right(one: Subject, image: npt.NDArray[np.uint8]) -> float:
    """The share of the forearms that are covered, or bare, as in the truth: nearer to skin or cloth in colour."""
    import cv2
    import numpy as np

    from lapel.fidelity.colour import delta_e, dominant_colours, to_lab
    from lapel.wardrobe import PARSING

    skin = np.median(to_lab(one.truth.image)[one.truth.parsing == PARSING["skin"]], axis=0)
    cloth = dominant_colours([one.truth.image], [one.truth.mask >= 128]).lab
    smooth = to_lab(cv2.medianBlur(image, 5))
    covered = one.garment.sleeve == "long"
    votes = []
    for side in ("right", "left"):
        elbow, wrist = one.pose.get(f"{side} elbow"), one.pose.get(f"{side} wrist")
        if elbow is None or wrist is None:
            continue
        for share in np.linspace(FOREARM[0] - 1, FOREARM[1] - 1, 9):
            x, y = (round(a + (b - a) * share) for a, b in zip(elbow, wrist, strict=True))
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                to_cloth = float(delta_e(smooth[y, x], cloth).min())
                votes.append((to_cloth < float(delta_e(smooth[y, x], skin))) == covered)
    return float(np.mean(votes) > 0.5) if votes else 1.0
