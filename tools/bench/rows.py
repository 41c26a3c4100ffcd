"""Compare two Parquet files row by row: `cas diff --rows` beside plain DuckDB on two local copies.

DuckDB does what a person would write: `EXCEPT ALL` both ways, and a full join by key. It has the
files on this disk and the memory that cas gives it. Two pairs of versions: `grown`, where rows were
changed in one place and others appended, and `rewritten`, where a row near the beginning went, so
that every group of rows after it holds other bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from measure import (
    MIB,
    Command,
    Cost,
    arguments,
    cas_environ,
    print_table,
    read_all,
    run,
    save_results,
)

MEMORY_MIB = 1024
# What is in each version, in SQL; {} is the number of rows.
ROWS = """SELECT range AS id, hash(range) % 100000 / 100 AS price, 'name ' || hash(range + 1) AS name,
DATE '2020-01-01' + (range % 2000)::INT AS day, [range % 7, range % 11] AS tags FROM range({})"""
GROWN = """SELECT * REPLACE (CASE WHEN id BETWEEN {0} / 2 AND {0} / 2 + {0} / 1000 THEN price + 1
ELSE price END AS price) FROM ({1})"""
REWRITTEN = "SELECT * FROM ({1}) WHERE id <> {0} / 100"
BOTH_WAYS = """SELECT count(*) FROM (FROM '{1}' EXCEPT ALL FROM '{0}') UNION ALL
SELECT count(*) FROM (FROM '{0}' EXCEPT ALL FROM '{1}')"""
BY_KEY = """SELECT count(*) FILTER (o.id IS NULL), count(*) FILTER (n.id IS NULL),
count(*) FILTER ((o.price, o.name, o.day, o.tags) IS DISTINCT FROM (n.price, n.name, n.day, n.tags))
FROM '{0}' o FULL JOIN '{1}' n USING (id)"""


def ask_duckdb(query: str, work: Path) -> Command:
    """Return the command that runs a query with the memory that cas has; what does not fit goes to
    the folder.
    """
    limits = f"SET memory_limit = '{MEMORY_MIB}MiB'; SET preserve_insertion_order = false; "
    program = f"import duckdb; print(duckdb.connect().sql({limits + query!r}))"
    return Command([sys.executable, "-c", program], work)


def make_versions(work: Path, count: int) -> dict[str, Path]:
    """Write the three versions, each in a folder of its own."""
    first = ROWS.format(count)
    more = ROWS.format(count + count // 100)
    queries = {
        "first": first,
        "grown": GROWN.format(count, more),
        "rewritten": REWRITTEN.format(count, first),
    }
    files = {}
    for name, query in queries.items():
        files[name] = work / name / "table.parquet"
        files[name].parent.mkdir(parents=True)
        copy = f"COPY (SELECT * FROM ({query}) ORDER BY id) TO '{files[name]}' (FORMAT parquet)"  # noqa: S608 - ours
        program = (
            f"import duckdb; duckdb.sql('SET enable_progress_bar = false'); duckdb.sql({copy!r})"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=work)
    return files


def measure_pair(
    options: argparse.Namespace, work: Path, files: dict[str, Path], name: str
) -> dict[str, Cost]:
    """Compare the first version with another, each way."""
    environ = cas_environ(work / "home")
    pair = files["first"], files[name]
    diff = [*options.cas, "--store", work / "store", "diff", "table:v0", f"{name}:v0", "--rows"]
    steps = {
        "DuckDB, EXCEPT ALL": ask_duckdb(BOTH_WAYS.format(*pair), work),
        "cas": Command(diff),
        "DuckDB, join by key": ask_duckdb(BY_KEY.format(*pair), work),
        "cas --key id": Command([*diff, "--key", "id"]),
    }
    costs = {}
    for step, command in steps.items():
        for file in pair:
            read_all(file.parent)
        costs[step] = run(command, environ)
    check(options, work, name)
    return costs


def check(options: argparse.Namespace, work: Path, name: str) -> None:
    """Stop if cas does not find what was changed."""
    words = [*options.cas, "--store", work / "store", "diff", "table:v0", f"{name}:v0", "--rows"]
    told = subprocess.run(
        [*map(str, words), "--key", "id", "--json"],
        check=True,
        capture_output=True,
        env=cas_environ(work / "home"),
    )
    summary = json.loads(told.stdout)["summary"]
    count = options.count
    made = (count // 100, 0, count // 1000 + 1) if name == "grown" else (0, 1, 0)
    found = tuple(summary[what] for what in ("added", "removed", "changed"))
    if found != made:
        raise SystemExit(f"{name}: changes made: {made}, found: {found}")


def main() -> None:
    """Make the versions, compare them, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="rows")
    options = parser.parse_args()
    work = options.work.resolve() / "rows"
    shutil.rmtree(work, ignore_errors=True)
    files = make_versions(work, options.count)
    environ = cas_environ(work / "home")
    run(Command([*options.cas, "init", work / "store"]), environ)
    for name, file in files.items():
        artifact = "table" if name == "first" else name
        put = [*options.cas, "--store", work / "store", "put", file.parent, "-n", artifact]
        run(Command(put), environ)
    costs = {name: measure_pair(options, work, files, name) for name in ("grown", "rewritten")}
    size = files["first"].stat().st_size / MIB
    print_table(
        ("versions", "how", "wall s", "CPU s", "peak MiB"),
        [
            (name, how, f"{one.wall_seconds:.1f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mib:.0f}")
            for name, of_pair in costs.items()
            for how, one in of_pair.items()
        ],
    )
    print(f"\n{options.count:,} rows, {size:,.0f} MiB of Parquet")
    saved = {name: {how: asdict(one) for how, one in pair.items()} for name, pair in costs.items()}
    save_results(options.results, "rows", {"rows": options.count, "pairs": saved})
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
