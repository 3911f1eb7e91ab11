"""The local CloudWatch forgets what it has no room for."""

from __future__ import annotations

from werkzeug.test import Client

from deploy.local import cloudwatch
from deploy.local.cloudwatch import POINTS_DROPPED_AT_ONCE, POINTS_MAX, Newest
from deploy.local.health import _anybody
from recount.settings import Settings


def test_the_oldest_points_are_forgotten() -> None:
    points = Newest()
    for point in range(POINTS_MAX + 1):
        points.append(point)
    assert points[0] == POINTS_DROPPED_AT_ONCE
    assert points[-1] == POINTS_MAX


def test_the_server_answers_and_keeps_its_points_that_way() -> None:
    client = Client(cloudwatch.application())
    headers = {"Authorization": _anybody(Settings(), "monitoring")}
    form = {"Namespace": "N", "MetricData.member.1.MetricName": "M", "MetricData.member.1.Value": "1"}
    for action in ("PutMetricData", "DescribeAlarms"):
        answer = client.post("/", headers=headers, data={"Action": action, **form})
        assert answer.status_code == 200, answer.text
    from moto.cloudwatch.models import cloudwatch_backends

    found = [region for regions in cloudwatch_backends.values() for region in regions.values()]
    assert [point.name for region in found for point in region.metric_data] == ["M"]
    assert all(isinstance(region.metric_data, Newest) for region in found)
