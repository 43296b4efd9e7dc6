"""Commands around the prediction log in containers: they read it in tasks that cannot write it."""

from pathlib import Path

import polars as pl
import pytest

from tests.support.button import Client
from tests.support.compose import Composed
from tests.support.waiting import until
from tests.system.endpoint.test_endpoint import ROW, WITHOUT


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(900)
def test_files_are_predicted_and_the_log_is_shown_judged_and_forgotten(composed: Composed, tmp_path: Path) -> None:
    composed("up", "epimetheus", "--without", WITHOUT, timeout=700)
    given = tmp_path / "robots.csv"
    given.write_text("robot-age,rust-level,battery\n5,9,low\nold,9,low\n")
    done = composed("predict-file", str(given), str(tmp_path / "out.parquet"), "--json", check=False)
    assert (done.status, done.json["predicted"], done.json["refused"]) == (3, 1, 1), done.err
    assert pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_list() == [0]

    token = composed("keys", "add", "shop").out.strip()
    client = Client(8085 + composed.offset, {"Authorization": f"Bearer {token}"})
    until(lambda: client.predict(ROW).status == 200)
    id = client.predict({**ROW, "context": {"customer": 4711}}).headers["x-request-id"]
    (tmp_path / "said.csv").write_text(f"id,correct\n{id},no\n")
    assert composed("feedback", "import", str(tmp_path / "said.csv"), "--json").json["sent"] == 1
    (row,) = composed("predictions", id, "--json").json["rows"]
    assert (row["correct"], row["replay"]["same"]) == (False, True)
    words = composed("forget", "customer=4711", "--confirm", "yes").err
    assert "1 prediction and 1 piece of feedback were removed" in " ".join(words.split())
    assert id not in {row["id"] for row in composed("predictions", "--json").json["rows"]}
