"""Protocol cards: everything between a network's answer and a number, as data with a hash.

A score means nothing without the size the image was shown at, the sentences the names were put
into, the thresholds and the metric's own conventions. A card holds them all. It is resolved for
one dataset (`for_dataset`), its resolved content is hashed, and the hash goes into every record, so
two numbers can be compared only where their cards agree, or where a person says so.
"""

import hashlib
import json
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digest(self) -> str:
        """Twelve hex digits of the sha256 of the content, whatever the order of keys."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class Interpolation(StrEnum):
    """How a picture is resized; both are Pillow's, on uint8, with its antialiasing."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class Rounding(StrEnum):
    """How the longer side becomes a whole number of pixels."""

    NEAREST = "nearest"
    """Half a pixel rounds up: detectron2's `ResizeShortestEdge`."""
    DOWN = "down"
    """The fraction is cut off: torchvision's `Resize`."""


class Resize(Strict):
    """The size an image is shown to the network at. All absent: as it is."""

    short: int | None = Field(None, gt=0)
    """Pixels of the shorter side."""
    long: int | None = Field(None, gt=0)
    """The longer side is at most this; the shorter shrinks with it. Absent: no bound."""
    exact: tuple[int, int] | None = None
    """Exactly this height and width; the aspect ratio is lost."""
    interpolation: Interpolation = Interpolation.BILINEAR
    rounding: Rounding = Rounding.NEAREST

    @model_validator(mode="after")
    def _one_rule(self) -> "Resize":
        if self.exact and (self.short or self.long):
            raise ValueError("give either 'exact' or 'short' (with 'long'), not both")
        if self.long and not self.short:
            raise ValueError("'long' bounds the rule 'short': give 'short' too")
        return self


class BackgroundRule(StrEnum):
    """Where the «none of these» column comes from and what happens to it."""

    PROMPTED = "prompted"
    """The word `background` is one more class; its column is left out of label maps (v2)."""
    KEPT = "kept"
    """As prompted, and in label maps it competes: pixels it wins are void."""
    LAST_CLASS = "last-class"
    """Nothing is added; the last class stands for it and can never be predicted: what the older
    released code did with class lists that carried no background."""
    NONE = "none"
    """Nothing is added and nothing left out: every column is a class like any other."""

    @property
    def prompts(self) -> bool:
        """Whether a word for the background is asked for besides the names."""
        return self in (BackgroundRule.PROMPTED, BackgroundRule.KEPT)


class SemanticRule(Strict):
    """From proposals to a label map."""

    average: str = Field("softmax-times-sigmoid", pattern="^softmax-times-sigmoid$")
    """The score of a class at a pixel: the sum over queries of class probability × mask
    probability (MaskFormer, section 3.3)."""


class PanopticRule(Strict):
    """From proposals to segments."""

    object_mask_threshold: float = Field(0.8, ge=0, le=1)
    """Queries whose best class scores at most this are left out."""
    overlap_threshold: float = Field(0.8, ge=0, le=1)
    """A segment keeps at least this share of its own mask, or is dropped."""


class ThingFilter(StrEnum):
    """Which instances of stuff classes are dropped, and when."""

    AFTER_TOP_K = "after-top-k"
    """Released code with panoptic output on: fewer than top-k instances may remain."""
    BEFORE_TOP_K = "before-top-k"
    """Only things compete for the top-k places."""
    NONE = "none"
    """Every class is a thing."""


class InstanceRule(Strict):
    """From proposals to scored instances."""

    top_k: int = Field(100, gt=0)
    thing_filter: ThingFilter = ThingFilter.AFTER_TOP_K


class MaskResize(StrEnum):
    """How mask logits get from the network's grid to the original image."""

    BICUBIC_ANTIALIAS = "bicubic-antialias"
    """X-Decoder: to the padded input, cropped, to the original size; antialiased bicubic twice."""
    BILINEAR = "bilinear"
    """Mask2Former: the same two steps, bilinear without antialiasing."""


class FreedRow(StrEnum):
    """Which of X-Decoder's queries sees the whole image, beside its own predicted mask.

    The line of the released code that means to free the image query addresses one row past it.
    """

    ONE_PAST_IMAGE = "one-past-image"
    """As released, and as the released weights were trained: none in segmentation; with phrases,
    the first copy of the object queries."""
    IMAGE = "image"
    """What the line was written for: the image query."""


class MiouAverage(StrEnum):
    """Which classes the mean IoU averages over."""

    SEEN_OR_SAID = "truth-or-prediction"
    """Classes with truth or prediction; a class only predicted counts 0 (detectron2, X-Decoder)."""
    SEEN = "truth"
    """Classes with truth only (mmseg's nan-mean leaves out only classes absent from both; several
    published tables leave out classes without truth)."""


