"""attune sync-test: flashes and beeps in real time, moved by so much, and found to be."""

from __future__ import annotations

import re

from attune.cli import main
from attune.sync_chart import WIDTH, chart
from attune.sync_test import Reading, SyncTest, drift_bounds_ppm, readings
from streaming.results import Result, SyncReceipt


def attune_here(*arguments: object) -> int:
    """The command line in this process; its exit code."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("the command line returned")


def test_a_known_shift_is_found_in_real_time(tmp_path, capsys):
    picture = tmp_path / "error.png"
    code = attune_here(
        "sync-test", "--inline", "--shift-ms", -150, "--seconds", 6, "--picture", picture
    )
    said = capsys.readouterr().err
    # flash at 1, 2, 3 s, and a little: the third has its sound and is past doubt at 4 s
    assert code == 0, said
    offset, uncertainty = map(float, re.findall(r"(-\d+\.\d) ± (\d+\.\d) ms", said)[0])
    assert abs(offset + 150) <= uncertainty <= 40
    assert "p50 / p99" in said and "error over time" in said
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_played_is_refused_in_one_line(tmp_path, capsys):
    for arguments, words in (
        (["--shift-ms", "900"], "less than or equal to 450"),
        (["--fps", "5"], "greater than or equal to 10"),
        (["--seconds", "2"], "greater than or equal to 6"),
        (["--picture", "error.jpg"], "ends in .png"),
        (["--picture", tmp_path / "none" / "e.png"], "does not exist"),
    ):
        assert attune_here("sync-test", "--inline", *arguments) == 2
        said = capsys.readouterr().err
        assert words in said and len(said.splitlines()) == 1


def test_a_correction_and_a_drift_are_part_of_the_truth():
    test = SyncTest(shift_ms=100, drift_ppm=500, fps=30, seconds=20, correct=True, inline=True)
    receipt = SyncReceipt(av_offset_ms=4.0, uncertainty_ms=9.0, confidence=1.0, corrected_ms=98.0)
    result = Result(
        stream="card", index=0, start_ns=6 * 10**9, end_ns=8 * 10**9, closed_by="watermark",
        sentiment=None, arousal=None, emotions=None, modalities={}, signals=None, model="",
        sync=receipt,
    )  # fmt: skip
    # at 8 s the sound is 100 + 8 * 0.5 = 104 ms late
    [reading] = readings([result], test)
    assert (reading.offset_ms, reading.error_ms) == (102.0, -2.0)


def test_the_drift_is_bounded_by_what_all_readings_allow():
    # 10 ± 2 ms at 0 s, 20 ± 3 ms at 10 s: between 5 and 15 ms in 10 s
    found = [
        Reading(t_s=t, offset_ms=offset, uncertainty_ms=by, error_ms=0)
        for t, offset, by in ((0.0, 10, 2), (5.0, 14, 9), (10.0, 20, 3))
    ]
    assert drift_bounds_ppm(found) == (500.0, 1500.0)


def test_the_chart_has_its_dots_where_the_errors_are():
    found = [
        Reading(t_s=float(t), offset_ms=0, uncertainty_ms=0, error_ms=e)
        for t, e in ((0, 8.0), (5, 0.0), (10, -8.0))
    ]
    lines = chart(found).plain.splitlines()
    rows = [i for i, line in enumerate(lines) if "●" in line]
    assert rows == [1, 5, 9]
    assert [lines[i].index("●") - 9 for i in rows] == [0, 30, WIDTH - 1]
