"""Which versions a set of rules keeps, and why. Pure: it decides, `prune` and `retention` act.

What aliases point at is kept unless the rules say otherwise, what a protected alias points at always,
and so is every version that a kept one was made from. Ages are policy: nothing that must be safe
depends on a clock.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cas.errors import ErrorCode, InvalidInputError
from cas.model.durations import SECOND_NS, Span, format_span, span_ns
from cas.operations.census import Census, CountedVersion, Name

Reasons = dict[Name, list[str]]

# Of these metrics everybody knows which way is better; of others the rule must say it.
_LOWER_IS_BETTER = frozenset(
    [
        "loss",
        "error",
        "err",
        "perplexity",
        "ppl",
        "mse",
        "rmse",
        "mae",
        "mape",
        "wer",
        "cer",
        "ter",
        "fid",
        "bpb",
        "nll",
        "regret",
    ]
)
_HIGHER_IS_BETTER = frozenset(
    [
        "accuracy",
        "acc",
        "f1",
        "auc",
        "auroc",
        "map",
        "bleu",
        "rouge",
        "precision",
        "recall",
        "iou",
        "miou",
        "dice",
        "psnr",
        "ssim",
        "reward",
        "score",
        "r2",
    ]
)
_PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda time: (time.year, time.month, time.day, time.hour),
    "daily": lambda time: (time.year, time.month, time.day),
    "weekly": lambda time: tuple(time.isocalendar()[:2]),
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: (time.year,),
}


@dataclass(frozen=True, slots=True)
class TopRule:
    """Keep the `count` versions that are best by a number in their metadata."""

    count: int
    key: str
    lowest: bool

    @classmethod
    def parse(cls, text: str) -> TopRule:
        """Read `3:val_loss`, `3:score:max` or `3:eval.wer:min`; dots lead into maps.

        Raises:
            InvalidInputError: it is no such rule, or does not say whether more is better.
        """
        count, _, rest = text.partition(":")
        key, _, way = rest.rpartition(":") if rest.endswith((":min", ":max")) else (rest, "", "")
        key = key.removeprefix("metadata.")
        if not (count.isascii() and count.isdigit()) or not key:
            raise InvalidInputError(
                f"{text!r} does not say how many to keep by which metadata",
                code=ErrorCode.INVALID_OPTION,
                hint="write it like 3:val_loss:min or 1:accuracy:max",
            )
        if not way:
            words = key.lower().replace("-", "_").replace(".", "_").split("_")
            lower = bool(_LOWER_IS_BETTER.intersection(words))
            if lower == bool(_HIGHER_IS_BETTER.intersection(words)):
                raise InvalidInputError(
                    f"{text!r} does not say whether the lowest or the highest {key} is best",
                    code=ErrorCode.INVALID_OPTION,
                    hint=f"write {text}:min or {text}:max",
                )
            way = "min" if lower else "max"
        return cls(int(count), key, lowest=way == "min")

    def number_of(self, metadata: dict[str, Any]) -> float | int | None:
        """Return the number that a version is ranked by, or None if it has none."""
        value: Any = metadata
        if self.key in metadata:
            value = metadata[self.key]
        else:
            for part in self.key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number and value == value else None  # noqa: PLR0124 NaN ranks nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRules:
    """What of an artifact is kept. A version stays if any rule speaks for it.

    Attributes:
        last: the newest so many; 0 says that it is meant that nothing may be left.
        within: those that are not older: a `timedelta`, seconds, or a text like "30d".
        aliases: patterns of aliases whose versions stay.
        every_alias: what any alias points at stays, too. Protected aliases always count.
        top: the best by a number in their metadata, such as "3:val_loss" or "1:score:max".
        hourly: the newest of each of the last so many hours that have a version; likewise `daily`,
            `weekly`, `monthly` and `yearly`. Times are UTC.
    """

    last: int | None = None
    within: Span | None = None
    aliases: tuple[str, ...] = ()
    every_alias: bool = True
    top: tuple[str, ...] = ()
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said, so that following it would remove nearly everything."""
        periods = (getattr(self, name) for name in _PERIODS)
        return (
            self.last is None
            and self.within is None
            and not self.aliases
            and not self.top
            and not any(periods)
        )


