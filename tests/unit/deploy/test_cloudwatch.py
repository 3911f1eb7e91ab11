"""The local CloudWatch forgets what it has no room for."""

from __future__ import annotations

from deploy.local import cloudwatch
from deploy.local.cloudwatch import POINTS_DROPPED_AT_ONCE, POINTS_MAX, Newest


def test_the_oldest_points_are_forgotten() -> None:
    points = Newest()
    for point in range(POINTS_MAX + 1):
        points.append(point)
    assert points[0] == POINTS_DROPPED_AT_ONCE
    assert points[-1] == POINTS_MAX


def test_the_server_keeps_its_points_that_way() -> None:
    cloudwatch.application()
    from moto.cloudwatch.models import cloudwatch_backends

    assert isinstance(cloudwatch_backends["000000000000"]["eu-central-1"].metric_data, Newest)
