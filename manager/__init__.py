"""The parts of `model_manager.py`: catalogue, folder, downloads and export; nothing in core/ imports them."""
