"""People of the wardrobe before a change of clothes and after it, and how an image of that is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from lapel.photos.people.change import Change, Wearer
    from lapel.photos.people.looks import Worn
    from lapel.photos.people.pose import Pose
    from lapel.wardrobe import Garment, Photograph

FIRST_SEED = 7_000_000
FOREARM = (1.25, 1.75)
"""The part of the arm (1 is the elbow, 2 the wrist) that tells a long sleeve from a short one."""

SHOWN = 10
"""People on the contact sheet."""
LEAST_BELOW = 0.001
"""Of a picture: less than that below a hem tells nothing."""

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
    def pictures(self) -> list[Image.Image]:
        """Before the change, and after it as it should be."""
        from PIL import Image

        return [Image.fromarray(photo.image) for photo in (self.before, self.truth)]

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """(h, w) where the truth is another than before."""
        changed: npt.NDArray[np.bool_] = (self.before.image != self.truth.image).any(axis=2)
        return changed

    @property
    def pose(self) -> Pose:
        from lapel.photos.people.pose import Pose

        height, width = self.before.mask.shape
        return Pose(self.before.keypoints, (width, height))


def garment(number: int, printed: bool = False) -> Garment:
    """An upper garment of a combination that `tiny` never saw, by its number; of those with a word on them if asked."""
    from lapel.wardrobe import sample_garment
    from lapel.wardrobe.vocabulary import PRINT_WORDS, UPPER

    new = sample_garment(FIRST_SEED + 1000 * number, "held_out")
    while new.kind not in UPPER or (printed and new.print not in PRINT_WORDS):
        new = sample_garment(new.seed + 1, "held_out")
    return new


def subject(new: Garment, number: int, size: int) -> Subject:
    """The person of that number, who gets that garment: a pure function of the three."""
    from PIL import Image

    from lapel.wardrobe import photograph, sample_garment, sample_shot
    from lapel.wardrobe.vocabulary import UPPER

    seed = FIRST_SEED + 1000 * number
    old = sample_garment(seed + 500, "train")
    # Whether forearms are covered is what can be told of sleeves.
    covered = new.sleeve == "long"
    while old.kind not in UPPER or (old.sleeve == "long") == covered or set(old.colours) & set(new.colours):
        old = sample_garment(old.seed + 1, "train")
    shot = sample_shot(seed, new, "worn")
    wider = new if new.sleeve == "long" or old.sleeve != "long" else old
    before, truth = (photograph(one, shot, size, framed_for=wider) for one in (old, new))
    flat = photograph(new, sample_shot(seed + 1, new, "front", "white studio"), 384)
    return Subject(new, shot.scene, before, truth, Image.fromarray(flat.image))


def worn(new: Garment) -> Worn:
    """A garment of the wardrobe in words of shape, as a user might say them: its kind and its sleeves."""
    from lapel.photos.people.looks import Worn

    sleeves = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}[new.sleeve]
    return Worn(new.kind, {"sleeves": sleeves})


def change_for(one: Subject, parsed: bool = True) -> Change:
    """Where the clothes change, by the garment's words, the pose and, if it is known, the parsing map."""
    from lapel.photos.people.change import change_of_clothes

    return change_of_clothes(wearer_of(one, parsed), worn(one.garment))


def wearer_of(one: Subject, parsed: bool = True) -> Wearer:
    """The photo before the change, with its pose and, if it is known, its parsing map."""
    from PIL import Image

    from lapel.photos.people.change import Wearer

    return Wearer(Image.fromarray(one.before.image), one.pose, one.before.parsing if parsed else None)


def flat_mask(one: Subject) -> Image.Image:
    """Where the garment is in its flat photo, as the intake finds it."""
    from lapel.photos.masks import find_mask
    from lapel.photos.read import Picture

    return find_mask(Picture(one.flat, None), None, one.garment.kind, "front").image


