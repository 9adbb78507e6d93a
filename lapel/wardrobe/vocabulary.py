"""The words of the wardrobe: what a garment, a scene and a person can be."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "held_out"]

UPPER = ("t-shirt", "long sleeve shirt", "button shirt", "hoodie", "jacket", "tank top")
LOWER = ("skirt", "trousers", "shorts")
KINDS = (*UPPER, "dress", *LOWER)

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (28, 28, 32),
    "white": (244, 244, 240),
    "grey": (136, 138, 142),
    "red": (208, 32, 38),
    "maroon": (108, 20, 40),
    "orange": (240, 128, 24),
    "yellow": (246, 212, 44),
    "lime": (160, 208, 40),
    "green": (30, 130, 64),
    "olive": (104, 104, 44),
    "teal": (16, 136, 140),
    "light blue": (132, 196, 240),
    "blue": (36, 84, 204),
    "navy": (24, 36, 92),
    "purple": (116, 52, 164),
    "pink": (244, 136, 180),
    "brown": (116, 72, 40),
    "beige": (222, 200, 164),
}
"""sRGB, 0 to 255."""

PATTERNS = (
    "plain",
    "striped",
    "vertical striped",
    "polka dot",
    "checked",
    "plaid",
    "zigzag",
    "colour block",
    "floral",
    "gradient",
    "denim",
)
PATTERN_COLOURS = {"plain": 1, "denim": 1, "plaid": 3, "floral": 3}
"""How many colours a pattern takes; all others take two."""
DENIM_COLOURS = ("light blue", "blue", "navy", "black", "grey")
PATTERN_SCALES = {"fine": 0.046, "medium": 0.064, "bold": 0.09}
"""The period of the pattern, in heights of a person."""

SCENES = (
    "white studio",
    "grey studio",
    "wooden floor",
    "brick wall",
    "park",
    "beach",
    "street",
    "bedroom",
    "snow",
    "night city",
)
SCENE_WORDS = {
    "white studio": "in a white studio",
    "grey studio": "in a grey studio",
    "wooden floor": "on a wooden floor",
    "brick wall": "in front of a brick wall",
    "park": "in a park",
    "beach": "at the beach",
    "street": "on a street",
    "bedroom": "in a bedroom",
    "snow": "in the snow",
    "night city": "in a night city",
}

VIEWS = ("front", "back", "detail", "worn")

PRINT_SHAPES = ("circle", "star", "heart", "square", "triangle", "moon")
PRINT_WORDS = ("SUN", "SKY", "LOVE", "WAVE", "JOY", "MOON", "HELLO", "PEACE")

SKIN_TONES = {"light": (246, 212, 186), "tan": (222, 172, 132), "brown": (164, 110, 76), "dark": (98, 64, 46)}
HAIR_COLOURS = {
    "black": (26, 22, 22),
    "brown": (92, 56, 32),
    "blonde": (222, 184, 108),
    "red": (164, 70, 34),
    "grey": (164, 162, 160),
}
HAIR_STYLES = ("short", "long", "bun")
BUILDS = {"slim": 0.9, "average": 1.0, "broad": 1.13}
"""Width of shoulders and hips against the average."""

PARSING = {
    "background": 0, "skin": 1, "hair": 2, "upper": 3, "lower": 4, "dress": 5, "print": 6, "shoes": 7, "outer": 8,
}  # fmt: skip
"""The classes of a parsing map. Photographs show no `outer` garment over an upper one; parsing maps can."""

KEYPOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
    "right ear", "left ear",
)  # fmt: skip
"""COCO-18, in the order in which OpenPose writes it; right and left are the person's own."""
