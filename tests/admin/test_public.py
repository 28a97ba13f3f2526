"""What every user of the host may see."""

from __future__ import annotations

from dewy.admin.http import public


def test_words_of_programs_are_left_out() -> None:
    entry = {"tag": "v2", "reason": "ended (exit status 1)", "detail": "password=x"}
    silent = {"tag": "v3", "reason": "rolled back by operator", "detail": ""}
    generation = {"generation": 5, "state": "serving", "status": "password=x"}
    told = public(
        {"quarantine": [entry, silent], "generations": [generation], "hold": False}
    )

    assert {
        "quarantine": [
            {"tag": "v2", "reason": "ended (exit status 1)", "wrote": True},
            {"tag": "v3", "reason": "rolled back by operator", "wrote": False},
        ],
        "generations": [{"generation": 5, "state": "serving"}],
        "hold": False,
    } == told
