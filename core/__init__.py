"""The talking-head core: everything below the entry points. Importing it does nothing."""
