"""A person who wears the garment: python inference/dress.py --adapter FILE --scene "at the beach"

People, places and poses are combined into a look-book. A garment is worn as an adapter, by a garment encoder, or both;
with `--keep PHOTO` its own pixels are kept, and the person is drawn around them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lapel.errors import run_program
from lapel.files import require_writable
from lapel.generation import PictureSettings, WearSettings, read_outfit
from lapel.generation.carry_out import carry_out
from lapel.generation.control import ControlSettings
from lapel.generation.dress import DressSettings
from lapel.generation.like import like
from lapel.generation.look_book import look_book, require_look_book
from lapel.generation.people import PeopleSettings
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings
from lapel.generation.request import Request
from lapel.generation.retrieve import Found, RetrievalSettings, dressed_in, find_garments
from lapel.generation.save import save
from lapel.quiet import quiet
from lapel.settings import read_settings

if TYPE_CHECKING:
    from lapel.base.base import Base
    from lapel.photos.catalogue import CatalogueSettings

KINDS = (
    DressSettings,
    PeopleSettings,
    RetrievalSettings,
    WearSettings,
    ControlSettings,
    RegionSettings,
    PictureSettings,
)


def main() -> None:
    """Draw every person in every place and pose, and save the look-book."""
    argv = like(sys.argv[1:], *KINDS)
    dress, people, search, wearing, control, region, picture = read_settings(__doc__ or "", *KINDS, argv=argv)
    request = Request(wearing, picture, control, region, dress=dress)
    outfit = read_outfit(wearing, photos_follow=search.catalogue is not None)
    region.require_encoder(wearing.encoder)
    catalogue = search.listed() if search.catalogue else None
    require_look_book(request, people, outfit, found=catalogue is not None)
    require_writable(wearing.output_dir)

    quiet()
    from lapel.fidelity.studio import open_studio

    studio, captions = open_studio(), list[str]()
    if catalogue:
        found = find(search, catalogue, studio.base(outfit.base))
        request, captions = dressed_in(found, request, outfit)
    pages = look_book(request, people, studio, captions)
    outcomes = [carry_out(page.request, studio, time_left()) for page in pages]
    for path in save(outcomes, wearing.output_dir, [page.label for page in pages]):
        print(path)


def find(search: RetrievalSettings, catalogue: CatalogueSettings, base: Base) -> tuple[Found, ...]:
    """The garments of the catalogue that are nearest to the sentence; says which."""
    from lapel.fidelity.readers import load_towers
    from lapel.photos.catalogue import read_catalogue
    from lapel.training.encoding import cache_folder

    cache = cache_folder(None)
    read = read_catalogue(catalogue, base.resolution, base.multiple, cache)
    found = find_garments(read, load_towers(search.reader), search.query, search.nearest, cache)
    for garment in found:
        print(f"found: {garment.sku} ({garment.words}), likeness {garment.likeness:.2f}", file=sys.stderr)
    return found


if __name__ == "__main__":
    run_program(main)
