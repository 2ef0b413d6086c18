"""Reading photos, videos and recordings, and writing the finished video."""