@dataclass(slots=True)
class _Verdicts:
    reasons: Reasons = field(default_factory=dict)

    def keep(self, one: CountedVersion, reason: str) -> None:
        self.reasons.setdefault(one.name, []).append(reason)


def choose_kept(versions: Sequence[CountedVersion], rules: KeepRules, now_ns: int) -> Reasons:
    """Return why versions of one artifact are kept; those that are not there may go.

    Only what is visible counts and is returned. Lineage is not looked at here.

    Raises:
        InvalidInputError: a rule makes no sense.
    """
    verdicts = _Verdicts()
    newest = sorted(
        (one for one in versions if one.is_live), key=lambda one: one.record.number, reverse=True
    )
    for one in newest:
        for reason in _alias_reasons(one, rules):
            verdicts.keep(one, reason)
    for one in newest[: rules.last or 0]:
        verdicts.keep(one, f"among the last {rules.last}")
    if rules.within is not None:
        within_ns = span_ns(rules.within)
        for one in newest:
            if now_ns - one.record.created_ns <= within_ns:
                verdicts.keep(one, f"within {format_span(within_ns)}")
    for text in rules.top:
        _keep_top(newest, TopRule.parse(text), verdicts)
    for period in _PERIODS:
        _keep_periods(newest, period, getattr(rules, period), verdicts)
    return verdicts.reasons


def spread_lineage(census: Census, kept: Reasons) -> Reasons:
    """Return the reasons with those of all that kept versions were made from, directly or not.

    Only visible versions are kept by lineage: what lies in the trash was put there by somebody.
    """
    reasons = {name: list(why) for name, why in kept.items()}
    inputs_of = census.inputs_of()
    waiting = [name for name in kept if name in census.versions]
    while waiting:
        user = census.versions[waiting.pop()]
        for one in inputs_of(user):
            if one.name not in reasons:
                waiting.append(one.name)
            why = reasons.setdefault(one.name, [])
            reason = f"{user.ref} was made from it"
            if reason not in why:
                why.append(reason)
    return reasons


def rank_nothing(versions: Sequence[CountedVersion], rules: KeepRules) -> list[str]:
    """Return the keys of metadata by which rules rank, and which have a number in no version."""
    visible = [one.record.metadata for one in versions if one.is_live]
    top = (TopRule.parse(text) for text in rules.top)
    unknown = [rule.key for rule in top if all(rule.number_of(one) is None for one in visible)]
    return list(dict.fromkeys(unknown)) if visible else []


def _alias_reasons(one: CountedVersion, rules: KeepRules) -> Iterable[str]:
    for alias in one.aliases:
        if alias in one.protected:
            yield f"protected alias {alias}"
        elif rules.every_alias or any(fnmatch.fnmatchcase(alias, one) for one in rules.aliases):
            yield f"alias {alias}"


def _keep_top(newest: Sequence[CountedVersion], rule: TopRule, verdicts: _Verdicts) -> None:
    ranked = [(rule.number_of(one.record.metadata), one) for one in newest]
    numbered = [(number, one) for number, one in ranked if number is not None]
    # Sorting is stable: of equals the newer ones come first.
    numbered.sort(key=lambda pair: pair[0] if rule.lowest else -pair[0])
    way = "lowest" if rule.lowest else "highest"
    for number, one in numbered[: rule.count]:
        verdicts.keep(one, f"{rule.key} {number:g} among the {rule.count} {way}")


def _keep_periods(
    newest: Sequence[CountedVersion], period: str, count: int, verdicts: _Verdicts
) -> None:
    seen: set[tuple[int, ...]] = set()
    for one in sorted(newest, key=lambda one: one.record.created_ns, reverse=True):
        if len(seen) >= count:
            return
        time = datetime.fromtimestamp(one.record.created_ns // SECOND_NS, UTC)
        at = _PERIODS[period](time)
        if at not in seen:
            seen.add(at)
            verdicts.keep(one, f"{period} {time:%Y-%m-%d}")
