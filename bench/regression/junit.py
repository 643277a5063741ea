"""A decision as JUnit XML, which build servers show: a case a score and a case a stage.

What is undecided counts as a failure of type `undecided`, because a gate is passed by evidence; a
stage that nothing can be said about, or that follows from another, is skipped.
"""

from pathlib import Path
from xml.etree import ElementTree as Xml

from bench.durable import whole
from bench.regression.gate import Decision
from bench.regression.score_check import ScoreCheck, Verdict
from bench.regression.stage_check import Agreement, StageCheck

SKIPPED = (Agreement.FOLLOWS, Agreement.UNJUDGED)


def junit(decision: Decision) -> str:
    """The XML, as text."""
    suite = Xml.Element("testsuite", name=f"bench regress {decision.reference}")
    for stage in decision.stages:
        _stage(suite, stage)
    for score in decision.scores:
        _score(suite, score)
    for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(kind, str(len(list(suite.iter(tag)))))
    suite.set("errors", "0")
    output = Xml.SubElement(suite, "system-out")
    output.text = decision.sentence
    document = Xml.Element("testsuites")
    document.append(suite)
    Xml.indent(document)
    return Xml.tostring(document, encoding="unicode", xml_declaration=True) + "\n"


def write(decision: Decision, path: Path) -> None:
    """Put it in a file."""
    with whole(path, "--junit") as unfinished:
        unfinished.write_text(junit(decision), encoding="utf-8")


def _stage(suite: Xml.Element, check: StageCheck) -> None:
    place = f"bench.regress.{check.dataset}.stages"
    case = Xml.SubElement(suite, "testcase", classname=place, name=check.stage)
    if check.agreement is Agreement.DIVERGED:
        Xml.SubElement(case, "failure", type="diverged", message=check.sentence)
    elif check.agreement in SKIPPED:
        Xml.SubElement(case, "skipped", message=check.agreement.value)


def _score(suite: Xml.Element, check: ScoreCheck) -> None:
    place = f"bench.regress.{check.dataset}.scores"
    case = Xml.SubElement(suite, "testcase", classname=place, name=f"{check.task} {check.score}")
    if check.verdict is not Verdict.PASSED:
        Xml.SubElement(case, "failure", type=check.verdict.value, message=check.reason)
