"""Stable Diffusion parts: find, load, encode text, encode and decode images.

Import what is needed from the modules: `settings` and `families` are light, `load` and `base` bring torch.
"""
