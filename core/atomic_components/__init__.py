"""Ditto's stages, one file each: source, audio features, conditions, motion, stitching, warp, decoding and put back."""
