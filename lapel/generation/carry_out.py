"""Carries a request out, through diffusers' pipelines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.generation.control import Control, control_by_pose, guided, made_of, read_controls
from lapel.generation.images import parameters_text
from lapel.generation.inpaint import InpaintSettings, inpaint, patch_of
from lapel.generation.outfit import Outfit, read_outfit
from lapel.generation.parsed import Parsed, is_parsed, make_parsed
from lapel.generation.regions import read_regions, regional
from lapel.generation.request import Request
from lapel.generation.retouching import require_photos
from lapel.generation.told import provenance_of
from lapel.generation.try_on import find_change, on_inpainting_base, prompt_for, read_wearer, sketch_for
from lapel.photos.people.looks import Looks, Worn

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base, PipelineKind
    from lapel.generation.denoise import GarmentPhotos, Progress
    from lapel.generation.regions import Regions
    from lapel.generation.studio import Studio
    from lapel.photos.people.parsing import Classes
    from lapel.photos.people.pose import Pose

AROUND = InpaintSettings(masked_content="noise", mask_feather=0, only_masked=False)
"""How a person is drawn around a garment whose own pixels are kept."""


@dataclass(frozen=True)
class Drawn:
    """An image, RGB."""

    image: Image.Image
    seed: int
    parameters: str
    """The text that says how it was drawn, as WebUI writes and reads it."""
    retouched: dict[str, Any] = field(default_factory=dict)
    """What was measured where it was put right."""


@dataclass(frozen=True)
class Outcome:
    """What came of a request."""

    prompt: str
    images: list[Drawn]
    maps: list[Parsed]
    """Parsing maps that were made for it."""
    beside: list[tuple[Image.Image, str]] = field(default_factory=list)
    """What else there is to look at: of a change of clothes, the photo and the mask."""


@dataclass(frozen=True)
class Settled:
    """A request made whole by the cards of what is worn."""

    request: Request
    outfit: Outfit
    worn: Worn
    """The garment."""


@dataclass(frozen=True)
class Canvas:
    """What is drawn upon, where it is not nothing: all of one size."""

    photo: Image.Image
    """RGB."""
    mask: Image.Image
    """Mode L: 255 where it is drawn."""
    how: InpaintSettings
    kept: Image.Image | None = None
    """Mode L: what stays even where the mask fades out."""
    sketch: Image.Image | None = None
    """RGB: what denoising begins with in the photo's place."""
    pose: Pose | None = None
    parsing: Classes | None = None

    @property
    def drawn(self) -> Image.Image:
        """Mode L: where anything is drawn."""
        from PIL import Image

        return Image.fromarray(self.how.alpha(self.mask, self.kept))


def settle(request: Request) -> Settled:
    """Make a request whole, and refuse what can be told before anything heavy is imported.

    Raises:
        UserError: a file that is missing, a prompt that names nothing, or settings that nothing would come of.
    """
    outfit = read_outfit(request.wear)
    if request.try_on:
        outfit = on_inpainting_base(outfit)
    word = outfit.called(request.garment_words, request.picture.prompt)
    if request.try_on and not word and request.try_on.mask is None:
        raise UserError('nothing tells what the garment is; give --garment_words, such as "t-shirt, short sleeve"')
    worn = Worn(word or ("garment" if request.try_on else ""), outfit.attributes(request.garment_words))
    prompt = request.picture.prompt or (prompt_for(outfit, worn) if request.try_on else "")
    request = replace(request, picture=replace(request.picture, prompt=outfit.named(prompt)))
    if request.try_on:
        require_photos(request.retouch, request.true_photos)
        request.try_on.require_pose()
        request.try_on.require_sketch(request.inpaint, worn, request.true_photos)
    if not request.pose_control:
        request.control.require_parsed()
    request.region.require_encoder(request.wear.encoder)
    return Settled(request, outfit, worn)


