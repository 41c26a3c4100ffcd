from __future__ import annotations

from cas.cli.progress import ProgressDisplay, Speedometer, describe
from cas.cli.render import Console
from cas.model.progress import Progress
from cas.model.units import MIB


def test_a_line_keeps_logical_new_stored_and_sent_bytes_apart():
    """Every number that could be taken for another has its name."""
    speed = Speedometer()
    speed.add(0.0, 0)
    speed.add(1.0, 2 * MIB)
    progress = Progress(
        phase="put",
        total_files=10,
        done_files=4,
        total_bytes=10 * MIB,
        done_bytes=4 * MIB,
        new_bytes=3 * MIB,
        stored_bytes=2 * MIB,
        sent_bytes=1 * MIB,
    )

    assert describe(progress, speed) == (
        "put: 40 %, 4.0 MiB of 10.0 MiB, 4 of 10 files, 2.0 MiB/s, 3.0 s left; "
        "new 3.0 MiB, stored 2.0 MiB, sent 1.0 MiB"
    )


def test_a_get_tells_what_it_fetched():
    """What a get moves is called by its name."""
    line = describe(Progress(phase="get", done_files=1, sent_bytes=512), Speedometer())

    assert line == "get: 1 files; fetched 512 B"


def test_a_scan_knows_no_total_yet():
    """Nothing is divided by a total that is not known."""
    assert describe(Progress(phase="scan", done_files=3), Speedometer()) == "scanning: 3 files"


def test_a_collection_tells_how_many_blobs_it_deleted():
    """Its other phases have nothing to count."""
    deleting = Progress(
        phase="delete", done_files=1000, total_files=4000, done_bytes=1 << 30, total_bytes=4 << 30
    )

    line = describe(deleting, Speedometer())

    assert line == "deleting: 25 %, 1.0 GiB of 4.0 GiB, 1,000 of 4,000 blobs"
    assert describe(Progress(phase="mark"), Speedometer()) == "finding what is needed"


def test_speed_is_that_of_the_last_seconds():
    """An old burst does not count for the speed of now."""
    speed = Speedometer()
    for second in range(60):
        speed.add(float(second), 100 * min(second, 1))

    assert speed.bytes_per_second == 0.0


def test_quiet_shows_and_collects_nothing():
    """A quiet command gives the operation no sink at all."""
    with ProgressDisplay(Console(quiet=True)) as display:
        assert display.sink is None


def test_a_short_transfer_prints_nothing_in_a_pipe(capsys):
    """The plain line comes every 30 seconds, so a short transfer has none."""
    with ProgressDisplay(Console()) as display:
        assert display.sink is not None
        display.sink(Progress(phase="put", done_files=1))

    assert capsys.readouterr() == ("", "")
