"""A web server on this machine that answers badly, when a test says so."""

import io
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server has, how it answers, and what it was asked."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.ranges = True  # whether it can send the rest of a file
        self.breaks: list[int] = []  # the next answers break off after so many bytes
        self.busy = 0  # how many of the next answers are 503
        self.asked: list[tuple[str, str | None]] = []  # path and range
        self.url = ""


def _handler(site):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers["Range"]
            site.asked.append((self.path, asked))
            if site.busy:
                site.busy -= 1
                return self.send_error(503)
            if self.path not in site.files:
                return self.send_error(404)
            content = site.files[self.path]
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.ranges else 0
            if start and start >= len(content):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = start + site.breaks.pop(0) if site.breaks else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, *arguments):
            pass

    return Handler


@contextmanager
def serving():
    """A site, as long as the block runs."""
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving_without_caches(tmp_path, monkeypatch):
    """A site, as long as the block runs; the caches of downloads are empty, and no proxy is asked."""
    monkeypatch.setenv("MTPD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as site:
        yield site


def zipped(files):
    """A zip file, as bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()