class SaidVoid(StrEnum):
    """What a pixel with a true class counts for where nothing, or background, was predicted."""

    MISSED = "missed"
    """It is missed: a true pixel of its class that was not found."""
    LEFT_OUT = "left-out"
    """It is left out of everything, as void pixels of the truth are: detectron2's sums do so once
    a prediction may be the ignored label."""


class SemanticMetric(Strict):
    """How mIoU is defined."""

    average: MiouAverage = MiouAverage.SEEN_OR_SAID
    said_void: SaidVoid = SaidVoid.MISSED


class AnnotationZero(StrEnum):
    """What happens to a true object whose annotation id is 0."""

    COUNTED = "counted"
    """It is an object like any other."""
    NEVER_FOUND = "never-found"
    """As pycocotools does: id 0 reads as «unmatched», so a detection that finds it counts as false
    and the object as missed. Perfect masks then score below 1."""


class AreaSource(StrEnum):
    """What size a true object or segment has."""

    FIELD = "field"
    """The `area` that its file states, as pycocotools and panopticapi read it; its pixels where the
    file states none."""
    MASK = "mask"
    """The number of pixels of its mask."""


class DetectionArea(StrEnum):
    """What size a detection has for APs, APm and APl of masks."""

    STATED_BOX = "stated-box"
    """That of the box that comes with it, where there is one, else its mask's: as pycocotools does
    with a result file that has boxes."""
    MASK = "mask"
    """The number of pixels of its mask: what detectron2 arrives at, by leaving out the boxes."""


class ClassUse(StrEnum):
    """Whether a detection must name the class of the object it finds."""

    SEPARATE = "separate"
    """Each class is scored on its own, and the mean over classes is the score."""
    POOLED = "pooled"
    """Classes are ignored: every detection may find every object (pycocotools' `useCats=0`)."""


class DetectionCap(StrEnum):
    """Of what `max_dets` is the limit."""

    PER_CLASS = "per-class"
    """Detections of one class in one image (COCO)."""
    PER_IMAGE = "per-image"
    """Detections of all classes in one image (LVIS)."""


class AveragePrecision(Strict):
    """How mask and box AP are defined.

    LVIS differs from COCO by `max_dets: [300]` and `cap: per-image`; which classes of an image are
    annotated completely is part of its truth.
    """

    max_dets: tuple[int, ...] = Field((1, 10, 100), min_length=1)
    """Detections counted for AR1, AR10, AR100; the last for AP too."""
    cap: DetectionCap = DetectionCap.PER_CLASS
    classes: ClassUse = ClassUse.SEPARATE
    annotation_zero: AnnotationZero = AnnotationZero.COUNTED
    area: AreaSource = AreaSource.FIELD
    detection_area: DetectionArea = DetectionArea.STATED_BOX

    @model_validator(mode="after")
    def _caps_rise(self) -> "AveragePrecision":
        if self.max_dets[0] < 1 or list(self.max_dets) != sorted(set(self.max_dets)):
            raise ValueError(f"'max_dets' must rise from 1 or more, found {list(self.max_dets)}")
        return self


class VoidRule(StrEnum):
    """What void pixels and crowds of the truth do to PQ."""

    OF_FORMAT = "of-format"
    """BDD100K's where its bitmasks are scored as files, because its tool does so; else COCO's."""
    COCO = "coco"
    """Void pixels leave the union; an unmatched prediction is excused if more than half of it is
    void or a crowd of its class (panopticapi)."""
    BDD100K = "bdd100k"
    """Void pixels stay in the union; an unmatched prediction is excused if more than half of it is
    void or a crowd of any class (bdd100k's own evaluation)."""


class PanopticMetric(Strict):
    """How PQ is defined: the COCO panoptic API, matches above IoU 0.5, void left out."""

    iou_threshold: float = Field(0.5, ge=0.5, lt=1)
    void: VoidRule = VoidRule.OF_FORMAT
    area: AreaSource = AreaSource.FIELD
    """The size of a true segment: panopticapi reads it from the file and does not count pixels."""


class Expressions(StrEnum):
    """Which expressions of a referred object are asked."""

    FIRST = "first"
    ALL = "all"
    CONCATENATED = "concatenated"


class ReferringRule(Strict):
    """How referring segmentation is asked."""

    expressions: Expressions = Expressions.FIRST
    lower_case: bool = True


class CaptionSearch(StrEnum):
    """How the words of a caption are searched for."""

    OF_MODEL = "of-model"
    """As the model does where nobody says how; X-Decoder greedily, as released."""
    GREEDY = "greedy"
    """Always the likeliest token."""
    BEAM = "beam"
    """The best of several captions written side by side."""


class CaptionRule(Strict):
    """How X-Decoder writes captions; other families write as their own settings say."""

    search: CaptionSearch = CaptionSearch.OF_MODEL
    beams: int = Field(5, gt=0)
    """Captions side by side (appendix A.2)."""
    length_exponent: float = 1.0
    """With beams, log probabilities are divided by the number of tokens to this power."""
    steps: int = Field(50, gt=0)
    """Tokens of the longest caption."""


