"""Examining a store: can it be reached, is it whole, and what do these credentials allow?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cas.backend.counting import RequestCounter, RequestCounts
from cas.backend.examination import MOST_UPLOADS, ServerExamination
from cas.backend.failures import as_cas_error
from cas.backend.open import open_backend, redact_url
from cas.environment import Clock
from cas.errors import CasError
from cas.model.units import format_count, format_duration
from cas.operations.diagnose_machine import check_cache, check_driver, check_software
from cas.operations.diagnosis import (
    Check,
    DiagnoseOptions,
    Diagnosis,
    Role,
    all_skipped,
    failed,
    failed_by,
    passed,
    skipped,
)
from cas.operations.examine_store import STORE_CHECKS, StoreExamination

_SERVER_CHECKS = ("clock", "uploads", "bucket")
_LIFECYCLE = "let the bucket abort them: a lifecycle rule AbortIncompleteMultipartUpload of 7 days"
_OLD_VERSIONS = "to free it, a lifecycle rule that ends old versions; see specs/roles.md"
_EXCLUDE = (
    "exclude the store from that rule: cas itself deletes what nothing needs; see specs/roles.md"
)
_SECOND_NS = 10**9


def diagnose(
    url: str,
    storage_options: Mapping[str, Any] | None,
    clock: Clock,
    cache_dir: Path,
    options: DiagnoseOptions,
) -> Diagnosis:
    """Examine what `url` names; raise nothing, whatever is wrong with it.

    Unless `options.read_only`, a few objects are written under names of their own below
    `sessions/` and deleted. Nothing is tried again, so what a server answers is seen at once.
    """
    shown_url = redact_url(url)
    checks = [_check_settings(shown_url, options), check_software()]
    roles: tuple[Role, ...] = ()
    requests = RequestCounts()
    try:
        # A folder that is not there is told, not made.
        backend = open_backend(url, storage_options)
    except CasError as error:
        checks.append(failed_by("driver", error))
        checks += all_skipped((*STORE_CHECKS, *_SERVER_CHECKS), "the driver cannot be opened")
    else:
        checks.append(check_driver(url, backend))
        with RequestCounter(backend) as counter:
            examination = StoreExamination(counter, read_only=options.read_only, name=options.name)
            checks += examination.run()
            roles, requests = examination.roles, counter.counts
        if examination.is_reachable:
            checks += _check_server(url, storage_options or {}, shown_url, clock)
        else:
            checks += all_skipped(_SERVER_CHECKS, "not reachable")
    checks.append(check_cache(cache_dir))
    return Diagnosis(url=shown_url, checks=tuple(checks), roles=roles, requests=requests)


def _check_settings(shown_url: str, options: DiagnoseOptions) -> Check:
    if options.warnings:
        return failed("settings", "; ".join(options.warnings))
    return passed("settings", f"{shown_url}{options.origin and f', {options.origin}'}")


def _check_server(
    url: str, storage_options: Mapping[str, Any], shown_url: str, clock: Clock
) -> list[Check]:
    if "://" not in url or url.lower().startswith(("file:", "local:", "memory:")):
        return all_skipped(_SERVER_CHECKS, "only servers have one")
    try:
        server = ServerExamination(url, storage_options, shown_url=shown_url)
    except CasError as error:
        return [skipped(name, str(error)) for name in _SERVER_CHECKS]
    return [
        _asked("clock", shown_url, lambda: _check_clock(server, clock)),
        _asked("uploads", shown_url, lambda: _check_uploads(server, clock)),
        _asked("bucket", shown_url, lambda: _check_bucket(server)),
    ]


def _asked(name: str, shown_url: str, check: Callable[[], Check]) -> Check:
    """Return a check that only informs: where it cannot be made it is skipped."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - drivers raise anything, and it is only for information
        return skipped(name, str(as_cas_error(error, shown_url).args[0]))


def _check_clock(server: ServerExamination, clock: Clock) -> Check:
    there = server.clock_ns()
    if there is None:
        return skipped("clock", "this kind of store does not tell the time")
    apart = abs(clock.now_ns() - there) // _SECOND_NS
    if apart <= 1:  # it is told in whole seconds
        return passed("clock", "the server's agrees with this machine's")
    text = f"the server's and this machine's are {format_duration(float(apart))} apart"
    return passed("clock", f"{text}; nothing in a store depends on it, signatures may")


def _check_uploads(server: ServerExamination, clock: Clock) -> Check:
    found = server.stale_uploads()
    if found is None:
        return skipped("uploads", "this kind of store keeps none")
    if found.count == 0 or found.oldest_ns is None:
        return passed("uploads", "no unfinished multipart uploads")
    days = max(0, clock.now_ns() - found.oldest_ns) // (86_400 * _SECOND_NS)
    least = "at least " if found.count >= MOST_UPLOADS else ""
    text = f"{least}{format_count(found.count, 'unfinished multipart upload')}, paid for"
    return passed("uploads", f"{text}; the oldest is {format_count(days, 'day')} old", _LIFECYCLE)


def _check_bucket(server: ServerExamination) -> Check:
    rules = server.bucket_rules()
    if rules is None:
        return skipped("bucket", "this kind of store has no rules that can be asked for")
    if rules.harmful:
        return failed("bucket", f"a rule of the bucket, {'; '.join(rules.harmful)}", _EXCLUDE)
    if rules.keeps_old and not rules.ends_old:
        text = "what is deleted stays as an old version, and is paid for"
        return passed("bucket", text, _OLD_VERSIONS)
    return passed("bucket", "no rule deletes what a store needs")
