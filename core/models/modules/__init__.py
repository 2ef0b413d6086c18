"""Building blocks of the networks, one kind in each file."""
