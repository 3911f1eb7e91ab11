"""Runs one Kafka node (KRaft: broker and controller in one), bound to loopback.

Entry point `python -m deploy.local.kafka`; the process becomes the Java process.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from deploy.local import jars
from deploy.local.java import class_archive_options, find_java
from deploy.local.layout import Layout, cache_folder
from recount.errors import SetupError
from recount.settings import Settings

CLUSTER_ID: Final = "cmVjb3VudC1sb2NhbC0wMQ"
# The first compiler only: a start takes 2.6 s of processor time instead of 3.9 s.
JVM: Final = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
)
LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


def controller_port(settings: Settings) -> int:
    """The controller listens one above the broker."""
    return broker_port(settings) + 1


def broker_port(settings: Settings) -> int:
    try:
        return int(settings.kafka.rpartition(":")[2])
    except ValueError:
        raise SetupError(
            "kafka", f"RECOUNT_KAFKA={settings.kafka!r}", "give it as 127.0.0.1:<port>"
        ) from None


def properties(settings: Settings, data: Path) -> dict[str, str]:
    """The node's configuration. Static voters, so that a later change of ports needs no new format."""
    host, broker, controller = settings.host, broker_port(settings), controller_port(settings)
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{host}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }


def main() -> None:
    settings = Settings.from_env()
    folder = Layout.of(settings).state / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    config, data = folder / "server.properties", folder / "data"
    config.write_text("".join(f"{key}={value}\n" for key, value in properties(settings, data).items()))
    java = find_java()
    options = [*JVM, *LOGGING, "-cp", jars.class_path(jars.files("kafka", cache_folder()))]
    if not (data / "meta.properties").exists():
        _format([str(java.binary), *options], config)
    os.chdir(folder)
    classes = class_archive_options(java, "kafka", cache_folder())
    os.execv(java.binary, [str(java.binary), *classes, *options, "kafka.Kafka", str(config)])


def _format(command: list[str], config: Path) -> None:
    done = subprocess.run(
        [*command, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(
            "kafka", f"its storage cannot be prepared: {done.stderr.strip()}", "see the lines above"
        )


if __name__ == "__main__":
    main()
