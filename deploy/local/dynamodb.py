"""Runs DynamoDB Local, really bound to loopback.

Its own command line binds every interface and has no option for it. So the server is made in this process,
its connector is given the address, and only then it starts. Entry point `python -m deploy.local.dynamodb`.
"""

from __future__ import annotations

import hashlib
import signal
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.local import jars
from deploy.local.java import class_archive_options, find_java, without_manifest
from deploy.local.layout import Layout, cache_folder
from recount.errors import SetupError
from recount.settings import Settings

OWN_JAR: Final = "DynamoDBLocal-"
# -Xrs leaves SIGTERM to Python; the rest keeps a development server small.
JVM: Final = ("-Xrs", "-Xms64m", "-Xmx768m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


def port_of(settings: Settings) -> int:
    port = urlsplit(settings.dynamodb).port
    if port is None:
        raise SetupError(
            "dynamodb", f"RECOUNT_DYNAMODB={settings.dynamodb!r}", "give it as http://127.0.0.1:<port>"
        )
    return port


def start(settings: Settings, data: Path) -> object:
    """The running server (a Java object with `stop()`)."""
    import jpype  # and numpy with it, which who only asks for the port need not load

    cache, java = cache_folder(), find_java()
    paths = jars.files("dynamodb", cache)
    natives = str(paths[0].parent)
    jpype.startJVM(
        str(java.library),
        *class_archive_options(java, f"dynamodb-{_mark(Path(jpype.__file__))}", cache),
        *JVM,
        f"-Djava.library.path={natives}",
        f"-Dsqlite4java.library.path={natives}",
        classpath=[str(_plain(path, cache)) for path in paths if path.suffix == ".jar"],
        convertStrings=False,
    )
    runner = jpype.JClass("com.amazonaws.services.dynamodbv2.local.main.ServerRunner")
    options = ["-port", str(port_of(settings)), "-sharedDb", "-dbPath", str(data), "-disableTelemetry"]
    server = runner.createServerFromCommandLineArgs(options)
    _bind(server, settings.host)
    server.start()
    return server


def _mark(jpype: Path) -> str:
    """JPype has a jar in the class path too, and every environment its own: an archive fits one of them."""
    jar = jpype.resolve().parents[1] / "org.jpype.jar"
    seen = jar.stat()
    return hashlib.sha256(f"{jar} {seen.st_size} {seen.st_mtime_ns}".encode()).hexdigest()[:8]


def _plain(jar: Path, cache: Path) -> Path:
    return without_manifest(jar, cache) if jar.name.startswith(OWN_JAR) else jar


def _bind(server: object, host: str) -> None:
    field = server.getClass().getDeclaredField("server")  # type: ignore[attr-defined]
    field.setAccessible(True)
    for connector in field.get(server).getConnectors():
        connector.setHost(host)


def main() -> None:
    settings = Settings.from_env()
    data = Layout.of(settings).state / "dynamodb"
    data.mkdir(parents=True, exist_ok=True)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = start(settings, data)
    stopped.wait()
    server.stop()  # type: ignore[attr-defined]
    _exit()


def _exit() -> None:
    """Also ends the threads that the server leaves behind."""
    import jpype

    jpype.java.lang.System.exit(0)


if __name__ == "__main__":
    main()
