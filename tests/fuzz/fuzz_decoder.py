"""Coverage-guided fuzzing of one decoder: needs `pip install atheris`, stops at the first bug.

    python tests/fuzz/fuzz_decoder.py --list
    python tests/fuzz/fuzz_decoder.py page -max_total_time=600 CORPUS_FOLDER

What it finds belongs into specs/vectors (tools/vectors/refused.py) or tests/regressions.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Fuzz the decoder that the first argument names; the others go to libFuzzer."""
    import atheris  # only this script needs it

    with atheris.instrument_imports(include=["cas.format"]):
        import decoders

    if not arguments or arguments[0] not in decoders.DECODERS:
        sys.stdout.write("\n".join(decoders.DECODERS) + "\n")
        return 0 if arguments == ["--list"] else 2
    name, *options = arguments
    for folder in [Path(option) for option in options if not option.startswith("-")][:1]:
        folder.mkdir(parents=True, exist_ok=True)
        for row, seed in enumerate(decoders.SEEDS[name]):
            (folder / f"seed-{row}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], lambda content: decoders.survive(name, content) and None)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
