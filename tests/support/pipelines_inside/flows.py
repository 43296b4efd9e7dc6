"""A pipeline as users write it: lightweight components, retries, a condition, a loop, an exit handler, artifacts."""

# Components are written with what KFP's own examples use.
# ruff: noqa: PTH110, PTH118, PTH123, PTH208

from typing import List  # noqa: UP035 - as KFP reads it

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Output


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


@dsl.component
def write(text: str, data: Output[Dataset], metrics: Output[Metrics]):
    with open(data.path, "w") as file:
        file.write(text)
    data.metadata["letters"] = len(text)
    metrics.log_metric("letters", len(text))
    metrics.metadata["curves"] = {"codes": [ord(letter) for letter in text]}


@dsl.component
def count(data: Input[Dataset]) -> int:
    with open(data.path) as file:
        return len(file.read())


@dsl.component
def items(n: int) -> List[dict]:  # noqa: UP006
    return [{"place": place, "name": f"it's {place}"} for place in range(n)]


@dsl.component
def total(numbers: List[int]) -> int:  # noqa: UP006
    return sum(numbers)


@dsl.component
def flaky(folder: str, times: int) -> str:
    import os

    tries = len(os.listdir(folder))
    open(os.path.join(folder, str(tries)), "w").close()
    if tries < times:
        raise ValueError(f"attempt {tries} fails")
    return "done"


@dsl.component
def slow(folder: str, seconds: float) -> str:
    import os
    import time

    with open(os.path.join(folder, "started"), "a") as file:
        file.write("x")
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
    return "slept"


@dsl.component
def goodbye(folder: str, status: dsl.PipelineTaskFinalStatus):
    with open(f"{folder}-goodbye", "w") as file:
        file.write(f"{status.state}: {status.error_message}")


@dsl.pipeline
def everything(folder: str, n: int = 3, times: int = 1, text: str = 'it\'s "quoted"'):
    with dsl.ExitHandler(goodbye(folder=folder)):
        first = add(a=n, b=2)
        written = write(text=text)
        counted = count(data=written.outputs["data"])
        with dsl.If(first.output > 100, name="large"):
            add(a=1, b=1)
        with dsl.Else(name="small"):
            add(a=first.output, b=counted.output)
        with dsl.ParallelFor(items(n=n).output, parallelism=2) as item:
            one = add(a=item.place, b=first.output)
        total(numbers=dsl.Collected(one.output))
        flaky(folder=folder, times=times).set_retry(2).set_caching_options(False)


@dsl.pipeline
def waiting(folder: str, seconds: float = 600.0):
    before = add(a=1, b=2)
    slow(folder=folder, seconds=seconds).after(before).set_caching_options(False)


@dsl.pipeline
def inner(folder: str):
    with dsl.ExitHandler(goodbye(folder=folder)):
        add(a=1, b=2)


@dsl.pipeline
def guarded(folder: str, seconds: float = 600.0):
    with dsl.ExitHandler(goodbye(folder=folder)):
        before = add(a=1, b=2)
        last = slow(folder=folder, seconds=seconds).after(before).set_caching_options(False)
        inner(folder=f"{folder}/inner").after(last)
