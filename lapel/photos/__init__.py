"""Photos: a garment folder -> checked, upright, sRGB, masked, captioned and bucketed examples.

Importing this room is quick: the libraries that read and cut photos come in when they are used.
"""

from lapel.photos.folder import check_garment_dir
from lapel.photos.intake import GarmentFolder, read_garment
from lapel.photos.settings import PhotoSettings

__all__ = ["GarmentFolder", "PhotoSettings", "check_garment_dir", "read_garment"]