def carry_out(request: Request, studio: Studio, progress: Progress | None = None) -> Outcome:
    """Draw what a request asks for, one image for each of its seeds.

    Raises:
        UserError: whatever of it cannot be drawn, as it was asked for; says what to give instead.
    """
    settled = settle(request)
    request, outfit, worn = settled.request, settled.outfit, settled.worn
    canvas = retouch = None
    if request.try_on:
        canvas = _photo(settled, studio)
        retouch = studio.make_retouch(request.retouch, request.true_photos, worn.class_word, canvas.pose, worn.shape)
    kind: PipelineKind = "inpaint" if canvas or (request.dress and request.dress.keep) else "text2img"
    base, pipeline, photos = studio.put_on(outfit, kind, request.picture.prompt)
    asked = (request.picture.width or base.resolution, request.picture.height or base.resolution)
    pose = canvas.pose if canvas else _pose(request, asked)
    if request.dress and request.dress.keep:
        canvas = _kept(settled, asked, pose)
    size = canvas.photo.size if canvas else asked
    controls = _controls(settled, base, studio, size, pose, canvas)
    found = read_regions(request.region, size, made_of(controls), canvas.parsing if canvas else None)
    regions = outfit.named_regions(found)
    images, size = _draw(request, base, pipeline, photos, size, controls, regions, canvas, progress)
    provenance = provenance_of(request, outfit, base)
    drawn = []
    for image, seed in zip(images, request.picture.image_seeds(), strict=True):
        image, told = retouch(image, canvas.drawn) if retouch and canvas else (image, {})
        drawn.append(Drawn(image, seed, parameters_text(request.picture, seed, size, provenance), told))
    beside = [(canvas.photo, "photo"), (canvas.mask, "mask")] if request.try_on and canvas else []
    return Outcome(request.picture.prompt, drawn, made_of(controls), beside)


def _photo(settled: Settled, studio: Studio) -> Canvas:
    """The photo on which clothes are changed."""
    request, worn = settled.request, settled.worn
    assert request.try_on is not None
    wearer = read_wearer(request.try_on, request.control.pose_model)
    change = find_change(request.try_on, wearer, worn, studio.mask_model)
    sketch = sketch_for(request.inpaint, wearer, change, worn, request.true_photos)
    return Canvas(wearer.photo, change.mask, request.inpaint, change.kept, sketch, wearer.pose, wearer.parsing)


def _pose(request: Request, size: tuple[int, int]) -> Pose | None:
    """Of the person who is drawn, in a picture of that size."""
    from lapel.generation.pose_models import find_pose

    return find_pose(request.pose, size, request.control.pose_model) if request.pose else None


def _kept(settled: Settled, size: tuple[int, int], pose: Pose | None) -> Canvas:
    """The garment's own pixels, for a person to be drawn around."""
    from lapel.generation.dress import put_down

    assert settled.request.dress is not None
    placed = put_down(settled.request.dress, settled.worn, size, pose)
    return Canvas(placed.canvas, placed.drawn, AROUND, pose=pose)


def _controls(
    settled: Settled, base: Base, studio: Studio, size: tuple[int, int], pose: Pose | None, canvas: Canvas | None
) -> list[Control]:
    """What guides the drawing: the maps that are given, and the person's pose for its own ControlNet."""
    request, worn, looks = settled.request, settled.worn, None
    posed = request.pose_control and request.posed and pose
    if request.control.shape and (posed or any(map(is_parsed, request.control.control))):
        texture = request.dress.texture if request.dress else ""
        looks = studio.looks(settled.outfit.base, request.control.shape, texture)
    elif request.try_on and request.pose_control == "tiny" and worn.shape.part != "thing":
        looks = Looks.of(worn)  # it was taught on such maps
    controls = read_controls(request.control, base, size, looks, studio.network)
    if not posed or request.posed is None or pose is None:
        return controls
    made = make_parsed(request.posed, pose, looks) if looks else None
    changed = (canvas.parsing, canvas.mask) if canvas else ()
    return [*controls, control_by_pose(studio.network(request.pose_control, base), pose, made, *changed)]


def _draw(
    request: Request,
    base: Base,
    pipeline: Any,
    photos: GarmentPhotos | None,
    size: tuple[int, int],
    controls: list[Control],
    regions: Regions,
    canvas: Canvas | None,
    progress: Progress | None,
) -> tuple[list[Image.Image], tuple[int, int]]:
    """The images, and the size (width, height) at which they were drawn, whatever theirs is."""
    from lapel.generation.denoise import generate

    # Of a photo, only a part is drawn, of a size of its own.
    picture = request.picture if request.try_on else replace(request.picture, width=size[0], height=size[1])
    if canvas is None:
        with guided(pipeline, controls, size), regional(pipeline, regions):
            return generate(pipeline, picture, progress, photos), size
    parts = (canvas.photo, canvas.mask, canvas.how, progress, photos, controls, canvas.kept, regions, canvas.sketch)
    images = inpaint(base, pipeline, picture, *parts)
    alpha = canvas.how.alpha(canvas.mask, canvas.kept)
    return images, patch_of(base, picture, canvas.photo.size, alpha, canvas.how).size
