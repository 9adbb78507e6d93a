"""Draws who wears the garment, under and over it."""

from __future__ import annotations

import skia

from lapel.wardrobe.body import HEAD, HEAD_RADIUS, Skeleton
from lapel.wardrobe.canvas import Canvas, mirrored, paint, polygon, smooth
from lapel.wardrobe.fabric import mix
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.shot import Person
from lapel.wardrobe.tailor import WAIST, lies_in_front, limb
from lapel.wardrobe.vocabulary import COLOURS, HAIR_COLOURS, LOWER, SKIN_TONES

DARK = (30, 24, 24)


def draw_body(canvas: Canvas, person: Person, skeleton: Skeleton) -> None:
    """What clothes lie over: back hair, body, arms behind it, shoes."""
    skin, hair = SKIN_TONES[person.skin], HAIR_COLOURS[person.hair]
    if person.hair_style == "long":
        back_hair = smooth(
            [(-0.07, -0.15), (0.07, -0.15), (0.085, -0.05), (0.09, 0.07), (-0.09, 0.07), (-0.085, -0.05)]
        )
        canvas.fill(back_hair, paint(hair), "hair", garment=False)
    for joints in (skeleton.right_leg, skeleton.left_leg):
        canvas.fill(limb(joints, 2.0, (0.1, 0.044)), paint(skin), "skin", garment=False)
        x, y = joints[2]
        shoe = skia.Path.Oval(skia.Rect.MakeLTRB(x - 0.032, y - 0.012, x + 0.032, y + 0.034))
        canvas.fill(shoe, paint(DARK), "shoes", garment=False)
    half, hip = skeleton.shoulder, skeleton.hip + 0.045
    side = [(0.03, -0.02), (half, 0.024), (half - 0.004, 0.12), (half - 0.018, 0.2), (hip, 0.31), (hip, 0.36)]
    torso = polygon(mirrored(side))
    canvas.fill(torso, paint(skin), "skin", garment=False)
    neck = polygon([(-0.03, -0.06), (0.03, -0.06), (0.034, 0.02), (-0.034, 0.02)])
    canvas.fill(neck, paint(mix(skin, (0, 0, 0), 0.1)), "skin", garment=False)
    _draw_arms(canvas, person, skeleton, in_front=False)


def draw_arms_in_front(canvas: Canvas, person: Person, skeleton: Skeleton) -> None:
    """The arms that lie before the torso."""
    _draw_arms(canvas, person, skeleton, in_front=True)


def _draw_arms(canvas: Canvas, person: Person, skeleton: Skeleton, in_front: bool) -> None:
    skin = SKIN_TONES[person.skin]
    for joints in (skeleton.right_arm, skeleton.left_arm):
        if lies_in_front(joints, skeleton) == in_front:
            canvas.fill(limb(joints, 2.0, (0.058, 0.036)), paint(skin), "skin", garment=False)
            canvas.fill(skia.Path.Circle(*joints[2], 0.024), paint(skin), "skin", garment=False)


def draw_hands(canvas: Canvas, person: Person, skeleton: Skeleton) -> None:
    """Hands, which come out of sleeves."""
    for joints in (skeleton.right_arm, skeleton.left_arm):
        hand = limb(joints, 2.14, (0.036, 0.036), after=1.95)
        canvas.fill(hand, paint(SKIN_TONES[person.skin]), "skin", garment=False)


def draw_other_clothes(canvas: Canvas, person: Person, skeleton: Skeleton, garment: Garment) -> None:
    """A plain top with a garment for the legs, plain trousers with one for the torso."""
    colour = COLOURS[person.other_colour]
    if garment.kind in LOWER:
        half = skeleton.shoulder + 0.008
        side = [(0.0, 0.04), (0.04, 0.0), (half, 0.022), (half - 0.002, 0.12), (half - 0.012, WAIST + 0.03)]
        top = polygon(mirrored(side))
        canvas.fill(top, paint(colour), "upper", garment=False)
        for joints in (skeleton.right_arm, skeleton.left_arm):
            canvas.fill(limb(joints, 0.55, (0.076, 0.066), after=-0.06), paint(colour), "upper", garment=False)
    elif garment.kind != "dress":
        for joints in (skeleton.right_leg, skeleton.left_leg):
            canvas.fill(limb(joints, 1.93, (0.112, 0.058)), paint(colour), "lower", garment=False)
        half, hip = skeleton.shoulder - 0.016, skeleton.hip + 0.05
        hips = polygon([(-half, WAIST + 0.02), (half, WAIST + 0.02), (hip, 0.33), (0, 0.37), (-hip, 0.33)])
        canvas.fill(hips, paint(colour), "lower", garment=False)


def draw_head(canvas: Canvas, person: Person) -> None:
    """Head, face and front hair, over everything."""
    skin, hair = SKIN_TONES[person.skin], HAIR_COLOURS[person.hair]
    x, y = HEAD
    if person.hair_style == "bun":
        canvas.fill(skia.Path.Circle(x, y - HEAD_RADIUS - 0.022, 0.028), paint(hair), "hair", garment=False)
    cap = skia.Path.Circle(x, y - 0.012, HEAD_RADIUS + 0.009)
    canvas.fill(cap, paint(hair), "hair", garment=False)
    face = skia.Path.Oval(skia.Rect.MakeLTRB(x - 0.046, y - 0.036, x + 0.046, y + 0.062))
    canvas.fill(face, paint(skin), "skin", garment=False)
    for sign in (-1, 1):
        canvas.shade(skia.Path.Circle(x + sign * 0.018, y + 0.006, 0.0065), paint(DARK))
    mouth = polygon([(x - 0.013, y + 0.036), (x, y + 0.041), (x + 0.013, y + 0.036)], close=False)
    canvas.shade(mouth, paint((168, 64, 62), width=0.007))
