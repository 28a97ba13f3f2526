"""What every user of the host may see."""

from __future__ import annotations

from dewy.admin.public import public


def test_words_of_programs_are_left_out() -> None:
    entry = {"tag": "v2", "reason": "ended (exit status 1)", "detail": "password=x"}
    generation = {"generation": 5, "state": "serving", "status": "password=x"}
    told = public({"quarantine": [entry], "generations": [generation], "hold": False})

    assert {
        "quarantine": [{"tag": "v2", "reason": "ended (exit status 1)"}],
        "generations": [{"generation": 5, "state": "serving"}],
        "hold": False,
    } == told
