"""The data of training: videos in, shards of speech features and motion out, and windows of them again."""
