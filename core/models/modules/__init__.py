"""Building blocks of the networks; each file holds one kind."""
