"""Made-up answers of targets, judged by curl; `python -m tests.fuzz.answers` makes up more."""

import os
import random

import pytest

from tests.fuzz import answers

NUMBER = int(os.environ.get("FUZZ_ANSWERS", "300"))


@pytest.mark.parametrize("start", range(0, NUMBER, 300))
async def test_a_made_up_answer_is_read_as_curl_reads_it_and_harms_no_other_request(start: int) -> None:
    made = random.Random(start)
    wrong = await answers.judged([answers.made_up(made) for _ in range(min(300, NUMBER - start))])
    assert wrong == []
