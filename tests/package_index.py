"""A small package index over HTTP, for tests that install for real."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import threading
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def wheel(name: str, version: str, *requires: str) -> tuple[str, bytes]:
    """Return file name and content of a wheel with one module, which knows its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl", content.getvalue()


@dataclass
class Served:
    """An index that runs: its address, and the paths it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve(
    wheels: dict[str, bytes], address: str = "127.0.0.1", elsewhere: str = ""
) -> Iterator[Served]:
    """Serve these wheels below `/simple`; any other path is sent to the address `elsewhere`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            parts = self.path.strip("/").split("/")
            if parts[0] == "files":
                # As the public index says of its files, which never change.
                self._answer(wheels[parts[1]], "Cache-Control", "max-age=365000000, immutable")
                return
            found = [file for file in wheels if file.startswith(f"{parts[-1].replace('-', '_')}-")]
            if elsewhere and not found:
                self.send_response(302)
                self.send_header("Location", f"{elsewhere}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            links = "".join(f'<a href="/files/{file}">{file}</a>' for file in found)
            self._answer(links.encode(), "Content-Type", "text/html")

        def _answer(self, body: bytes, name: str, value: str) -> None:
            self.send_response(200)
            self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    served = Served(f"http://{address}:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
