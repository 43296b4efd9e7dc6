"""Git repositories and a DVC remote over HTTP on this machine: ``git http-backend``, and files below ``/dvc/`` (below
``/private-dvc/``, the same files, to ``GitServer.user`` only)."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class GitServer:
    """Serves every repository ``root/*.git`` (those named ``private*`` to ``user`` with ``password`` only).

    Attributes:
        asked: the paths of all requests.
        open: while it is not set, requests wait.
    """

    user, password = "ada", "sesame4711"

    def __init__(self, root: Path, host: str) -> None:
        self.root, self.asked = root, list[str]()
        self.open = threading.Event()
        self.open.set()
        self.server = ThreadingHTTPServer((host, 0), self._handler())
        self.address = f"http://{host}:{self.server.server_port}"

    def _handler(owner) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                owner.asked.append(self.path)
                owner.open.wait()
                if self.path.startswith("/private") and not self.known():
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                elif self.path.startswith(("/dvc/", "/private-dvc/")):
                    self.file(owner.root / self.path.partition("?")[0].removeprefix("/private-").lstrip("/"))
                else:
                    self.backend()

            do_POST = do_HEAD = do_GET

            def file(self, path: Path) -> None:
                found = path.is_file()
                content = path.read_bytes() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def known(self) -> bool:
                wanted = "Basic " + base64.b64encode(f"{owner.user}:{owner.password}".encode()).decode()
                return self.headers.get("Authorization", "") == wanted

            def backend(self) -> None:
                path, _, query = self.path.partition("?")
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(owner.root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "REMOTE_ADDR": "127.0.0.1",
                }
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                done = subprocess.run(
                    ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
                self.send_response(int(fields.pop("Status", "200").split()[0]))
                for name, value in fields.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        return Handler


@contextmanager
def git_server(root: Path, host: str = "127.0.0.1") -> Iterator[GitServer]:
    """Run a ``GitServer`` on an address of this machine during the block."""
    made = GitServer(root, host)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.open.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def git(folder: Path, *words: str) -> str:
    """Run git as somebody who has no settings of their own."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": f"ada{at}"
            for who in ("AUTHOR", "COMMITTER")
            for what, at in (("NAME", ""), ("EMAIL", "@example.com"))
        },
    }
    done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(root: Path, name: str, files: dict[str, str], folder: Path) -> str:
    """Make ``root/name.git`` from files, by way of the work tree ``folder``; return its commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", ".")
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Files")
    git(root, "clone", "-q", "--bare", str(folder), f"{name}.git")
    return git(folder, "rev-parse", "HEAD")
