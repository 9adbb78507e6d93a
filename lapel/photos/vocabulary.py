"""The words of clothes: what a garment can be, in the words that shops use, and their synonyms."""

from __future__ import annotations

import re

CATEGORIES: dict[str, tuple[str, ...]] = {
    "t-shirt": ("tshirt", "t shirt", "tee", "tee shirt"),
    "long sleeve shirt": ("long sleeve", "longsleeve", "long sleeve t shirt", "long sleeve tee"),
    "button shirt": ("button up", "button down", "button up shirt", "button down shirt", "oxford shirt"),
    "polo shirt": ("polo",),
    "shirt": (),
    "blouse": (),
    "tank top": ("tank", "sleeveless top", "singlet"),
    "top": (),
    "sweatshirt": (),
    "hoodie": ("hoody", "hooded sweatshirt"),
    "sweater": ("pullover", "jumper", "half zip"),
    "cardigan": (),
    "jacket": ("parka", "windbreaker"),
    "coat": ("raincoat", "overcoat"),
    "blazer": (),
    "vest": ("waistcoat", "gilet"),
    "suit": (),
    "dress": ("gown",),
    "skirt": (),
    "trousers": ("chinos", "slacks"),
    "pants": ("joggers",),
    "capri pants": ("capri", "capris"),
    "jeans": (),
    "leggings": (),
    "shorts": (),
    "jumpsuit": ("romper",),
    "overalls": ("dungarees",),
    "swimsuit": ("bikini",),
    "pyjamas": ("pajamas",),
    "robe": ("kimono",),
    "boot": ("boots",),
    "shoe": ("shoes", "loafers"),
    "sneaker": ("sneakers", "trainers"),
    "sandal": ("sandals",),
    "cap": (),
    "hat": (),
    "beanie": (),
    "scarf": (),
    "gloves": (),
    "socks": (),
    "tie": (),
    "belt": (),
    "backpack": ("rucksack",),
    "bag": ("handbag", "tote"),
}
"""Class word -> further names of it that shops use."""

ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "sleeves": {
        "sleeveless": ("no sleeves", "strappy", "spaghetti strap"),
        "short sleeve": ("short sleeves", "short sleeved", "half sleeve", "ss"),
        "three quarter sleeve": ("three quarter sleeves", "raglan three quarter"),
        "long sleeve": ("long sleeves", "long sleeved", "longsleeve", "ls"),
        "raglan": ("raglan sleeve", "raglan sleeves", "baseball sleeve"),
    },
    "length": {
        "cropped": ("crop", "capri", "ankle length", "seven eighths"),
        "mini": ("short length",),
        "knee length": ("knee", "bermuda"),
        "midi": ("mid length", "tea length"),
        "maxi": ("full length", "floor length"),
    },
    "neckline": {
        "crew neck": ("crewneck", "round neck", "crew"),
        "v neck": ("vneck", "v necked", "v insert"),
        "scoop neck": ("scoopneck", "scoop"),
        "turtle neck": ("turtleneck", "roll neck", "polo neck", "mock neck"),
        "boat neck": ("boatneck", "bateau"),
        "off shoulder": ("off the shoulder", "bardot", "cold shoulder"),
        "halter": ("halterneck", "halter neck"),
        "henley": ("grandad", "henley neck"),
    },
    "collar": {
        "polo collar": ("polo",),
        "button down collar": ("button down",),
        "band collar": ("mandarin", "stand collar", "nehru"),
        "lapels": ("lapel", "notch lapel", "shawl collar"),
        "hood": ("hooded", "hoodie", "hoody"),
    },
    "closure": {
        "full zip": ("zip", "zipper", "zip up", "zip through"),
        "half zip": ("quarter zip", "pull zip"),
        "buttons": ("button", "buttoned", "button up", "button front"),
        "wrap": ("wrapped", "tie waist", "belted"),
        "drawstring": ("draw cord", "drawcord"),
    },
    "pattern": {
        "plain": ("solid", "block colour"),
        "striped": ("stripe", "stripes", "breton"),
        "polka dot": ("dots", "dotted", "spot", "spotted", "polka dots"),
        "checked": ("check", "gingham", "windowpane"),
        "plaid": ("tartan", "buffalo check"),
        "floral": ("flower", "flowers", "botanical"),
        "colour block": ("colourblock", "color block", "colorblock", "two tone"),
        "camouflage": ("camo",),
        "animal print": ("leopard", "zebra", "snake print", "snakeskin"),
        "tie dye": ("tiedye", "batik"),
        "melange": ("marl", "marled", "heather", "heathered"),
        "zigzag": ("chevron", "herringbone"),
    },
    "texture": {
        "ribbed": ("rib", "rib knit"),
        "cable knit": ("cable", "aran"),
        "knitted": ("knit", "knitwear"),
        "denim": ("jean", "chambray"),
        "leather": ("faux leather", "nappa"),
        "suede": ("nubuck",),
        "corduroy": ("cord", "needlecord"),
        "velvet": ("velour",),
        "fleece": ("sherpa", "teddy"),
        "lace": ("crochet", "broderie"),
        "satin": ("silk", "silky"),
        "linen": ("flax",),
        "quilted": ("padded", "puffer", "down"),
        "mesh": ("net",),
        "fringed": ("fringe", "tassel", "tasselled"),
    },
    "print": {
        "logo": ("branded",),
        "graphic": ("graphic print", "slogan", "text print"),
        "embroidered": ("embroidery",),
        "pocket": ("patch pocket", "chest pocket"),
    },
    "fit": {
        "slim": ("slim fit", "skinny", "fitted", "bodycon"),
        "regular": ("regular fit", "classic fit", "straight"),
        "relaxed": ("relaxed fit", "loose", "easy fit"),
        "oversized": ("oversize", "boxy", "baggy"),
        "flared": ("flare", "bootcut", "a line", "wide leg"),
    },
}
"""Attribute -> value -> its synonyms. All are matched as whole words, letters only: `V-neck` is `v neck`."""


def words_of(name: str) -> list[str]:
    """The words of a text or a file's name, in lower case: `mt04-blue_Back.jpg` -> mt, blue, back, jpg."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def last_of(text: str, values: dict[str, tuple[str, ...]]) -> str | None:
    """The value that `text` names, itself or by a synonym; of several the last, in English the thing itself."""
    haystack = f" {' '.join(words_of(text))} "
    found = []
    for value, synonyms in values.items():
        for name in (value, *synonyms):
            at = haystack.rfind(f" {' '.join(words_of(name))} ")
            if at >= 0:
                found.append((at + len(name), len(name), value))
    return max(found)[2] if found else None


def attributes_of(text: str) -> dict[str, str]:
    """What a text tells of a garment: `mh05-white-navy-raglan-hoodie` -> sleeves: raglan, collar: hood."""
    found = {attribute: last_of(text, values) for attribute, values in ATTRIBUTES.items()}
    return {attribute: value for attribute, value in found.items() if value is not None}
