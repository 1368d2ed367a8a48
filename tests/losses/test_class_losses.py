"""Every loss with class weights against its loop, its gradient, and its behaviour at the edges."""

import math

import by_loop
import pytest
import torch
import torch.nn.functional as F

from starter import losses
from starter.losses import LOSSES, ClassHead
from starter.losses.margin_heads import ClassMargins, MarginHead

B, D, K = 7, 6, 5
MARGIN_KINDS = {kind for kind, loss in LOSSES.items() if issubclass(loss, MarginHead)}
COUNTS = torch.tensor([1, 4, 9, 30, 200])
CLASS_MARGINS = {"least": 0.1, "most": 0.6, "power": 0.3}
# Options of each kind, beside its defaults; scales are low enough for every class to matter.
CASES = {
    "softmax": [
        {},
        {"label_smoothing": 0.1},
        {"class_weights": "balanced"},
        {"class_weights": "sqrt"},
        {"class_weights": "log", "label_smoothing": 0.2},
    ],
    "focal": [
        {},
        {"gamma": 0.5, "alpha": "balanced"},
        {"gamma": 0.0},
        {"gamma": 5.0, "alpha": "log"},
    ],
    "bce": [{}, {"label_smoothing": 0.1}],
    "modified_softmax": [{}, {"label_smoothing": 0.1}],
    "normface": [{"scale": 9.0}, {"scale": 9.0, "label_smoothing": 0.1, "learn_scale": True}],
    "sphereface": [
        {},
        {"anneal_from": 0.0, "anneal_to": 0.0},
        {"margin": 1.7, "scale": 9.0},
        {"margin": 2.3, "scale": 9.0, "anneal_from": 3.0, "anneal_to": 0.5},
    ],
    "cosface": [{"scale": 9.0}, {"scale": 9.0, "class_margins": CLASS_MARGINS}],
    "arcface": [
        {"scale": 9.0},
        {"scale": 9.0, "margin": 1.5},
        {"scale": 9.0, "class_margins": CLASS_MARGINS},
        {"scale": 9.0, "class_margins": {"spread": False, "most": 0.4}},
    ],
    "combined": [
        {"scale": 9.0},
        {"scale": 9.0, "m1": 1.3, "m2": 0.4, "m3": 0.1},
        {"scale": 9.0, "m1": 2.0, "m2": 0.0, "m3": 0.0},
        {"scale": 9.0, "class_margins": CLASS_MARGINS},
    ],
    "subcenter": [
        {"scale": 9.0},
        {"scale": 9.0, "centers": 2, "class_margins": CLASS_MARGINS},
        {"scale": 9.0, "clean_degrees": 80.0, "clean_from": 0.0},
    ],
    "curricularface": [
        {"scale": 9.0},
        {"scale": 9.0, "t_momentum": 0.5, "margin": 0.9},
        {"scale": 9.0, "class_margins": CLASS_MARGINS},
    ],
    "adaface": [
        {"scale": 9.0},
        {"scale": 9.0, "norm_momentum": 1.0},
        {"scale": 9.0, "norm_momentum": 0.9, "class_margins": CLASS_MARGINS},
    ],
    "magface": [
        {"scale": 9.0},
        {
            "scale": 9.0,
            "least_norm": 2.0,
            "most_norm": 3.0,
            "least_margin": 0.1,
            "most_margin": 0.2,
        },
    ],
    "elasticface": [
        {"scale": 9.0, "sigma": 0.2},
        {"scale": 9.0, "sigma": 0.2, "by_rank": True},
        {"scale": 9.0, "sigma": 0.1, "base": "cosface", "by_rank": True},
        {"scale": 9.0, "class_margins": CLASS_MARGINS},
    ],
    "adacos": [{}, {"fixed": True}],
    "sphereface2": [
        {},
        {"scale": 6.0, "t": 2.0, "positive_share": 0.6, "factor": 3.0},
        {"scale": 6.0, "class_margins": CLASS_MARGINS},
    ],
    "uniface": [
        {"scale": 9.0},
        {"scale": 9.0, "negative_weight": 0.3},
        {"scale": 9.0, "class_margins": CLASS_MARGINS},
    ],
    "proxy_anchor": [{"scale": 9.0}, {"scale": 32.0, "margin": 0.3}],
}
EACH = [(kind, options) for kind, found in CASES.items() for options in found]
IDS = [f"{kind} {' '.join(f'{k}={v}' for k, v in options.items())}" for kind, options in EACH]
each_case = pytest.mark.parametrize(("kind", "options"), EACH, ids=IDS)


def make(kind, options, seed=0, classes=K):
    torch.manual_seed(seed)
    counts = COUNTS if classes == K else torch.full((classes,), 3)
    term = losses.build(kind, embedding=D, classes=classes, class_count_K=counts, **options)
    return term.double()


