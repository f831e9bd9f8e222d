"""The rules and the catalogue of a service, over each of its models."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from segue.errors import ParameterError
from segue.serving.catalogue.catalogue import MAX_ENTRIES, Catalogue, Entries, Entry
from segue.serving.catalogue.overlay import Overlay, described, fits
from segue.serving.catalogue.rule_masks import Masks
from segue.serving.catalogue.rules_file import RulesFile
from segue.serving.schema.answers import ChangedItem, ItemsChanged, RuleAnswer, RulesAnswer
from segue.serving.schema.messages import ItemChange, ItemsRequest, Mistake, rfc3339
from segue.serving.served_model import ServedModel

logger = logging.getLogger(__name__)

_AGES_MS = 600_000
"""Time after which the ages of items are computed again."""

_SHOWN = 20
"""Warnings that are shown; the others are counted."""


class Merchandise:
    """Rules and catalogue. Whoever calls ``apply`` or ``change`` must not do so twice at once.

    Args:
        rules: the rules.
        catalogue: the catalogue.
        clock: milliseconds since 1970.
    """

    def __init__(self, rules: RulesFile, catalogue: Catalogue, clock: Callable[[], int]) -> None:
        self.rules, self.catalogue, self._clock = rules, catalogue, clock
        self._overlays: dict[str, Overlay] = {}
        self._warnings: dict[str, list[str]] = {}
        self._computed = 0

    def load(self) -> None:
        """Read the files for the first time.

        Raises:
            ParameterError: one of them is wrong.
        """
        self.rules.refresh(self._clock())
        self.catalogue.refresh()
        if problems := [one for one in (self.rules.problem, self.catalogue.problem) if one is not None]:
            raise ParameterError(*problems)

    def refresh(self, *, force: bool = False) -> bool:
        """Read the files if they have changed; return whether lists change by it.

        Args:
            force: read the rules even if they seem to be the same.
        """
        before = self.rules.problem, self.catalogue.problem
        changed = self.rules.refresh(self._clock(), force=force)
        if changed or (before[0] is not None and self.rules.problem is None):
            logger.info("the rules were loaded: %s, version %s", self.rules.path, self.rules.rules.version)
        changed = self.catalogue.refresh() or changed
        for old, problem in zip(before, (self.rules.problem, self.catalogue.problem), strict=True):
            if problem is not None and problem != old:
                logger.error("%s", problem)
        aged = any(one.freshness is not None for one in self.rules.rules.rules)
        return changed or (aged and self._clock() - self._computed >= _AGES_MS)

    def apply(self, base: ServedModel) -> ServedModel:
        """Return a model with catalogue and rules over it.

        Args:
            base: the model as it was loaded.
        """
        overlay = self._overlays.get(base.name)
        if overlay is None or overlay.base is not base:
            overlay = self._overlays[base.name] = Overlay(base)
        return self._apply(overlay, self.catalogue.entries)

    def _apply(self, overlay: Overlay, entries: Entries) -> ServedModel:
        if not entries and not self.rules.rules.rules:
            self._warnings.pop(overlay.base.name, None)
            return overlay.base
        served = overlay.apply(entries) if entries else overlay.base
        self._computed = self._clock()
        masks = Masks(served, self._computed)
        listing = masks.listing(self.rules.rules.rules, served.unavailable)
        warnings = masks.warnings
        if warnings != self._warnings.get(served.name, []):
            logger.warning("%s", "; ".join(warnings) or f"the rules of {served.name} name only what there is")
        self._warnings[served.name] = warnings
        found = replace(served, listing=listing)
        found.__dict__.update({name: value for name, value in served.__dict__.items() if name not in found.__dict__})
        return found

    def warnings(self) -> list[str]:
        """Return what works, and needs someone to look at it."""
        problems = [one for one in (self.rules.problem, self.catalogue.problem) if one is not None]
        found = [f"the file in use is older: {one}" for one in problems] + self._stale()
        noted = [one for warnings in self._warnings.values() for one in warnings]
        more = [f"... and {len(noted) - _SHOWN:,} more warnings of the rules"] if len(noted) > _SHOWN else []
        return found + noted[:_SHOWN] + more

    def _stale(self) -> list[str]:
        """Return which availability is too old."""
        updated, found = self.catalogue.updated, []
        for rule in self.rules.rules.rules:
            limit = None if rule.availability is None else rule.availability.stale_after_hours
            hours = float("inf") if updated is None else (self._clock() - updated) / 3_600_000
            if limit is not None and hours > limit:
                age = "there was none" if updated is None else f"the last one was {hours:.1f} h ago"
                found.append(f"the rule '{rule.name}' expects an update of items every {limit:g} h; {age}")
        return found

    def described(self, models: Mapping[str, ServedModel]) -> RulesAnswer:
        """Return the rules as the API shows them.

        Args:
            models: the models in service, which say how many items each rule selects.
        """
        listings = {name: served.listing for name, served in models.items()}
        rules = []
        for rule in self.rules.rules.rules:
            counts = {name: 0 if one is None else one.counts.get(rule.name, 0) for name, one in listings.items()}
            shown = rule.model_dump(mode="json", exclude_none=True, exclude={"name", "items"})
            rules.append(RuleAnswer(rule.name, rule.kind, shown, counts))
        loaded, updated = self.rules.loaded, self.catalogue.updated
        return RulesAnswer(
            self.rules.rules.version or None,
            None if loaded is None else rfc3339(loaded),
            self.rules.problem,
            self.warnings(),
            rules,
            len(self.catalogue.entries),
            None if updated is None else rfc3339(updated),
        )

    def change(
        self, request: ItemsRequest, wrong: Mapping[int, list[Mistake]], bases: Mapping[str, ServedModel]
    ) -> tuple[ItemsChanged, dict[str, ServedModel]]:
        """Change items of the catalogue, and add those that the models do not know.

        Args:
            request: the changes.
            wrong: mistakes of further changes by their row; they are refused.
            bases: the models as they were loaded.

        Returns:
            What became of each item, and the models after it.

        Raises:
            StorageError: the catalogue cannot be written; nothing changes.
        """
        count = len(request.items) + len(wrong)
        results = {row: ChangedItem("refused", None, mistakes[0].detail, mistakes) for row, mistakes in wrong.items()}
        rows = [row for row in range(count) if row not in wrong]
        with self.catalogue.held():
            old = self.catalogue.entries
            entries, kept = dict(old), dict[int, str]()
            for row, one in zip(rows, request.items, strict=True):
                item = str(one.item)
                merged = self._merged(one, entries.get(item), tuple(request.by))
                why = _mistake(one, item, merged, bases, full=item not in entries and len(entries) >= MAX_ENTRIES)
                if why is not None:
                    results[row] = ChangedItem("refused", item, why, [])
                    continue
                entries[item], kept[row] = merged, item
            for name, base in bases.items():
                if name not in self._overlays or self._overlays[name].base is not base:
                    self._overlays[name] = Overlay(base)
            models = {name: self._apply(self._overlays[name], entries) for name in bases}
            for row, item in kept.items():
                missing = {name: self._why(name, item) for name, served in models.items() if item not in served.index}
                if len(missing) == len(models):
                    entries.pop(item, None)
                    entries |= {item: old[item]} if item in old else {}
                    results[row] = ChangedItem(
                        "refused", item, "; ".join(f"{name}: {why}" for name, why in missing.items()), []
                    )
                else:
                    new = not any(item in base.index for base in bases.values()) and item not in old
                    results[row] = ChangedItem("added" if new else "changed", item, None, [], missing)
            if any(results[row].status == "refused" and item in old for row, item in kept.items()):
                models = {name: self._apply(self._overlays[name], entries) for name in bases}
            self.catalogue.write(entries)
        found = [results[row] for row in range(count)]
        refused = sum(one.status == "refused" for one in found)
        return ItemsChanged(count - refused, refused, found), models

    def _merged(self, one: ItemChange, old: Entry | None, by: tuple[str, ...]) -> Entry:
        old = old or Entry()
        return Entry(
            old.name if one.name is None else one.name,
            old.available if one.available is None else one.available,
            {**old.metadata, **one.metadata},
            by or old.by,
            self._clock(),
        )

    def _why(self, name: str, item: str) -> str:
        return self._overlays[name].missing.get(item, "does not know the item; name columns to compare in by")


def _mistake(one: ItemChange, item: str, merged: Entry, bases: Mapping[str, ServedModel], *, full: bool) -> str | None:
    """Return why a change cannot be made; None if it can."""
    if full:
        return f"the catalogue has {MAX_ENTRIES:,} items, as many as it can; train the models again"
    known = {name for base in bases.values() for name in base.columns}
    for name, value in one.metadata.items():
        if name not in known:
            return f"the items have no column {name!r}; they have: {', '.join(sorted(known)) or 'none'}"
        for base in bases.values():
            if name in base.columns and not fits(value, kind := base.table.schema[name]):
                return f"the column {name!r} must be {described(kind)}"
    if one.name is not None and not any(base.names for base in bases.values()):
        return "the items have no names; leave name out"
    if not merged.by and not any(item in base.index for base in bases.values()):
        return (
            "no model knows the item; name columns in by, such as category, to add it like items with the same values"
        )
    return None
