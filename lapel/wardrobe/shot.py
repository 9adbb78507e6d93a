"""How a garment is photographed: view, scene, light, camera, and the person who wears it."""

from __future__ import annotations

from dataclasses import dataclass

from lapel.wardrobe.body import Pose
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.vocabulary import BUILDS, COLOURS, HAIR_COLOURS, HAIR_STYLES, LOWER, SCENES, SKIN_TONES, VIEWS


@dataclass(frozen=True)
class Person:
    """Who wears the garment, and with what other clothes."""

    skin: str
    hair: str
    hair_style: str
    build: str
    other_colour: str
    """Of the plain upper or lower garment worn with it."""

    def words(self) -> str:
        """`a person with long brown hair`."""
        style = {
            "short": f"short {self.hair} hair",
            "long": f"long {self.hair} hair",
            "bun": f"{self.hair} hair in a bun",
        }
        return f"a person with {style[self.hair_style]}"


@dataclass(frozen=True)
class Shot:
    """One photo of a garment."""

    view: str
    scene: str
    brightness: float
    """1 leaves the colours as they are."""
    warmth: float
    """-1 is a cold light, 1 a warm one."""
    light_angle: float
    """Where the light comes from, in radians."""
    fill: float
    """The share of the frame that the subject spans."""
    rotation: float
    """Of the camera, in degrees."""
    offset: tuple[float, float]
    """Of the subject from the middle, in frames."""
    folds: int
    """Seed of the folds of this photo."""
    person: Person
    pose: Pose
    seed: int


def sample_person(draws: Draws, garment: Garment) -> Person:
    """Draw who wears the garment; the other clothes keep to colours that the garment does not have."""
    usual = ("white", "grey", "black", "beige") if garment.kind in LOWER else ("navy", "black", "grey", "beige", "blue")
    free = [name for name in usual if name not in garment.colours] or [n for n in COLOURS if n not in garment.colours]
    return Person(
        skin=draws.pick(list(SKIN_TONES)),
        hair=draws.pick(list(HAIR_COLOURS)),
        hair_style=draws.pick(HAIR_STYLES),
        build=draws.pick(list(BUILDS)),
        other_colour=draws.pick(free),
    )


def sample_pose(draws: Draws) -> Pose:
    """Draw a standing pose: each arm hangs, reaches out or rests on the hip; the legs stand apart."""

    def arm() -> tuple[float, float]:
        way = draws.integer(4)
        if way == 0:
            return draws.uniform(38, 50), draws.uniform(-62, -46)  # a hand on the hip
        upper = draws.uniform(10, 26) if way < 3 else draws.uniform(40, 100)
        return upper, upper + draws.uniform(-14, 24)

    def leg() -> tuple[float, float]:
        upper = draws.uniform(1, 11)
        return upper, upper + draws.uniform(-9, 3)

    return Pose(right_arm=arm(), left_arm=arm(), right_leg=leg(), left_leg=leg())


def sample_shot(seed: int, garment: Garment, view: str | None = None, scene: str | None = None) -> Shot:
    """Draw how a garment is photographed; `view` and `scene` fix what is not to be drawn."""
    draws = Draws(seed, stream=2)
    drawn_view = draws.pick(("front", "front", "front", "back", "detail", "worn", "worn", "worn"))
    drawn_scene = draws.pick(SCENES)
    view, scene = view or drawn_view, scene or drawn_scene
    if view not in VIEWS or scene not in SCENES:
        raise ValueError(f"no such view or scene: {view}, {scene}")
    return Shot(
        view=view,
        scene=scene,
        brightness=draws.uniform(0.9, 1.04),
        warmth=draws.uniform(-1, 1),
        light_angle=draws.uniform(-2.6, -0.5),
        fill=draws.uniform(0.76, 0.9),
        rotation=draws.uniform(-5, 5) if view != "worn" else draws.uniform(-2, 2),
        offset=(draws.uniform(-0.03, 0.03), draws.uniform(-0.03, 0.03)),
        folds=draws.integer(1 << 30),
        person=sample_person(draws, garment),
        pose=sample_pose(draws),
        seed=seed,
    )
