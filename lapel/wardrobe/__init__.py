"""Draws garments, people and scenes, with their masks, poses, parsing maps and captions.

Everything is a pure function of seeds: `photograph(sample_garment(1), sample_shot(2, ...), 128)`.
"""

from lapel.wardrobe.captions import caption, phrase, with_article
from lapel.wardrobe.dressed import Clothes, draw_parsing
from lapel.wardrobe.garment import SIBLINGS, Garment, sample_garment, sample_siblings, split_of
from lapel.wardrobe.photograph import Photograph, photograph
from lapel.wardrobe.shot import Person, Shot, sample_shot
from lapel.wardrobe.vocabulary import COLOURS, KEYPOINTS, KINDS, PARSING, PATTERNS, SCENE_WORDS, SCENES, VIEWS

__all__ = [
    "COLOURS",
    "KEYPOINTS",
    "KINDS",
    "PARSING",
    "PATTERNS",
    "SCENES",
    "SCENE_WORDS",
    "SIBLINGS",
    "VIEWS",
    "Clothes",
    "Garment",
    "Person",
    "Photograph",
    "Shot",
    "caption",
    "draw_parsing",
    "photograph",
    "phrase",
    "sample_garment",
    "sample_shot",
    "sample_siblings",
    "split_of",
    "with_article",
]
