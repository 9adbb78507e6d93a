"""The one request: everything that decides what is drawn, as a program or a page fills it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lapel.generation.control import ControlSettings
from lapel.generation.dress import DressSettings
from lapel.generation.inpaint import InpaintSettings
from lapel.generation.picture import PictureSettings
from lapel.generation.regions import RegionSettings
from lapel.generation.retouching import RetouchSettings
from lapel.generation.try_on import TryOnSettings
from lapel.generation.wearing import WearSettings


@dataclass
class Request:
    """What is worn, what is drawn, and how; `lapel.generation.carry_out` does it.

    With `try_on` the clothes on a photo are changed, with `dress` a person is drawn who wears the garment, and with
    neither the prompt alone says what is drawn.
    """

    wear: WearSettings
    picture: PictureSettings = field(default_factory=PictureSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    region: RegionSettings = field(default_factory=RegionSettings)
    try_on: TryOnSettings | None = None
    inpaint: InpaintSettings = field(default_factory=InpaintSettings)
    """How the photo's part is drawn, with `try_on`."""
    retouch: RetouchSettings = field(default_factory=RetouchSettings)
    """What is put right afterwards, with `try_on`."""
    dress: DressSettings | None = None
    pose: Path | None = None
    """Of the person who is drawn, with `dress`; a photo's is in `try_on`."""

    @property
    def posed(self) -> Path | None:
        """The person's pose, whoever it is."""
        return self.try_on.pose if self.try_on else self.pose

    @property
    def person(self) -> TryOnSettings | DressSettings | None:
        """What is said of the person who wears the garment, where somebody does."""
        return self.try_on or self.dress

    @property
    def garment_words(self) -> str:
        """What the garment is, as far as words tell it."""
        return self.person.garment_words if self.person else ""

    @property
    def pose_control(self) -> str:
        """The ControlNet that the pose is shown to; empty for none."""
        return self.person.pose_control if self.person else ""

    @property
    def true_photos(self) -> list[Path]:
        """Photos that the garment is put right by."""
        return self.retouch.true_photo or list(self.wear.garment_photo)