class Templates(Strict):
    """A list of sentences that class names are put into, one file each."""

    name: str
    about: str = ""
    source: str = ""
    sentences: tuple[str, ...] = Field(min_length=1)
    """Each has one `{}`, where the name goes."""

    @model_validator(mode="after")
    def _one_gap_each(self) -> "Templates":
        for sentence in self.sentences:
            if sentence.count("{}") != 1 or sentence.replace("{}", "").count("{"):
                raise ValueError(f"a template has one '{{}}' and no other brace, not {sentence!r}")
        return self


class ReferringIoU(StrEnum):
    """How published code computes the IoU of an expression, and when it counts as found.

    They differ only where a ratio meets a threshold exactly, and where nothing is referred to.
    """

    X_DECODER = "x-decoder"
    """I / (U + 1e-6), found at the threshold or above; nothing for nothing is wrong (X-Decoder,
    SEEM)."""
    LAVT = "lavt"
    """I / U, found at the threshold or above; nothing for nothing is wrong (LAVT, CRIS)."""
    MTTR = "mttr"
    """(I + 1e-6) / (U + 1e-6), found above the threshold; nothing for nothing is right (MTTR,
    ReferFormer)."""
    GRES = "gres"
    """I / U, found at the threshold or above; nothing for nothing is right (LISA, GRES)."""


class ReferringMetric(Strict):
    """How cIoU, mIoU and precision of referring segmentation are defined."""

    iou: ReferringIoU = ReferringIoU.X_DECODER


class Protocol(Strict):
    """One protocol card. Every field has a default; a card file states what it changes."""

    name: str
    title: str = ""
    about: str = ""
    source: str = ""
    """Where these values were read."""
    resize: Resize = Resize()
    templates: str = "none"
    """The name of a list of sentence templates under `dataset_specs/templates`."""
    strip_suffixes: tuple[str, ...] = ()
    """Cut out of a prompt wherever they stand (COCO's -merged, -other, -stuff)."""
    background: BackgroundRule = BackgroundRule.PROMPTED
    mask_resize: MaskResize = MaskResize.BICUBIC_ANTIALIAS
    freed_row: FreedRow = FreedRow.ONE_PAST_IMAGE
    semantic: SemanticRule = SemanticRule()
    panoptic: PanopticRule = PanopticRule()
    instance: InstanceRule = InstanceRule()
    referring: ReferringRule = ReferringRule()
    captions: CaptionRule = CaptionRule()
    miou: SemanticMetric = SemanticMetric()
    ap: AveragePrecision = AveragePrecision()
    pq: PanopticMetric = PanopticMetric()
    ciou: ReferringMetric = ReferringMetric()
    datasets: dict[str, dict[str, Any]] = {}
    """Per dataset, or per family with `*` in its name, the fields that differ there. Where several
    names fit, the longer one counts, and the exact name most."""

    def for_dataset(self, dataset: str) -> "Protocol":
        """The card as it applies to one dataset: its overrides merged in.

        None speaks of a person's own folder that is called `./NAME` (see `bench.catalog.dataset`).
        """
        content = self.model_dump(mode="json", exclude={"datasets"})
        own = dataset.startswith("./")
        matching = [key for key in self.datasets if not own and fnmatchcase(dataset, key)]
        for key in sorted(matching, key=lambda key: (key == dataset, len(key))):
            content = _merged(content, self.datasets[key])
        return Protocol.model_validate(content)

    @model_validator(mode="after")
    def _overrides_are_valid(self) -> "Protocol":
        content = self.model_dump(mode="json", exclude={"datasets"})
        for changes in self.datasets.values():
            Protocol.model_validate(_merged(content, changes))
        return self

    def definition(self) -> dict[str, Any]:
        """The fields that can change a number: all but names and prose."""
        return self.model_dump(
            mode="json", exclude={"name", "title", "about", "source", "datasets"}
        )

    def recorded(self) -> dict[str, Any]:
        """`definition`, as records keep it: without the younger fields where they say nothing new.

        So a card that has learned to state what was always done is still the same card.
        """
        found = self.definition()
        if self.captions == CaptionRule():
            del found["captions"]
        if self.miou.said_void is SaidVoid.MISSED:
            del found["miou"]["said_void"]
        return found

    def digest(self) -> str:
        """Twelve hex digits over `recorded`: two cards with one meaning have one digest.

        A card that is not yet resolved for a dataset has its overrides in it too.
        """
        meaning = self.recorded() | ({"datasets": self.datasets} if self.datasets else {})
        content = json.dumps(meaning, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def _merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`content` with `changes` over it; one level of nested rules is merged key by key.

    A changed `resize` replaces the whole rule: «short 512» must not inherit another's long side.
    """
    result = dict(content)
    for key, value in changes.items():
        old = result.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict) and key != "resize"
        result[key] = {**old, **value} if nested else value  # type: ignore[dict-item]
    return result
