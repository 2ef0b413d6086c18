"""The REST and WebSocket server over one studio.

    app = build_api(studio, settings, outputs)          # core/web/api/app.py, an ASGI application

    guard (size, time, origin of a request)  →  keys (who asks)  →  limits (how often)  →  routes  →  studio
"""
