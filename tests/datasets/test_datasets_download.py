"""Fetching CUB from a server on this machine."""

import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from wsol.datasets.download import download_cub
from wsol.errors import InputError


def archive(*names):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"ok"))
    return stream.getvalue()


@pytest.fixture
def serve():
    """Serve some bytes at a local address; returns (address, number of requests so far)."""
    servers = []

    def start(content):
        requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/CUB_200_2011.tgz", requests

    yield start
    for server in servers:
        server.shutdown()


def test_fetched_verified_and_unpacked_once(tmp_path, serve):
    content = archive("CUB_200_2011/images.txt", "CUB_200_2011/images/a.jpg", "attributes.txt")
    url, requests = serve(content)
    md5 = hashlib.md5(content).hexdigest()
    folder = download_cub(tmp_path, url, md5)
    assert (folder / "images" / "a.jpg").read_bytes() == b"ok"
    assert not list(tmp_path.glob(".unpacking-*"))
    assert download_cub(tmp_path, url, md5) == folder
    assert len(requests) == 1


def test_another_file_is_refused(tmp_path, serve):
    url, _ = serve(archive("CUB_200_2011/images.txt"))
    with pytest.raises(InputError, match="is not the original"):
        download_cub(tmp_path, url, "0" * 32)
    assert not (tmp_path / "CUB_200_2011").exists()


def test_nothing_is_unpacked_outside(tmp_path, serve):
    content = archive("CUB_200_2011/images.txt", "../evil.txt")
    url, _ = serve(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        download_cub(tmp_path / "data", url, hashlib.md5(content).hexdigest())
    assert not (tmp_path / "evil.txt").exists()
    assert not (tmp_path / "data" / "CUB_200_2011").exists()


def test_offline_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"Fetch CUB_200_2011\.tgz by other means"):
        download_cub(tmp_path, "http://127.0.0.1:9/CUB_200_2011.tgz")
