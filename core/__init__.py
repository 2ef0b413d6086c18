"""The talking-head core: everything below the entry points; importing it does nothing."""
