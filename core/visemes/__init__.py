"""What a mouth does while it speaks, as visemes and blendshape weights: for 3-D avatars that are driven beside the video."""
