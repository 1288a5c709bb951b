"""Reads a policy from a YAML file, with all its faults at once, each with its line.

bands:
- {verdict: approve, below: 0.03}
- {verdict: review, below: 1.01}
on_unknown: review            # a verdict, none (the bands decide) or keep (as recorded)
without_score: keep           # a verdict or keep
on_error: review              # a verdict or keep
rules: keep                   # or a list:
- name: dear
verdict: review
when: {all: [{field: amount, operator: ">", value: 10000}, {field: country, operator: in, value: [CH, LI]}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from opsrail.decide.policy import Band
from opsrail.errors import Fault, InvalidInput
from opsrail.lab.conditions import OPERATORS, Comparison, Condition, Group, Place
from opsrail.lab.judging import KEEP, DataPolicy, DataRule

LARGEST_BYTES = 1_000_000
DEEPEST = 40
WORDS = ("bands", "rules", "without_score", "on_unknown", "on_error", "review")
RULE_WORDS = ("name", "verdict", "reason", "when")
TEST_WORDS = ("field", "operator", "value")
GROUPS = ("all", "any", "not")
Lines = Mapping[Place, int]


def read_policy(path: Path) -> tuple[DataPolicy, Lines]:
    """Return a policy, and the line of each place in its file, from 1.

    Raises:
        InvalidInput: all faults of the file at once. Terminal.
    """
    content = path.read_bytes()
    if len(content) > LARGEST_BYTES:
        raise InvalidInput(f"{path} is larger than {LARGEST_BYTES:,} bytes; a policy is a page")
    try:
        return policy_of(content.decode())
    except UnicodeDecodeError as wrong:
        raise InvalidInput(f"{path} is not UTF-8 text: {wrong}") from wrong
    except InvalidInput as wrong:
        raise InvalidInput(f"{path} cannot be used as a policy", wrong.faults) from wrong


def policy_of(text: str) -> tuple[DataPolicy, Lines]:
    """Return the policy of a YAML text; as `read_policy`."""
    reader = _Reader(text)
    policy = reader.policy()
    if policy is None or reader.faults:
        raise InvalidInput("the text cannot be used as a policy", reader.faults)
    return policy, reader.lines


def placed(lines: Lines, place: Place, message: str) -> Fault:
    """Return a fault with the line of its place, or of the nearest one around it."""
    around = place
    while around and around not in lines:
        around = around[:-1]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(
        "."
    )
    return Fault(f"line {lines.get(around, 1)}{path and f', {path}'}", message)


class _Reader:
    """One text, and what is wrong with it."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self.lines: dict[Place, int] = {}
        self._tree: Any = None
        try:
            if any(
                isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)
            ):
                self.faults.append(Fault("", "aliases (`*name`) are not taken; write it out"))
                return
            self._mark(yaml.compose(text, yaml.SafeLoader), ())
            self._tree = yaml.safe_load(text)
        except yaml.MarkedYAMLError as wrong:
            line = 0 if wrong.problem_mark is None else wrong.problem_mark.line
            self.faults.append(Fault(f"line {line + 1}", f"is no YAML: {wrong.problem}"))
        except (yaml.YAMLError, RecursionError, ValueError) as wrong:
            self.faults.append(Fault("", f"is no YAML: {wrong}"))

    def _mark(self, node: Any, place: Place) -> None:
        """Note where everything stands, and keys that stand twice."""
        if node is None:
            return
        self.lines[place] = node.start_mark.line + 1
        if len(place) > DEEPEST:
            self._fault(place, f"is nested deeper than {DEEPEST} levels")
        elif isinstance(node, yaml.SequenceNode):
            for number, part in enumerate(node.value):
                self._mark(part, (*place, number))
        elif isinstance(node, yaml.MappingNode):
            for key, part in node.value:
                inside = (*place, str(key.value))
                if inside in self.lines:
                    self.lines[inside] = key.start_mark.line + 1
                    self._fault(inside, "stands twice")
                self._mark(part, inside)

    def _fault(self, place: Place, message: str) -> None:
        self.faults.append(placed(self.lines, place, message))

    def policy(self) -> DataPolicy | None:
        """Return the policy; None where too much is wrong for one."""
        tree = self._object(self._tree, (), WORDS)
        if tree is None:
            return None
        bands = tuple(self._bands(tree.get("bands")))
        rules = tree.get("rules", KEEP)
        told: str | tuple[DataRule, ...] = KEEP
        if rules != KEEP:
            told = tuple(self._rules(rules))
        if isinstance(unknown := tree.get("on_unknown", KEEP), str) and unknown == "none":
            unknown = None
        words = {
            name: self._text(tree.get(name, usual), (name,))
            for name, usual in (("without_score", KEEP), ("on_error", KEEP), ("review", "review"))
        }
        if unknown is not None:
            unknown = self._text(unknown, ("on_unknown",))
        if not bands or self.faults:
            return None
        try:
            return DataPolicy(bands, told, on_unknown=unknown, **words)
        except InvalidInput as wrong:
            for fault in wrong.faults:
                name, _, number = fault.place.partition("[")
                inside = (name, int(number[:-1])) if number else (name,)
                self._fault(inside, fault.message)
        return None

    def _bands(self, given: Any) -> Iterator[Band]:
        for place, one in self._list(given, ("bands",)):
            band = self._object(one, place, ("verdict", "below"), ("verdict", "below"))
            if band is not None:
                verdict, below = self._text(band["verdict"], (*place, "verdict")), band["below"]
                if isinstance(below, int | float) and not isinstance(below, bool):
                    yield Band(verdict, float(below))
                else:
                    self._fault((*place, "below"), f"{below!r} is not a number")

    def _rules(self, given: Any) -> Iterator[DataRule]:
        seen: set[str] = set()
        for place, one in self._list(given, ("rules",), may_be_empty=True):
            rule = self._object(one, place, RULE_WORDS, ("name", "verdict", "when"))
            if rule is None:
                continue
            name = self._text(rule["name"], (*place, "name"))
            if name in seen:
                self._fault((*place, "name"), f"{name!r} stands twice; a reason must name one rule")
            seen.add(name)
            verdict = self._text(rule["verdict"], (*place, "verdict"))
            when = self._condition(rule["when"], (*place, "when"))
            if when is not None:
                yield DataRule(name, verdict, when)

    def _condition(self, given: Any, place: Place) -> Condition | None:
        tree = self._object(given, place, (*GROUPS, *TEST_WORDS))
        if tree is None:
            return None
        groups = [word for word in GROUPS if word in tree]
        if groups and len(tree) > 1:
            self._fault(place, f"{groups[0]!r} stands alone, or a field with operator and value")
            return None
        if groups == ["not"]:
            inside = self._condition(tree["not"], (*place, "not"))
            return None if inside is None else Group("not", (inside,))
        if groups:
            word = groups[0]
            parts = [self._condition(one, at) for at, one in self._list(tree[word], (*place, word))]
            return Group(word, tuple(part for part in parts if part is not None))
        return self._comparison(tree, place)

    def _comparison(self, tree: Mapping[str, Any], place: Place) -> Comparison | None:
        missing = [word for word in TEST_WORDS if word not in tree]
        if missing:
            self._fault(
                place,
                f"has no {' and no '.join(missing)}; see `all`, `any`, `not`, or field, operator, value",
            )
            return None
        operator, value = tree["operator"], tree["value"]
        if operator not in OPERATORS:
            self._fault((*place, "operator"), f"{operator!r} is none of {', '.join(OPERATORS)}")
            return None
        wanted: tuple[type, ...] = (str, int, float, bool)
        if operator in ("in", "not in"):
            is_fit = (
                isinstance(value, list) and value and all(isinstance(one, wanted) for one in value)
            )
            told = "a list of numbers or texts"
        elif operator == "missing":
            is_fit, told = isinstance(value, bool), "true or false"
        else:
            is_fit, told = isinstance(value, wanted), "a number, text or truth"
        if not is_fit:
            self._fault((*place, "value"), f"{value!r} is not {told}, which {operator!r} takes")
            return None
        return Comparison(self._text(tree["field"], (*place, "field")), operator, value, place)

    def _object(
        self, given: Any, place: Place, known: Sequence[str], needed: Sequence[str] = ()
    ) -> dict[str, Any] | None:
        if not isinstance(given, dict):
            if not self.faults or place:
                self._fault(place, f"must be an object of {', '.join(known)}")
            return None
        for name in given:
            if name not in known:
                self._fault((*place, str(name)), f"is not known here; there are {', '.join(known)}")
        for name in needed:
            if name not in given:
                self._fault(place, f"has no {name}")
        return None if any(name not in given for name in needed) else given

    def _list(
        self, given: Any, place: Place, *, may_be_empty: bool = False
    ) -> Iterator[tuple[Place, Any]]:
        if not isinstance(given, list) or not (given or may_be_empty):
            self._fault(place, "must be a list with at least one entry")
            return
        for number, one in enumerate(given):
            yield (*place, number), one

    def _text(self, given: Any, place: Place) -> str:
        if not isinstance(given, str) or not given:
            self._fault(place, f"{given!r} is not a text")
            return ""
        return given
