"""Exit status 0 when JupyterLab answers: for containers."""

import os
import urllib.request


def main() -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{os.environ['JUPYTER_PORT']}/api", timeout=2) as answer:
        answer.read()


if __name__ == "__main__":
    main()
