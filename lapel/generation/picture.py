"""What is asked of a pipeline: the fields that WebUI shows beside an image, under the names that it shows them by."""

from __future__ import annotations

from dataclasses import dataclass, field

from lapel.base.emphasis import edits
from lapel.errors import UserError
from lapel.generation.schedulers import scheduler_name


@dataclass
class PictureSettings:
    """One prompt, and how its images are drawn."""

    prompt: str = ""
    """What the image shows, of any length. Programs replace `{garment}` by the adapter's trigger and class word. Words
    are weighed as in WebUI: `(word:1.3)`, `(word)`, `[word]`; `\\(` is a bracket that is meant."""

    negative_prompt: str = ""
    """What guidance moves away from."""

    steps: int = 30
    """Denoising steps. 20 to 30 is where the usual schedulers stop changing the picture."""

    guidance: float = 4.0
    """Classifier-free guidance scale (arXiv:2207.12598); 1 is none. Adapters of one garment burn above 7, and
    the more of it, the less true their colours are (docs/measures.md)."""

    width: int | None = None
    """Pixels; the base's own size where not given. A multiple of 8."""

    height: int | None = None
    """Pixels; the base's own size where not given. A multiple of 8."""

    seeds: list[int] = field(default_factory=lambda: [0])
    """One seed an image. The same seed gives the same image, whatever else is drawn in the same batch."""

    images: int | None = None
    """How many images; as many as there are seeds where not given. Seeds that are missing count on from the last."""

    scheduler: str | None = None
    """A name from WebUI's menus, such as "DPM++ 2M Karras"; the base's own where not given."""

    batch: int = 1
    """Images drawn at once. Only memory and time depend on it."""

    def __post_init__(self) -> None:
        """Refuse what no pipeline can do.

        Raises:
            UserError: every finding, a line each.
        """
        findings = []
        for prompt in (self.prompt, self.negative_prompt):
            if edited := edits(prompt):
                findings.append(
                    f"{edited}: WebUI's prompt editing, which is not known here; choose one, or write \\[ for a bracket"
                )
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                findings.append(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("width", "height"):
            side = getattr(self, name)
            if side is not None and (side < 8 or side % 8):
                findings.append(f"{name} is {side}; it must be a positive multiple of 8")
        if not self.seeds:
            findings.append("seeds is empty; give at least one")
        if any(not 0 <= seed < 2**63 for seed in self.seeds):
            findings.append("a seed must lie between 0 and 2**63 - 1")
        if self.images is not None and self.images < 1:
            findings.append(f"images is {self.images}; it must be at least 1")
        elif self.images is not None and self.images < len(self.seeds):
            findings.append(f"{len(self.seeds)} seeds for {self.images} images; leave out one of the two settings")
        if self.scheduler is not None:
            try:
                self.scheduler = scheduler_name(self.scheduler)
            except UserError as error:
                findings.extend(error.lines)
        if findings:
            raise UserError(*findings)

    def image_seeds(self) -> list[int]:
        """The seed of every image: `seeds`, continued by counting up to `images` of them."""
        missing = (self.images or 0) - len(self.seeds)
        return self.seeds + [self.seeds[-1] + 1 + number for number in range(missing)]
