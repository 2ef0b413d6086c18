"""The forms of warp network and decoder for a GPU: channels innermost, and one pass over memory between convolutions."""
