"""Which port an instance has, told by itself."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.instance import forget_ports, ports_of, take_port
from deploy.local.layout import Layout


def test_a_port_is_that_of_the_process_that_took_it_last(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert ports_of(layout, [os.getpid()]) == []
    for port in (8082, 8080):
        take_port(layout, port)
    assert ports_of(layout, [os.getpid(), 1]) == [8080, 8082]
    assert ports_of(layout, [1]) == []
    (layout.instances / "8082").write_text("1")  # another process has come to it
    assert ports_of(layout, [os.getpid()]) == [8080]
    (layout.instances / "8080").write_text("")  # as it is being written
    assert ports_of(layout, [os.getpid()]) == []


def test_before_a_start_no_port_is_taken(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    forget_ports(layout)
    take_port(layout, 8080)
    forget_ports(layout)
    assert ports_of(layout, [os.getpid()]) == []
