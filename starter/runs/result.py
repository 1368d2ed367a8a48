"""What verify.py measured and made of a run or a fusion, and what it fitted on labelled pairs.

Rates and accuracies are fractions; an interval is (low, high) of 95 %. None: not measured.
"""

from typing import ClassVar, Literal

from starter.runs.records import Record, StageSummary, Value

Interval = tuple[float, float]
Unit = Literal["identity", "pair", "image"]

AGAIN = "run verify.py again"


class Member(Value):
    """A run of a fusion, and what it counts."""

    run: str
    stage: str
    weights: str
    tta: tuple[str, ...]
    share: float


class Fusion(Record):
    """fusion.json: the runs whose embeddings and classes were combined.

    eer_of_each: of the members, on the labelled pairs. weights, held_out_eer (on identities that
    the weights were not fitted on) and equal_eer (of equal weights): of `kind` weighted.
    """

    mend: ClassVar[str] = "remove it and combine the runs again"

    kind: Literal["mean", "weighted", "concat"]
    members: tuple[Member, ...]
    parameters: int
    eer_of_each: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    held_out_eer: float | None = None
    equal_eer: float | None = None


class Source(Value):
    """The weights and views that scores came of. stage: None for a fusion."""

    stage: str | None
    weights: str
    tta: tuple[str, ...]
    fusion: Fusion | None = None


class Thresholds(Value):
    """For score >= threshold, at the EER and at the best accuracy."""

    eer: float
    accuracy: float


class PairMetrics(Value):
    """Metrics of a set of labelled pairs, as `metrics.evaluate` returns them."""

    accuracy: float
    eer: float
    eer_step: float
    auc: float
    tar_at_far: dict[float, float]
    thresholds: Thresholds
    pairs: int
    genuine: int
    impostor: int
    resolution: str
    intervals: dict[str, Interval] | None = None
    resampled_by: Unit | None = None


class ErrorRates(Value):
    """False accepts and false rejects."""

    far: float
    frr: float


class DecisionIntervals(Value):
    threshold: Interval
    far: Interval
    frr: Interval


class Decision(Value):
    """Where to say "same", as `metrics.fit_decision` returns it.

    far and frr: on the pairs that it was fitted on; held_out: of other identities.
    """

    at: Literal["eer", "far"]
    asked: float | None
    threshold: float
    far: float
    frr: float
    held_out: ErrorRates | None = None
    intervals: DecisionIntervals | None = None
    resampled_by: Unit | None = None


class Threshold(Record):
    """threshold.json: the decision, and the weights that it holds for."""

    mend: ClassVar[str] = AGAIN

    decision: Decision
    source: Source
    transductive: bool


class Bin(Value):
    """Pairs of like probability: its mean, the share that was genuine, how many."""

    predicted: float
    observed: float
    count: int


class Reliability(Value):
    """How good the probabilities are. log_loss in nats; all None where pairs are too few."""

    kind: Literal["platt", "isotonic"]
    prior: float
    brier: float | None = None
    log_loss: float | None = None
    ece: float | None = None
    folded_by: Unit


class Calibration(Record):
    """calibration.json: score -> probability, as `metrics.fit_calibration` returns it.

    slope and intercept are of platt, score and probability of isotonic. bins, brier, log_loss and
    ece are of pairs whose identities the fit did not see.
    """

    mend: ClassVar[str] = AGAIN

    kind: Literal["platt", "isotonic"]
    prior: float
    pairs: int
    slope: float | None = None
    intercept: float | None = None
    score: tuple[float, ...] | None = None
    probability: tuple[float, ...] | None = None
    bins: tuple[Bin, ...] | None = None
    brier: float | None = None
    log_loss: float | None = None
    ece: float | None = None
    folded_by: Unit
    source: Source

    @property
    def reliability(self) -> Reliability:
        """What the result says of it."""
        kept = {name: getattr(self, name) for name in Reliability.model_fields}
        return Reliability(**kept)


class Folds(Value):
    """Mean accuracy over folds, thresholds fitted on the others (the LFW protocol)."""

    folds: int
    accuracy: float
    standard_error: float
    shuffled: bool


class Retrieval(Value):
    """recall@k by k, and mAP@R, of images that search each other."""

    queries: int
    recall_at: dict[int, float]
    map_at_r: float


class Identification(Value):
    """1:N: labelled probes against known people. accuracy and threshold are of the probes that
    the threshold was fitted on; threshold None: nobody is refused. cmc: by rank."""

    people: int
    known: int
    probes: int
    accuracy: float | None
    threshold: float | None
    cmc: dict[int, float]


class Answers(Value):
    """The score on the held-back answers of the built-in competition."""

    accuracy: float | None
    eer: float | None
    combined: float | None


class Nobody(Value):
    """The word for an image of no class, written where the classes' probabilities fall below the
    threshold; the balanced accuracy is of the known and unknown images it was fitted on."""

    word: str
    threshold: float
    balanced_accuracy: float
    known: int
    unknown: int


class Submission(Value):
    """The file to hand in, and the sample that it was checked against."""

    csv: str
    rows: int
    sample: str | None
    note: str | None
    nobody: Nobody | None = None


class Result(Record):
    """result.json. val, held, test: sets of labelled pairs; dev_ and test_: classes of images."""

    mend: ClassVar[str] = AGAIN

    run: str
    stage: str | None
    weights: str
    tta: tuple[str, ...]
    fusion: Fusion | None
    stages: dict[str, StageSummary]
    images: int
    transductive: bool
    val: PairMetrics | None = None
    held: PairMetrics | None = None
    test: PairMetrics | None = None
    folds: Folds | None = None
    retrieval: Retrieval | None = None
    identification: Identification | None = None
    decision: Decision | None = None
    calibration: Reliability | None = None
    classes_from: str
    dev_accuracy: float | None = None
    dev_images: int | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    submission: Submission | None = None
    answers: Answers | None = None


class NetworkFile(Value):
    """Weights that answered, with the state of their file when they were read whole."""

    stage: str
    weights: str
    parameters: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class EmbeddingsHeader(Value):
    """What kept embeddings are of. key: everything that they depend on."""

    version: Literal[1] = 1
    key: str
    source: Source
    networks: tuple[NetworkFile, ...]
    classes_from: str
    by_logits: bool


class PairAnswer(Value):
    """Whether two pictures show the same identity.

    probability: where genuine pairs are as frequent as among the labelled ones.
    log_likelihood_ratio: natural, whatever their frequency.
    """

    score: float
    threshold: float
    same: bool
    probability: float
    log_likelihood_ratio: float
    stage: str | None
