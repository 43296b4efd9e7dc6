"""S3 keeps acknowledged writes, enforces conditions, and uses little memory."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.s3_service import BUCKET, Service, refusal
from tests.support.waiting import until

WRITERS = 4


def status_of(call: Callable[[], Any]) -> int:
    try:
        return int(call()["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def together(work: Callable[[int], None], count: int = WRITERS) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_it_starts_in_seconds(s3: Service) -> None:
    s3.down()
    begin = time.monotonic()
    s3.up()
    assert time.monotonic() - begin < 30  # 2.4 s with the machine to itself


def test_one_of_many_conditional_puts_succeeds(s3: Service) -> None:
    """If-None-Match: * with versions kept; the losers wait about a second for their answer."""
    clients = [s3.client() for _ in range(WRITERS)]
    key, answers = "models/m/claims/1.json", [0] * WRITERS

    def claim(number: int) -> None:
        put = {"Bucket": BUCKET, "Key": key, "Body": str(number).encode(), "IfNoneMatch": "*"}
        answers[number] = status_of(lambda: clients[number].put_object(**put))

    together(claim)
    assert sorted(answers) == [200] + [412] * (WRITERS - 1)
    assert clients[0].get_object(Bucket=BUCKET, Key=key)["Body"].read() == str(answers.index(200)).encode()
    clients[0].delete_object(Bucket=BUCKET, Key=key)
    assert status_of(lambda: clients[0].put_object(Bucket=BUCKET, Key=key, Body=b"", IfNoneMatch="*")) == 200


def test_no_swap_is_lost_and_all_are_in_the_history(s3: Service) -> None:
    """If-Match: a counter that all raise; its old values are listed, newest first."""
    key, times = "models/m/aliases/champion.json", 3
    clients = [s3.client() for _ in range(WRITERS)]
    clients[0].put_object(Bucket=BUCKET, Key=key, Body=b"0")

    def count(number: int) -> None:
        client, done = clients[number], 0
        while done < times:
            now = client.get_object(Bucket=BUCKET, Key=key)
            new = {"Body": str(int(now["Body"].read()) + 1).encode(), "IfMatch": now["ETag"]}
            done += status_of(lambda new=new: client.put_object(Bucket=BUCKET, Key=key, **new)) == 200

    together(count)
    pages = clients[0].get_paginator("list_object_versions")
    result = pages.paginate(Bucket=BUCKET, Prefix=key, PaginationConfig={"PageSize": 5})
    versions = [each for page in result for each in page["Versions"]]
    assert [each["IsLatest"] for each in versions] == [True] + [False] * WRITERS * times
    moments = [each["LastModified"] for each in versions]
    assert moments == sorted(moments, reverse=True)
    values = [
        int(clients[0].get_object(Bucket=BUCKET, Key=key, VersionId=each["VersionId"])["Body"].read())
        for each in versions
    ]
    assert values == list(range(WRITERS * times, -1, -1))
    absent = {"Bucket": BUCKET, "Key": "models/m/aliases/none.json", "Body": b"", "IfMatch": '"0"'}
    assert refusal(lambda: clients[0].put_object(**absent))[0] in (404, 412)


def test_a_multipart_file_is_read_back_complete(s3: Service) -> None:
    client, data = s3.client(), os.urandom(12 << 20)
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="dvc/parts")["UploadId"]
    where = {"Bucket": BUCKET, "Key": "dvc/parts", "UploadId": upload}
    parts = []
    for number, begin in enumerate(range(0, len(data), 5 << 20), start=1):
        part = client.upload_part(**where, PartNumber=number, Body=data[begin : begin + (5 << 20)])
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket=BUCKET, Key="dvc/parts")["Body"].read() == data
    assert (
        client.get_object(Bucket=BUCKET, Key="dvc/parts", Range="bytes=5242870-5242889")["Body"].read()
        == (data[5242870:5242890])
    )


@pytest.mark.slow
def test_it_stays_small_under_load(s3: Service) -> None:
    """Publishing and getting models of 5 MB from four threads: at most 260 MB in all, start script included."""
    clients, done = [s3.client() for _ in range(4)], [0] * 4
    model, end, peak = os.urandom(5 << 20), time.monotonic() + 4, 0

    def work(number: int) -> None:
        while time.monotonic() < end:
            key = f"models/load/{number}-{done[number]}"
            for name in ("model.onnx", "signature.json", "metrics.json", "card.md", "manifest.json"):
                body = model if name == "model.onnx" else model[:4000]
                clients[number].put_object(Bucket=BUCKET, Key=f"{key}/{name}", Body=body)
            assert clients[number].get_object(Bucket=BUCKET, Key=f"{key}/model.onnx")["Body"].read() == model
            done[number] += 1

    load = threading.Thread(target=together, args=(work, 4))
    load.start()
    while load.is_alive():
        peak = max(peak, s3.status().memory)
        time.sleep(0.1)
    load.join()
    assert min(done) > 0
    assert 0 < peak <= 260e6


@pytest.mark.slow
def test_acknowledged_writes_survive_a_kill(s3: Service) -> None:
    """kill -9 amid writes, twice; then `down`, and `up` on other ports."""
    kept: dict[str, bytes] = {}
    over = threading.Event()

    def write() -> None:
        client, number = s3.client(), 0
        while not over.is_set():
            key, body = f"models/kept/{number}", os.urandom(20_000)
            try:
                client.put_object(Bucket=BUCKET, Key=key, Body=body)
                kept[key] = body
            except (ClientError, BotoCoreError):
                time.sleep(0.05)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            before, restarts = len(kept), s3.status().restarts
            until(lambda before=before: len(kept) > before + 20)
            s3.kill()
            until(lambda restarts=restarts: s3.status().restarts > restarts)
            until(lambda: s3.status().state == "healthy")
    finally:
        over.set()
        writer.join()
    s3.down()
    assert s3.sockets() == []
    s3.move()
    s3.up()
    client = s3.client()
    assert {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in kept} == kept
    assert client.put_object(Bucket=BUCKET, Key="models/kept/more", Body=b"more")
