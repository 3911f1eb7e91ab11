"""Runs in the stack's Dagster, over its GraphQL API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from recount.errors import SetupError, Unavailable

LOCATION: Final = "recount"
REPOSITORY: Final = "__repository__"
TIMEOUT_S: Final = 60.0

_LAUNCH: Final = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
_RUN: Final = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status stats { __typename ... on RunStatsSnapshot { materializations } } }
  }
}
"""
_UNFINISHED: Final = """
query Unfinished($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 100) { __typename ... on Runs { results { runId } } }
}
"""
_TERMINATE: Final = """
mutation Terminate($ids: [String!]!) {
  terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) {
    __typename
    ... on PythonError { message }
  }
}
"""
_NOT_OVER: Final = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
_FAILURES: Final = """
query Failures($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent { error { message causes: errorChain { error { message } } } }
        ... on RunFailureEvent { message error { message } }
        ... on AssetCheckEvaluationEvent { evaluation { success severity checkName description } }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class RunState:
    """How a run stands; `materialized` counts partitions of every asset."""

    status: str
    materialized: int

    @property
    def is_over(self) -> bool:
        return self.status in {"SUCCESS", "FAILURE", "CANCELED"}


class DagsterClient:
    """Raises SetupError where Dagster does not answer, Unavailable where it refuses."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def launch(self, job: str, tags: dict[str, str], config: dict[str, Any] | None = None) -> str:
        """Queue a run of a job; returns its id."""
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": REPOSITORY,
                "jobName": job,
            },
            "mode": "default",
            "runConfigData": config or {},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        answer = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            said = answer.get("message") or answer.get("errors") or answer["__typename"]
            raise Unavailable("dagster", f"{job} was not started: {said}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def unfinished(self, tag: str, value: str) -> list[str]:
        """The runs with a tag that are waiting or under way."""
        wanted = {"tags": [{"key": tag, "value": value}], "statuses": list(_NOT_OVER)}
        answer = self._ask(_UNFINISHED, {"filter": wanted})["runsOrError"]
        return [run["runId"] for run in answer.get("results", [])]

    def terminate(self, run_ids: Sequence[str]) -> None:
        """Ask runs to stop, or take them out of the queue."""
        if run_ids:
            answer = self._ask(_TERMINATE, {"ids": list(run_ids)})["terminateRuns"]
            if answer["__typename"] == "PythonError":
                raise Unavailable("dagster", f"runs were not stopped: {answer['message']}")

    def state(self, run_id: str) -> RunState:
        answer = self._ask(_RUN, {"id": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise Unavailable("dagster", f"run {run_id} is not known: {answer['__typename']}")
        return RunState(answer["status"], (answer["stats"] or {}).get("materializations") or 0)

    def failures(self, run_id: str) -> list[str]:
        """Why a run failed: its failed checks, which say what to do; else the error of each step."""
        events = self._ask(_FAILURES, {"id": run_id})["logsForRun"].get("events", [])
        checks, errors = [], []
        for event in events:
            found = event.get("evaluation")
            if found and not found["success"] and found["severity"] == "ERROR":
                checks.append(f"{found['checkName']}: {found['description']}")
            error = event.get("error")
            if error:
                chain = [cause["error"]["message"] for cause in error.get("causes") or []]
                errors.append((chain[-1] if chain else error["message"]).strip())
        return checks or errors

    def run_url(self, run_id: str) -> str:
        return f"{self._url}/runs/{run_id}"

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = httpx.post(
                f"{self._url}/graphql", json={"query": query, "variables": variables}, timeout=TIMEOUT_S
            )
        except httpx.TransportError as error:
            raise SetupError(
                "dagster", f"does not answer at {self._url}: {error}", "start it: make up"
            ) from None
        body: dict[str, Any] = answer.json()
        if body.get("errors"):
            raise Unavailable("dagster", str(body["errors"])[:500])
        data: dict[str, Any] = body["data"]
        return data
