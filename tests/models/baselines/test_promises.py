"""Every family of baselines, tiny, through the self-test that `bench models check` runs."""

import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import test_dual_encoders  # noqa: E402
import test_grounded  # noqa: E402
import test_mask_classifiers  # noqa: E402
import test_pixel_text  # noqa: E402
import test_writers  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402

from bench.selftest import Verdict, self_test  # noqa: E402
from models.baselines import dual_encoders  # noqa: E402


def everything():
    """(name, family, parts in the folder, parts in its folder `segmenter`) of all but two."""
    for families in (test_mask_classifiers.FAMILIES, test_pixel_text.FAMILIES):
        for name, (family, parts) in families.items():
            yield name, family, parts, None
    for name, (family, parts, segmenter) in test_grounded.SYSTEMS.items():
        yield name, family, parts, segmenter
    for name, parts in test_dual_encoders.PARTS.items():
        yield name, dual_encoders, parts, None
    modules = (test_writers.blip, test_writers.blip2, test_writers.vilt)
    for name, parts in test_writers.PARTS.items():
        yield name, next(m for m in modules if name in m.CARDS), parts, None


SYSTEMS = list(everything())


@pytest.mark.parametrize(
    ("name", "family", "parts", "segmenter"), SYSTEMS, ids=[name for name, *_ in SYSTEMS]
)
def test_it_keeps_what_its_protocols_promise(name, family, parts, segmenter, tmp_path):
    torch.manual_seed(0)
    tiny.save(tmp_path, *parts())
    if segmenter is not None:
        tiny.save(tmp_path / "segmenter", *segmenter())
    card = family.CARDS[name]
    model = family.build(card, weights=tmp_path)
    checks = list(self_test(model, card.answers))
    assert [c for c in checks if c.verdict is Verdict.BROKEN] == []
    assert len(checks) > 4
