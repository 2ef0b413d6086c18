"""Caches, loading, batching and device placement."""
