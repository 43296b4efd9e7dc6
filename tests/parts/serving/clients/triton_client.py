"""NVIDIA's tritonclient (HTTP), unmodified, in KServe's environment."""

import numpy as np
from calls import ADDRESS, AGES, BATTERY, RUST, Calls, key
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput


def tensor(name, datatype, values, binary):
    made = InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def columns(binary):
    """One tensor for each column."""
    return [
        tensor("robot-age", "INT64", np.array(AGES, dtype=np.int64), binary),
        tensor("rust-level", "FP32", np.array(RUST, dtype=np.float32), binary),
        tensor("battery", "BYTES", np.array(BATTERY, dtype=object), binary),
    ]


def matrix(binary):
    """All columns of the model ``hours`` in one tensor."""
    return [tensor("input-0", "FP64", np.array([AGES, RUST]).T, binary)]


def answer(result):
    """JSON of an InferResult."""
    said = result.get_response()
    outputs = {each["name"]: [each["datatype"], result.as_numpy(each["name"]).tolist()] for each in said["outputs"]}
    return {"id": said["id"], "model": said["model_name"], "version": said["model_version"], "outputs": outputs}


def main():
    calls, client = Calls(), InferenceServerClient(ADDRESS)

    def call(name, function, *arguments, convert=lambda value: value, **given):
        try:
            calls.add(name, convert(function(*arguments, **given)))
        except Exception as error:  # noqa: BLE001 - what it is, is the result
            calls.failed(name, error)

    call("live", client.is_server_live)
    call("ready", client.is_server_ready)
    call("server", client.get_server_metadata, headers=key())
    call("model ready", client.is_model_ready, "robots", headers=key())
    call("version ready", client.is_model_ready, "robots", "2", headers=key())
    call("no such model ready", client.is_model_ready, "nobody", headers=key())
    call("metadata", client.get_model_metadata, "robots", headers=key())
    for binary, kind in ((False, "JSON"), (True, "binary")):
        given = {"headers": key(), "convert": answer}
        call(f"columns, {kind}", client.infer, "robots", columns(binary), request_id="mine", **given)
        call(f"matrix, {kind}", client.infer, "hours", matrix(binary), **given)
    call("version", client.infer, "robots", columns(True), model_version="2", headers=key(), convert=answer)
    wanted = [InferRequestedOutput("condition", binary_data=False)]
    call("one output", client.infer, "robots", columns(True), outputs=wanted, headers=key(), convert=answer)
    call(
        "compressed",
        client.infer,
        "robots",
        columns(False),
        headers=key(),
        response_compression_algorithm="gzip",
        convert=answer,
    )
    call("later", lambda: client.async_infer("robots", columns(True), headers=key()).get_result(), convert=answer)
    call("no key", client.infer, "robots", columns(True))
    call("wrong key", client.infer, "robots", columns(True), headers=key("wrong"))
    call("no such model", client.infer, "nobody", columns(True), headers=key())
    call("wrong columns", client.infer, "hours", columns(True), headers=key())
    client.close()
    calls.print()


main()
