"""KServe's InferenceRESTClient, unmodified, in KServe's environment."""

import asyncio

import numpy as np
from calls import ADDRESS, AGES, BATTERY, RUST, Calls, key
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

URL = f"http://{ADDRESS}"


def columns(binary, request_id=None):
    """One tensor for each column."""
    given = {
        "robot-age": ("FP64", np.array(AGES)),
        "rust-level": ("FP32", np.array(RUST, dtype=np.float32)),
        "battery": ("BYTES", np.array(BATTERY, dtype=object)),
    }
    inputs = []
    for name, (datatype, values) in given.items():
        tensor = InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        inputs.append(tensor)
    return InferRequest(model_name="robots", infer_inputs=inputs, request_id=request_id)


def matrix(binary):
    """All columns of the model ``hours`` in one tensor."""
    tensor = InferInput("input-0", [2, 2], "FP64")
    tensor.set_data_from_numpy(np.array([AGES, RUST]).T, binary_data=binary)
    return InferRequest(model_name="hours", infer_inputs=[tensor])


def answer(response):
    """JSON of an InferResponse."""
    outputs = {output.name: [output.datatype, output.as_numpy().tolist()] for output in response.outputs}
    return {"id": response.id, "model": response.model_name, "version": response.model_version, "outputs": outputs}


async def main():
    calls = Calls()

    async def call(name, awaitable, convert=lambda value: value):
        try:
            calls.add(name, convert(await awaitable))
        except Exception as error:  # noqa: BLE001 - what it is, is the result
            calls.failed(name, error)

    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as v2:
        await call("live", v2.is_server_live(URL))
        await call("ready", v2.is_server_ready(URL))
        await call("model ready", v2.is_model_ready(URL, "robots", headers=key()))
        await call("no such model ready", v2.is_model_ready(URL, "nobody", headers=key()))
        await call("version ready", v2.is_model_ready(URL, "robots/versions/2", headers=key()))
        for binary, kind in ((False, "JSON"), (True, "binary")):
            await call(f"columns, {kind}", v2.infer(URL, columns(binary, "mine"), "robots", key()), answer)
            await call(f"matrix, {kind}", v2.infer(URL, matrix(binary), "hours", key()), answer)
        await call("version", v2.infer(URL, columns(False), "robots/versions/2", key()), answer)
        await call("no key", v2.infer(URL, columns(False), "robots"))
        await call("wrong key", v2.infer(URL, columns(False), "robots", key("wrong")))
        await call("no such model", v2.infer(URL, columns(False), "nobody", key()))
        await call("wrong columns", v2.infer(URL, columns(False), "hours", key()))
    async with InferenceRESTClient(RESTConfig(protocol="v1", retries=0)) as v1:
        rows = {
            "instances": [
                {"robot-age": age, "rust-level": rust, "battery": battery}
                for age, rust, battery in zip(AGES, RUST, BATTERY, strict=True)
            ]
        }
        await call("v1 live", v1.is_server_live(URL))
        await call("v1 ready", v1.is_model_ready(URL, "robots", headers=key()))
        await call("v1", v1.infer(URL, rows, "robots", key()))
        await call("v1 explain", v1.explain(URL, "robots", rows, key()), lambda value: len(value["explanations"]))
        await call("v1 wrong", v1.infer(URL, {"instances": [{"robot-age": "old"}]}, "robots", key()))
    calls.print()


asyncio.run(main())
