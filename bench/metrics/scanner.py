r"""A scanner: cuts text by a list of rules, longest match first.

Tokenisers written for flex and its kin mean their patterns in the sense of finite automata: at each
place every rule is tried, the longest match counts with what must follow it, and among equals the
first rule wins. Python's `re` means another thing (the first alternative that leads to any match),
so such a rule list cannot be put through it and stay the same. Here patterns become one
nondeterministic automaton, whose deterministic states are built as texts need them
(Thompson, «Regular expression search algorithm», CACM 1968).

Patterns are written as for flex: literals, `\\` before a metacharacter, `.`, classes `[a-z]` and
`[^a-z]`, groups, `|`, `*`, `+`, `?`, `{2}`, `{1,3}`, and `{name}` for a part named elsewhere.
Letters outside classes match both their cases; classes are literal.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass


class CharacterSet:
    """Characters, as sorted ranges of code points, or all others."""

    def __init__(self, ranges: Sequence[tuple[int, int]], negated: bool = False) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._negated = negated
        for first, last in sorted(ranges):
            if self._ends and first <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], last)
            else:
                self._starts.append(first)
                self._ends.append(last)

    def __contains__(self, code: int) -> bool:
        i = bisect_right(self._starts, code) - 1
        return (i >= 0 and code <= self._ends[i]) != self._negated


@dataclass(frozen=True)
class Rule:
    """A pattern, what must follow it, and how the match is cut."""

    pattern: str
    followed_by: str = ""
    """A pattern that must match right after; it counts for the length and stays in the text."""
    write: Callable[[str], str | None] = str
    """The token for the matched text; `None` where it is passed over."""
    give_back: int = 0
    """How many characters at the end of the match are scanned again."""


class Automaton:
    """A nondeterministic automaton: characters lead on, empty edges lead on at once."""

    def __init__(self, parts: Mapping[str, str | CharacterSet]) -> None:
        self.parts = parts
        self.empty: list[list[int]] = []
        self.edge: list[tuple[CharacterSet, int] | None] = []
        self.accepts: dict[int, int] = {}
        """State to the number of the rule it ends."""

    def state(self) -> int:
        """A new state, with no way on."""
        self.empty.append([])
        self.edge.append(None)
        return len(self.empty) - 1

    def add(self, pattern: str, start: int) -> int:
        """Put `pattern` behind the state `start`; the state where it has matched."""
        parser = _Parser(self, pattern)
        end = parser.alternatives(start)
        if parser.at != len(pattern):
            raise ValueError(f"pattern {pattern!r}: unmatched ')' at {parser.at}")
        return end

    def closure(self, states: Sequence[int]) -> frozenset[int]:
        """The states and all that empty edges reach from them."""
        seen = set(states)
        stack = list(states)
        while stack:
            for target in self.empty[stack.pop()]:
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        return frozenset(s for s in seen if self.edge[s] is not None or s in self.accepts)


class _Parser:
    """Reads one pattern into an automaton."""

    def __init__(self, automaton: Automaton, pattern: str) -> None:
        self.automaton, self.pattern, self.at = automaton, pattern, 0

    def alternatives(self, start: int) -> int:
        end = self.automaton.state()
        while True:
            self._link(self._sequence(start), end)
            if self._peek() != "|":
                return end
            self.at += 1

    def _sequence(self, start: int) -> int:
        while self._peek() not in ("", "|", ")"):
            start = self._repeated(start)
        return start

    def _repeated(self, start: int) -> int:
        """One atom with its count: the atom is read again for each copy."""
        begin = self.at
        inner = self.automaton.state()
        end = self._atom(inner)
        after = self.at
        low, high = self._count()
        resume = self.at
        if (low, high) == (1, 1):
            self._link(start, inner)
            return end
        if high is None:  # low is 0 or 1
            exit_ = self.automaton.state()
            self._link(start, inner)
            self._link(end, exit_)
            self._link(end, inner)
            if low == 0:
                self._link(start, exit_)
            return exit_
        exit_ = self.automaton.state()
        for copy in range(high):
            if copy >= low:
                self._link(start, exit_)
            self.at = begin
            start = self._atom(start)
            assert self.at == after
        self._link(start, exit_)
        self.at = resume
        return exit_

    def _count(self) -> tuple[int, int | None]:
        sign = self._peek()
        if sign and sign in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        if sign == "{" and self.pattern[self.at + 1].isdigit():
            close = self.pattern.index("}", self.at)
            low, _, high = self.pattern[self.at + 1 : close].partition(",")
            self.at = close + 1
            return int(low), int(high or low)
        return 1, 1

    def _atom(self, start: int) -> int:
        sign = self.pattern[self.at]
        self.at += 1
        if sign == "(":
            end = self.alternatives(start)
            if self._peek() != ")":
                raise ValueError(f"pattern {self.pattern!r}: '(' without ')'")
            self.at += 1
            return end
        if sign == "{":
            close = self.pattern.index("}", self.at)
            part = self.automaton.parts[self.pattern[self.at : close]]
            self.at = close + 1
            if isinstance(part, CharacterSet):
                return self._character(start, part)
            return self.automaton.add(part, start)
        if sign == "[":
            return self._character(start, self._class())
        if sign == ".":
            return self._character(start, CharacterSet([(10, 10)], negated=True))
        if sign == "\\":
            sign = self.pattern[self.at]
            self.at += 1
        both = {sign, sign.lower(), sign.upper()}
        return self._character(start, CharacterSet([(ord(c), ord(c)) for c in both]))

    def _class(self) -> CharacterSet:
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            first = self._class_character()
            last = first
            if self._peek() == "-" and self.pattern[self.at + 1] != "]":
                self.at += 1
                last = self._class_character()
            ranges.append((first, last))
        self.at += 1
        return CharacterSet(ranges, negated)

    def _class_character(self) -> int:
        self.at += self._peek() == "\\"
        self.at += 1
        return ord(self.pattern[self.at - 1])

    def _character(self, start: int, characters: CharacterSet) -> int:
        source, end = self.automaton.state(), self.automaton.state()
        self.automaton.edge[source] = (characters, end)
        self._link(start, source)
        return end

    def _link(self, source: int, target: int) -> None:
        self.automaton.empty[source].append(target)

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]


class _State:
    """A deterministic state: a set of the automaton's, with the ways on found so far."""

    __slots__ = ("accepts", "members", "next")

    def __init__(self, members: frozenset[int], accepts: int | None) -> None:
        self.members, self.accepts = members, accepts
        self.next: dict[str, _State | None] = {}


