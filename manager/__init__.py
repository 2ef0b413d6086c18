"""What `model_manager.py` is made of: the catalogue, the folder, the Hub. Nothing in core/ imports it."""
