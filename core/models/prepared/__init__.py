"""The networks as they are run: same arguments, same results within rounding, fewer operations. Made by `core.models.inference`."""