class Matcher:
    """Longest matches of several patterns at once."""

    def __init__(self, patterns: Sequence[str], parts: Mapping[str, str | CharacterSet]) -> None:
        self._automaton = Automaton(parts)
        start = self._automaton.state()
        for number, pattern in enumerate(patterns):
            self._automaton.accepts[self._automaton.add(pattern, start)] = number
        self._states: dict[frozenset[int], _State] = {}
        self._start = self._state([start])

    def longest(self, text: str, at: int) -> tuple[int, int] | None:
        """The pattern that matches longest from `at`, the first of equals, and where it ends.

        Patterns are told by their number. `None` where none matches.
        """
        found = None
        for found in self._matches(text, at):  # noqa: B007 (the last one counts)
            pass
        return found

    def ends(self, text: str, at: int) -> list[int]:
        """Every place where a match that began at `at` may end, in order."""
        return [end for _, end in self._matches(text, at)]

    def _matches(self, text: str, at: int) -> Iterator[tuple[int, int]]:
        """Every longer match from `at`: the pattern and where it ends."""
        state: _State | None = self._start
        for i in range(at, len(text)):
            assert state is not None
            character = text[i]
            known = character in state.next
            state = state.next[character] if known else self._step(state, character)
            if state is None:
                return
            if state.accepts is not None:
                yield state.accepts, i + 1

    def _step(self, state: _State, character: str) -> _State | None:
        code = ord(character)
        edges = self._automaton.edge
        targets = [
            edge[1] for s in state.members if (edge := edges[s]) is not None and code in edge[0]
        ]
        following = self._state(targets) if targets else None
        state.next[character] = following
        return following

    def _state(self, states: Sequence[int]) -> _State:
        members = self._automaton.closure(states)
        if members not in self._states:
            accepts = [self._automaton.accepts[s] for s in members if s in self._automaton.accepts]
            self._states[members] = _State(members, min(accepts) if accepts else None)
        return self._states[members]


class Scanner:
    """Cuts text by rules. Rules are compiled when built; states appear as texts need them."""

    def __init__(self, rules: Sequence[Rule], parts: Mapping[str, str | CharacterSet]) -> None:
        self.rules = rules
        self._matcher = Matcher([f"({r.pattern})({r.followed_by})" for r in rules], parts)
        self._tails = {
            number: (Matcher([rule.pattern], parts), Matcher([rule.followed_by], parts))
            for number, rule in enumerate(rules)
            if rule.followed_by
        }

    def match(self, text: str, at: int) -> tuple[Rule, int]:
        """The rule that applies at `at`, and where its match ends."""
        found = self._matcher.longest(text, at)
        if found is None:
            raise ValueError(f"no rule matches {text[at : at + 20]!r}")
        number, end = found
        rule = self.rules[number]
        if rule.followed_by:
            head, tail = self._tails[number]
            end = max(e for e in head.ends(text, at) if end in tail.ends(text, e))
        return rule, end - rule.give_back
