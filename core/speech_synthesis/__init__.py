"""Text becomes speech: voices, synthesisers, the reading of text, and a cache."""