def sheet(subjects: Sequence[Subject], drawn: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """The first people of a measurement, before and after, and the images of each column."""
    from lapel.sheet import contact_sheet

    pictures = [
        [one.flat.resize(one.pose.size), *one.pictures, *(images[number] for images in drawn.values())]
        for number, one in enumerate(subjects[:SHOWN])
    ]
    labels = [f"{one.garment.words()}, {one.scene}" for one in subjects[:SHOWN]]
    return contact_sheet(pictures, labels, ["garment", "before", "as it should be", *drawn])


def sheet_by_garment(subjects: Sequence[Subject], images: Sequence[Image.Image]) -> Image.Image:
    """For every garment, those who get it before the change, and below them after it; halved in size."""
    from lapel.sheet import contact_sheet

    rows, labels = [], []
    for new in dict.fromkeys(one.garment for one in subjects):
        dressed = [(one, image) for one, image in zip(subjects, images, strict=True) if one.garment == new]
        flat = dressed[0][0].flat
        for first, people in ((flat, [one.pictures[0] for one, _ in dressed]), (None, [image for _, image in dressed])):
            size = (people[0].width // 2, people[0].height // 2)
            shown = [first or flat.point(lambda _: 255), *people]
            rows.append([picture.resize(size) for picture in shown])
            labels.append(new.words() if first else "")
    return contact_sheet(rows, labels, ["garment"])


def scores(subjects: Sequence[Subject], images: Sequence[Image.Image], masks: Masks) -> dict[str, float]:
    """Means (of colour the median) over people.

    `ssim` is the structural similarity to the truth within the new garment, `colour` the delta E 2000 of its dominant
    colours there, `sleeves` the share of people whose forearms are covered or bare as they should be, of those who show
    any, `below` the share of what is below the new hem that shows the lower clothes, `outside` and `face` the greatest
    differences from the photo outside of what was drawn, and in the face.
    """
    import numpy as np

    from lapel.fidelity import colour_difference, dominant_colours
    from lapel.fidelity.likeness import difference_outside, masked_ssim
    from lapel.photos.people.shape import body_of, head
    from lapel.wardrobe import PARSING

    ssim, colour, sleeves, below, outside, face = [], [], [], [], [], []
    for one, image, mask in zip(subjects, images, masks, strict=True):
        pixels, inside = np.asarray(image), one.truth.mask >= 128
        ssim.append(masked_ssim(pixels, one.truth.image, inside))
        real = dominant_colours([one.truth.image], [inside])
        colour.append(colour_difference(dominant_colours([pixels], [inside]), real).mean)
        sleeves += sleeves_right(one, pixels)
        below += below_right(one, pixels)
        outside.append(difference_outside(pixels, one.before.image, mask))
        body = body_of(one.pose)
        assert body is not None
        of_face = head(one.pose, body) & (one.before.parsing == PARSING["skin"])
        face.append(int(np.abs(pixels.astype(int) - one.before.image)[of_face].max(initial=0)))
    return {
        "ssim": mean(ssim),
        "colour": median(colour),
        "sleeves": mean(sleeves) if sleeves else 1.0,
        "below": mean(below) if below else 1.0,
        "outside": max(outside),
        "face": max(face),
    }


def sleeves_right(one: Subject, image: npt.NDArray[np.uint8]) -> list[bool]:
    """Whether most of the forearms is covered, or bare, as in the truth: nearer to skin or cloth in colour.

    Empty where the picture shows none.
    """
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
    return [bool(np.mean(votes) > 0.5)] if votes else []


def below_right(one: Subject, image: npt.NDArray[np.uint8]) -> list[float]:
    """The share of what is below the new hem that is nearer in colour to the lower clothes than to the new garment.

    That is where lower clothes are in the truth, and the old garment was or the new one might have been; empty where
    that is hardly anything.
    """
    import cv2
    import numpy as np

    from lapel.fidelity.colour import delta_e, dominant_colours, to_lab
    from lapel.photos.people.shape import area, body_of
    from lapel.wardrobe import PARSING

    body = body_of(one.pose)
    assert body is not None
    lower = one.truth.parsing == PARSING["lower"]
    place = lower & (area(worn(one.garment).shape, body, one.pose.size) | (one.before.mask >= 128))
    if place.sum() < LEAST_BELOW * place.size:
        return []
    own = np.median(to_lab(one.truth.image)[lower], axis=0)
    cloth = dominant_colours([one.truth.image], [one.truth.mask >= 128]).lab
    seen = to_lab(cv2.medianBlur(image, 3))[place]
    to_cloth = np.min([delta_e(seen, colour) for colour in cloth], axis=0)
    return [float((delta_e(seen, own) < to_cloth).mean())]
