"""People in photos: their pose, which pixel is what of them, and where a garment lies on them."""
