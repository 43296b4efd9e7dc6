"""Which handler answers which request of the service's API; see ``pantheon.features.api``.

``{name}`` in a path is a parameter: any text without a slash. Requests that no handler answers get 404.
"""

from collections.abc import Callable
from typing import Any

from pantheon.features.api import Request
from pantheon.features.asking import get_catalogue, get_rows, get_view, post_at
from pantheon.features.command import command
from pantheon.features.fresh import post_forget, post_materialize, post_online, post_push
from pantheon.features.service import Service
from pantheon.features.writing import put_service, put_views, read_historical, write_rows

Handler = Callable[[Service, Request], Any]

ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/command"): command,
    ("PUT", "/views"): put_views,
    ("POST", "/views/{view}/parts"): write_rows,
    ("PUT", "/services/{service}"): put_service,
    ("POST", "/services/{service}/historical"): read_historical,
    ("GET", "/catalogue"): get_catalogue,
    ("GET", "/catalogue/{view}"): get_view,
    ("POST", "/at"): post_at,
    ("GET", "/views/{view}/rows"): get_rows,
    ("POST", "/materialize"): post_materialize,
    ("POST", "/push"): post_push,
    ("POST", "/online"): post_online,
    ("POST", "/forget"): post_forget,
}
