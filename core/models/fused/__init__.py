"""Warp network and decoder for GPUs: channels last, with the passes between convolutions fused."""
