"""Which paths a put leaves out: `--exclude` patterns and `.casignore` files, by gitignore rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import path_to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class Ignore:
    """Patterns in force in one folder. Later files override earlier ones, as git has it."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._specs: tuple[tuple[str, GitIgnoreSpec], ...] = ()
        if patterns:
            self._specs = (("", _parse(patterns, "--exclude")),)

    def with_file(self, file: Path, prefix: bytes) -> Ignore:
        """Return these patterns and those of an ignore file, which holds below `prefix`."""
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        return self.with_lines(text.splitlines(), prefix, str(file))

    def with_lines(self, lines: Sequence[str], prefix: bytes, where: str) -> Ignore:
        """Return these patterns and those of an ignore file found at `where`, which hold below
        `prefix`.
        """
        inner = Ignore()
        spec = _parse(lines, where)
        inner._specs = (*self._specs, (path_to_text(prefix), spec))
        return inner

    def matches(self, path: bytes, *, is_folder: bool) -> bool:
        """Tell whether a path is left out."""
        if not self._specs:
            return False
        text = path_to_text(path) + ("/" if is_folder else "")
        ignored = False
        for prefix, spec in self._specs:
            result = spec.check_file(text[len(prefix) :]).include
            if result is not None:
                ignored = result
        return ignored


def _parse(patterns: Sequence[str], where: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # 20 ms that a put without patterns need not spend

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise InvalidInputError(
            f"{where}: {error}", code=ErrorCode.INVALID_OPTION, hint="patterns are gitignore's"
        ) from error
