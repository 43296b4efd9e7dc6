"""Which predictions run in the calling thread."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from pantheon.web.messages import Response
from serving.endpoint import lanes
from serving.endpoint.lanes import DIRECT_SECONDS, FIRST_REST_SECONDS, REST_SECONDS, Lanes


class Clock:
    """Seconds that pass only when somebody works or sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> Callable[[float], Response]:
        def work(deadline: float) -> Response:
            self.now += seconds
            return Response(200)

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lanes, "monotonic", clock)
    return clock


def directly(tried: Lanes, work: Callable[[float], Response], version: str = "robots/1") -> bool:
    answer = tried.run(work, 10, version)
    if isinstance(answer, Future):
        assert answer.result(20).status == 200
        return False
    assert answer.status == 200
    return True


def test_a_slow_version_is_asked_in_threads_briefly_at_first_and_longer_if_it_is_slow_again(clock: Clock) -> None:
    tried, quick, slow = Lanes(lambda late: late.response()), clock.work(0.001), clock.work(2 * DIRECT_SECONDS)
    assert directly(tried, slow)
    assert not directly(tried, quick)
    assert directly(tried, quick, "robots/2"), "other versions are asked directly"
    clock.now += FIRST_REST_SECONDS
    assert directly(tried, slow), "it may have been the machine that was slow"
    clock.now += FIRST_REST_SECONDS
    assert not directly(tried, quick)
    clock.now += REST_SECONDS
    assert directly(tried, quick)
