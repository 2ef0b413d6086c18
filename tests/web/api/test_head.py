"""HEAD answers wherever GET does, with the same status and headers and without the rest."""

from __future__ import annotations

import httpx

from tests.support.serving import KEY, Serving, error, form, wait_for

CHANGES = {"date", "retry-after", "content-length"}


def test_head_is_get_without_its_body(server: Serving) -> None:
    with server.client() as client:
        job = client.post("/generate?async=1", **form(options='{"size": 64}')).json()
        wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done")
        token = client.post("/avatars", **form(audio=None)).json()["token"]
        paths = ["/health", "/avatars", f"/avatars/{token}/thumbnail", "/metrics", "/openapi.json", f"/jobs/{job['id']}"]
        for path in (*paths, f"/jobs/{job['id']}/result", "/nothing", "/jobs/unknown"):
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert {name for name in head.headers} == {name for name in got.headers}, path
            for name in head.headers.keys() - CHANGES:
                assert head.headers[name] == got.headers[name], (path, name)
        video = client.get(f"/jobs/{job['id']}/result")
        assert int(client.head(f"/jobs/{job['id']}/result").headers["content-length"]) == len(video.content)
        part = client.head(f"/jobs/{job['id']}/result", headers={"Range": "bytes=0-99"})
        assert (part.status_code, part.headers["content-length"]) == (206, "100")
        assert client.get("/health").json()["live"], "the connection is good for more"


def test_head_needs_the_key_and_does_nothing(server: Serving) -> None:
    for path in ("/avatars", "/metrics", "/jobs/x"):
        assert httpx.head(f"{server.url}{path}", trust_env=False).status_code == 401
    with server.client() as client:
        for path in ("/generate", "/stream", "/cache/clear"):
            refused = client.head(path)
            assert (refused.status_code, refused.content) == (405, b"")
            assert "HEAD" not in refused.headers["allow"]
        assert client.request("PUT", "/health").headers["allow"] == "GET, HEAD"
        error(httpx.put(f"{server.url}/avatars", headers={"X-API-Key": KEY}, trust_env=False), 405)
