"""Ditto's stages, in order, one file each: source, audio features, conditions, motion, stitching, warp, decode, put back."""