def batch(seed=1, count=B):
    """Embeddings of lengths 1 to 30, so that every clamp of a length is met."""
    generator = torch.Generator().manual_seed(seed)
    emb = torch.randn(count, D, generator=generator, dtype=torch.float64)
    return emb * torch.linspace(0.4, 12, count)[:, None], torch.randint(
        K, (count,), generator=generator
    )


def options_of(kind, options):
    fields = losses.options_of(LOSSES[kind]).model_fields
    defaults = {name: field.default for name, field in fields.items()}
    if options.get("class_margins"):
        options = options | {"class_margins": dict(ClassMargins(**options["class_margins"]))}
    return defaults | options


def test_the_cases_are_all_kinds_with_class_weights():
    assert set(CASES) == {kind for kind, loss in LOSSES.items() if issubclass(loss, ClassHead)}


@pytest.mark.parametrize("progress", [0.0, 0.2, 1.0])
@each_case
def test_two_batches_are_the_formula(kind, options, progress):
    """The second batch shows what the loss remembers of the first."""
    if kind in MARGIN_KINDS:
        options = options | {"margin_warmup": 0.5}
    term = make(kind, options)
    state = {name: p.tolist() for name, p in term.named_parameters()}
    state["counts"] = COUNTS.tolist()
    state["normal"] = lambda: torch.randn(B, dtype=torch.float64).tolist()
    for step in (1, 2):
        emb, label = batch(step)
        torch.manual_seed(step)
        got = term(emb, label, progress).item()
        torch.manual_seed(step)
        expected = by_loop.loss(
            kind,
            options_of(kind, options),
            state["weight"],
            emb.tolist(),
            label.tolist(),
            state,
            progress,
        )
        assert got == pytest.approx(expected, rel=1e-6)  # margin_K and the buffers are float32


