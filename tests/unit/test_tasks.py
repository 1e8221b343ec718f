"""What a direct invocation of process-data may ask for beside deliveries."""

import json
from typing import Any

import pytest

from shared.model.errors import Invalid
from shared.operations.tasks import Task, task


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"task": "maintenance"}, Task("maintenance", dry_run=False, admin_password_secret="")),
        (
            {"task": "maintenance", "dryRun": True},
            Task("maintenance", dry_run=True, admin_password_secret=""),
        ),
        (
            {"task": "prepare", "adminPasswordSecret": "ocid1.s"},
            Task("prepare", dry_run=False, admin_password_secret="ocid1.s"),
        ),
        ({}, None),
        ({"title": "every minute", "type": "REPEAT"}, None),
        ([1], None),
    ],
)
def test_a_direct_invocation_may_ask_for_a_task(body: Any, asked: Task | None) -> None:
    assert task(json.dumps(body).encode()) == asked


def test_what_prepare_needs_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        task(b'{"task": "prepare", "dryRun": true}')
    assert [fault.pointer for fault in caught.value.faults] == ["/adminPasswordSecret", "/dryRun"]


def test_a_task_that_there_is_not_is_refused_and_nothing_is_delivered_instead() -> None:
    with pytest.raises(Invalid) as caught:
        task(b'{"task": "maintainance", "dryRun": "yes"}')
    assert [fault.pointer for fault in caught.value.faults] == ["/task", "/dryRun"]
