"""lapel: product photos of one garment in, an adapter that any Stable Diffusion front end can wear out."""

__version__ = "0.1.0"
