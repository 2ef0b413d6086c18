"""The auxiliary models: face detection, landmarks and the speech encoder."""
