"""How many readers there are follows from where the files come from."""

from __future__ import annotations

import itertools
import threading

import pytest

from cas.transfer.small_readers import MOST_READERS, SmallReaders


def test_files_in_memory_are_read_by_one_thread() -> None:
    """While no block comes from a disk, batches run one after the other."""
    running: list[int] = []
    most: list[int] = []

    def batch() -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    with SmallReaders(blocks_read=lambda: 0) as readers:
        for future in [readers.submit(batch) for _ in range(50)]:
            future.result()

    assert max(most) == 1


def test_files_on_a_disk_are_read_by_more_threads() -> None:
    """Each batch that waited for a disk lets one more run, up to the most."""
    blocks = itertools.count()
    together = threading.Barrier(MOST_READERS)

    with SmallReaders(blocks_read=lambda: next(blocks)) as readers:
        for _ in range(MOST_READERS):
            readers.submit(lambda: None).result()
        futures = [readers.submit(lambda: together.wait(timeout=30)) for _ in range(MOST_READERS)]
        arrivals = sorted(future.result() for future in futures)

    assert arrivals == list(range(MOST_READERS))


def test_one_reader_is_left_when_files_come_from_memory_again() -> None:
    """The number falls as it rose."""
    from_disk = [True]
    blocks = itertools.count()

    with SmallReaders(blocks_read=lambda: next(blocks) if from_disk[0] else 0) as readers:
        for _ in range(10):
            readers.submit(lambda: None).result()
        risen = readers.readers
        from_disk[0] = False
        for _ in range(10):
            readers.submit(lambda: None).result()

        assert (risen, readers.readers) == (MOST_READERS, 1)


def test_the_error_of_a_batch_reaches_the_caller() -> None:
    """A batch that fails frees its reader and passes its error on."""

    def fail() -> None:
        raise OSError("no more")

    with SmallReaders() as readers:
        with pytest.raises(OSError, match="no more"):
            readers.submit(fail).result()

        assert readers.submit(lambda: 7).result() == 7
