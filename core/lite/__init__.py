"""The lite engine's parts: the mouth from sound, head motion and blinks, and the warp of the photo."""
