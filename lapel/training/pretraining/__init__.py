"""How `tiny`, the embedded base, is trained on the wardrobe; `scripts/build_tiny.py` tells the story."""