def test_adacos_follows_the_median_angle_where_it_is_below_45_degrees():
    term = make("adacos", {})
    weight, label = term.weight.detach(), torch.arange(B) % K
    noise = torch.randn(B, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    emb = F.normalize(weight[label]) + torch.linspace(0.05, 0.6, B)[:, None] * noise
    state = {name: value.tolist() for name, value in term.state_dict().items()}
    got = term(emb, label).item()
    options = options_of("adacos", {})
    expected = by_loop.loss(
        "adacos", options, state["weight"], emb.tolist(), label.tolist(), state, 1.0
    )
    assert got == pytest.approx(expected, rel=1e-6)
    assert term.scale.item() == pytest.approx(state["scale"], rel=1e-6)
    angle = F.cosine_similarity(emb, weight[label]).acos()
    assert angle.median() < 0.785 and abs(angle.median() - angle.mean()) > 0.02


@each_case
def test_gradients(kind, options):
    """gradcheck where the gradient is the loss's own; what is fixed by design is fixed first."""
    term = make(kind, options).eval()  # no state moves, no margin is drawn
    emb, label = batch()
    if kind == "adaface":
        quality_B = term.quality(emb)
        term.quality = lambda emb_BD: quality_B
    parameters = dict(term.named_parameters())
    assert torch.autograd.gradcheck(
        lambda e, *p: torch.func.functional_call(
            term, dict(zip(parameters, p, strict=True)), (e, label)
        ),
        (emb.requires_grad_(), *parameters.values()),
    )


ADDED = sorted(MARGIN_KINDS - {"sphereface2", "curricularface"})


@pytest.mark.parametrize("kind", ADDED)
def test_detached_has_the_value_of_exact_and_the_pull_of_a_constant_shift(kind):
    options = CASES[kind][-1] | ({"scale": 9.0} if kind == "sphereface" else {})
    options.pop("class_margins", None)
    exact, term = (make(kind, options | {"gradient": g}).eval() for g in ("exact", "detached"))
    emb, label = batch()
    emb.requires_grad_()
    loss = term(emb, label)
    assert loss.item() == pytest.approx(exact(emb, label).item(), rel=1e-12)
    cos = term.cosines(emb)
    own = cos.gather(1, label[:, None])
    phi = term.target(own.squeeze(1), emb, label, 1.0).detach()[:, None]
    logits = term.scale * cos.scatter(1, label[:, None], own + (phi - own.detach()))
    if kind in ("subcenter", "uniface"):
        expected = term.reduce(logits, label, own.squeeze(1))
    else:
        expected = F.cross_entropy(logits, label)
    if kind == "magface":
        expected = expected + term.norm_weight * term.pull(emb.norm(dim=1)).mean()
    torch.testing.assert_close(
        torch.autograd.grad(loss, emb), torch.autograd.grad(expected, emb), rtol=1e-6, atol=1e-9
    )


def hard_cases(term):
    """Collinear, opposite, zero, tiny and huge embeddings for label 0."""
    w = term.weight.detach().float()[0]
    w = w[0] if w.ndim == 2 else w
    noise = torch.randn_like(w)
    return torch.stack(
        [w, 3 * w, 1e4 * w, -w, -7 * w, 0 * w, 1e-20 * w, 1e15 * noise, w + 1e-7 * noise]
    )


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@each_case
def test_finite_at_the_edges(kind, options, dtype):
    for seed in range(6):
        for gradient in ("exact", "detached") if kind in MARGIN_KINDS else (None,):
            chosen = options | ({"gradient": gradient} if gradient else {})
            term = make(kind, chosen, seed).float()
            emb = hard_cases(term).requires_grad_()
            label = torch.zeros(len(emb), dtype=torch.long)
            with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
                loss = term(emb, label)
                logits = term.logits(emb)
            assert loss.dtype == logits.dtype == torch.float32
            loss.backward()
            for tensor in (loss, logits, emb.grad, *(p.grad for p in term.parameters())):
                assert tensor.isfinite().all()
            assert all(buffer.isfinite().all() for buffer in term.buffers())


@each_case
def test_autocast_changes_nothing(kind, options):
    emb, label = batch()
    found = []
    for enabled in (False, True):
        term = make(kind, options).float()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(term(emb.float(), label).item())
    assert found[0] == found[1]


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("count", [1, 4])
@each_case
def test_one_class_or_two_and_a_batch_of_one(kind, options, classes, count):
    term = make(kind, options, classes=classes)
    emb = batch(count=count)[0].requires_grad_()
    for _ in range(2):
        loss = term(emb, torch.arange(count) % classes)
        loss.backward()
        assert loss.isfinite() and emb.grad.isfinite().all()
    assert all(v.isfinite().all() for v in (*term.parameters(), *term.buffers()))


@each_case
def test_prediction_is_free_of_the_margin(kind, options):
    term = make(kind, options)
    emb, _ = batch()
    weight = [[r] if term.weight.ndim == 2 else r for r in term.weight.tolist()]
    cos = [[max(by_loop.cosine(x, w) for w in own) for own in weight] for x in emb.tolist()]
    got = term.logits(emb)
    assert got.shape == (B, K)
    if term.cosine:
        wanted = torch.tensor(cos, dtype=torch.float64).argsort(dim=1)
        assert (got.argsort(dim=1) == wanted).all()


@pytest.mark.parametrize("kind", sorted(MARGIN_KINDS))
def test_labels_out_of_range_are_errors(kind):
    emb, label = batch()
    label[2] = K
    with pytest.raises((IndexError, RuntimeError)):
        make(kind, {})(emb, label)


@pytest.mark.parametrize("classes", [2, 5, 300])
def test_sphereface2_starts_where_both_sides_pull_alike(classes):
    for options in ({}, {"scale": 6.0, "positive_share": 0.9}, {"scale": "auto"}):
        term = losses.build("sphereface2", embedding=D, classes=classes, **options)
        r, alpha, m = term.scale, term.positive_share, term.margin
        z = alpha / ((1 - alpha) * (classes - 1))
        a_y, a_i = (r * (2 * 0.5**term.t - 1 + sign * m) for sign in (-1, 1))
        b = term.offset.item()
        root = math.sqrt((1 - z) ** 2 + 4 * z * math.exp(a_y - a_i))
        if z < 0.5:  # elsewhere this form loses digits
            assert b == pytest.approx(math.log(2 * z) - a_i - math.log(1 - z + root), abs=1e-3)
        pull = alpha / (1 + math.exp(a_y + b))
        push = (1 - alpha) * (classes - 1) / (1 + math.exp(-a_i - b))
        assert pull == pytest.approx(push, rel=1e-3)


def test_unifaces_threshold_starts_at_ln_10_k():
    assert make("uniface", {}).threshold.item() == pytest.approx(math.log(10 * K))


def test_magface_pulls_short_embeddings_too():
    term = make("magface", {"scale": 9.0})
    emb = torch.full((1, D), 0.5, dtype=torch.float64, requires_grad=True)
    term(emb, torch.tensor([0])).backward()
    assert (emb.grad * emb.detach()).sum() < 0  # a step down the gradient makes it longer


def test_elasticface_draws_in_training_alone_and_from_the_seed():
    term = make("elasticface", {"sigma": 0.2})
    emb, label = batch()
    torch.manual_seed(3)
    first, second = term(emb, label).item(), term(emb, label).item()
    torch.manual_seed(3)
    assert term(emb, label).item() == first != second
    term.eval()
    assert term(emb, label).item() == term(emb, label).item()
    plain = make("arcface", {"scale": term.scale})
    assert term(emb, label).item() == pytest.approx(plain(emb, label).item(), rel=1e-12)


def test_a_learned_scale_is_a_parameter_without_weight_decay():
    term = make("normface", {"scale": 9.0, "learn_scale": True})
    scale = dict(term.named_parameters())["scale"]
    assert scale.ndim == 0  # the optimizer decays tensors of two dimensions or more
    term(*batch()).backward()
    assert scale.grad.abs() > 0
    assert "scale" not in dict(make("normface", {"scale": 9.0}).named_parameters())
