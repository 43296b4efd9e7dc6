"""What the page shows of the questions, of where models lie, and of an older version served again."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from pantheon.files import write_json
from tests.support.button import Deployment, serving
from tests.support.button_in_s3 import asked, at_tier, into_s3, made


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_page_has_them_without_a_script(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    at_tier(deployment, "nemesis", models="s3")
    for number in ("one", "two"):
        deployment.publish(made(tmp_path / number))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert page.count('<li class="answered">') == 3
        assert page.count('<li class="cannot">') == 5
        assert "What this tier can answer" in page
        assert '<form class="moment" method="get" action="/#questions">' in page
        first = deployment.store.history("robots")[-1].since[:19]  # type: ignore[index]
        when = datetime.fromisoformat(first) + timedelta(seconds=1)
        now = client.get(f"/?at={quote(f'{when:%Y-%m-%dT%H:%M:%S}')}").text
        assert f'value="{when:%Y-%m-%dT%H:%M:%S}"' in now
        assert "is not a valid time" in text_of(client.get("/?at=soon").text)
        seen = re.search(r"/parts/questions\?seen=([0-9a-f]+)", page)
        assert seen
        assert client.get(f"/parts/questions?seen={seen[1]}").status == 204
        assert client.get("/parts/questions?seen=x").text.lstrip().startswith('<section id="questions"')


def test_serve_this_one_goes_back_in_one_press(deployment: Deployment, tmp_path: Path, s3: str) -> None:
    into_s3(deployment, s3)
    for number in ("one", "two", "three"):
        deployment.publish(made(tmp_path / number))
    with serving(deployment) as (_, client):
        page = client.get("/").text
        assert re.findall(r'aria-label="Serve version (\d+)"', page) == ["2", "1"], "the champion has no such button"
        assert "Stored in" in page
        assert "<code>s3://pantheon/models/robots</code>" in page
        form = urlencode({"model": "robots", "version": "1", "champion": "3"})
        answer = client.form("/rollback", form)
        assert "Version 1 is the champion again and is serving now." in answer.text
        assert client.predict({"robot-age": 5}).headers["x-model-version"] == "1"
        record = deployment.store.resolve("robots")
        assert (record.previous, record.by, record.note) == ("3", "page", "rollback from version 3")
        late = client.form("/rollback", urlencode({"model": "robots", "version": "2", "champion": "3"}))
        assert "it changed in the meantime" in late.text
        assert deployment.store.resolve("robots").version == "1"
        said = asked(client)
        assert said["serving"]["facts"]["version"] == "1"
        assert said["served_at"]["facts"]["version"] == "3"


def test_a_damaged_version_is_not_gone_back_to(deployment: Deployment, tmp_path: Path) -> None:
    for number in ("one", "two"):
        deployment.publish(made(tmp_path / number))
    with (deployment.folder / "models" / "robots" / "1" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with serving(deployment) as (_, client):
        answer = client.form("/rollback", urlencode({"model": "robots", "version": "1", "champion": "2"}))
        assert "version 1 is damaged" in answer.text
        assert deployment.store.resolve("robots").version == "2"


def test_the_picture_is_the_tiers_or_the_variants(deployment: Deployment, tmp_path: Path) -> None:
    write = deployment.folder / "state" / "deployment.json"
    with serving(deployment) as (_, client):
        for tier, variant, node in (
            ("nemesis", "", "quick_preprocessing"),
            ("odysseus", "", "Data Version Control"),
            ("odysseus", "pycaret", "Pycaret"),
        ):
            write_json(write, {"tier": tier, "dataset": "robots", "variant": variant})
            page = client.get("/").text
            assert f'data-node="{node}"' in page or f'data-box="{node}"' in page, (tier, variant)
            assert ("variant pycaret" in page) is bool(variant)
