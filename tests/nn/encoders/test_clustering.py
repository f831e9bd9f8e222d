"""The clustering layer against its definition, written as loops over prefixes, clusters and events, in each mode."""

import math
from dataclasses import dataclass
from itertools import product

import pytest
import torch
from torch import Tensor

from segue.data.batches.windows import Window
from segue.nn.encoders.attention import GatedAttention
from segue.nn.encoders.clustering import Assignment, ClusterAttention, ClusteringEncoder

WIDTH, CLUSTERS = 3, 4
SESSIONS = torch.tensor([[0, 0, 5, 2], [1, 4, 1, 3], [0, 0, 0, 6]])
MODES = [
    pytest.param(*mode, id="-".join(mode))
    for mode in product(
        ("annealed", "straight-through"),
        ("pooled", "trained"),
        ("product", "sum"),
        ("shared", "own"),
        ("hidden", "embedding", "linear"),
    )
    if mode[1:3] != ("trained", "sum")  # refused by the model: the assignment would have no gradient
]


def encoder(assignment: str, vectors: str, combination: str, importance: str, gate: str) -> ClusteringEncoder:
    torch.manual_seed(1)
    clusters = ClusterAttention(
        assignment=Assignment(
            hidden_size=WIDTH,
            clusters=CLUSTERS,
            straight_through=assignment == "straight-through",
            final_temperature=0.5,
            anneal=1.0,
        ),
        hidden_size=WIDTH,
        clusters=CLUSTERS,
        trained=vectors == "trained",
        combination=combination,
        own_importance=importance == "own",
    )
    attention = GatedAttention(hidden_size=WIDTH, gate_input=gate)
    network = ClusteringEncoder(
        n_items=6,
        embedding_size=WIDTH,
        max_length=4,
        attention=attention,
        clusters=clusters,
        recency=True,
        dropout=0.0,
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-1.5, 1.5)
        network.items[0] = 0.0
    return network


def softmax(logits: list[Tensor]) -> list[Tensor]:
    exponentials = [logit.exp() for logit in logits]
    return [one / sum(exponentials) for one in exponentials]


def assigned(network: ClusteringEncoder, gated: Tensor, temperature: float) -> list[Tensor]:
    """The memberships of one event; with the gradient of the softmax where they are one-hot."""
    assignment = network.clusters.assignment
    logits = [row @ gated for row in assignment.logits.weight]
    if not assignment.straight_through:
        return softmax([logit / temperature for logit in logits])
    best = max(range(CLUSTERS), key=lambda cluster: logits[cluster].item())
    return [float(k == best) + (share - share.detach()) for k, share in enumerate(softmax(logits))]


@dataclass
class Parts:
    """The state after one session, and what it is made of: by event and, of clusters that are not empty, by cluster."""

    state: Tensor
    gates: list[Tensor]
    attention: list[Tensor]
    members: list[list[Tensor]]
    shares: dict[int, Tensor]
    clusters: dict[int, Tensor]
    events: list[Tensor]


def by_definition(network: ClusteringEncoder, session: list[int], temperature: float) -> Parts:
    """One session, by the equations of the design."""
    attention, clusters = network.attention, network.clusters
    w = attention.importance
    of_events = w if clusters.importance is None else clusters.importance
    e = [network.items[item] for item in session]
    u = [torch.tanh(attention.hidden.weight @ one + attention.hidden.bias) for one in e]
    if attention.gate_input == "linear":
        g = [torch.sigmoid(attention.gate.weight @ one + attention.gate.bias) for one in e]
    else:
        g = [torch.sigmoid(one @ w) for one in (u if attention.gate_input == "hidden" else e)]
    h = [g[t] * u[t] for t in range(len(e))]
    scored = h if attention.gate_input == "linear" else u
    near = [0.0 if network.recency is None else network.recency[len(e) - 1 - t] for t in range(len(e))]
    alpha = softmax([scored[t] @ w + near[t] for t in range(len(e))])
    z = [assigned(network, one, temperature) for one in h]
    b = softmax([e[t] @ of_events + near[t] for t in range(len(e))])
    vectors, attended, mass = {}, {}, {}
    for k in range(CLUSTERS):
        share = sum(alpha[t] * z[t][k] for t in range(len(e)))
        if share > 1e-6:
            mass[k] = share
            pooled = sum(alpha[t] * z[t][k] * h[t] for t in range(len(e))) / share
            vectors[k] = pooled if clusters.vectors is None else clusters.vectors[k]
            attended[k] = sum(b[t] * z[t][k] for t in range(len(e)))
    a = dict(zip(vectors, softmax([vector @ w for vector in vectors.values()]), strict=True))
    if clusters.combination == "product":
        total = sum(a[k] * attended[k] for k in a)
        a = {k: a[k] * attended[k] / total for k in a}
    state = sum(a[k] * vectors[k] for k in a)
    if clusters.combination == "sum":
        state = state + sum(b[t] * e[t] for t in range(len(e)))
    return Parts(state, g, alpha, z, mass, a, b)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("assignment", "vectors", "combination", "importance", "gate"), MODES)
def test_forward_and_backward_equal_the_definition(
    assignment: str, vectors: str, combination: str, importance: str, gate: str
) -> None:
    network = encoder(assignment, vectors, combination, importance, gate)
    network.anneal(0.5)
    temperature = math.sqrt(0.5)
    states = network.states(Window(SESSIONS))
    real = SESSIONS > 0
    expected = [
        by_definition(network, [item for item in row[: end + 1].tolist() if item], temperature).state
        for row in SESSIONS
        for end in range(SESSIONS.shape[1])
        if row[end] > 0
    ]
    close(states[real], torch.stack(expected))
    gradient = torch.randn_like(states[real])
    parameters = [parameter for name, parameter in network.named_parameters() if name != "biases"]
    ours = torch.autograd.grad(states[real], parameters, gradient, retain_graph=True)
    theirs = torch.autograd.grad(torch.stack(expected), parameters, gradient)
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


@pytest.mark.parametrize(("assignment", "vectors", "combination", "importance", "gate"), MODES[::5])
def test_what_a_state_is_made_of_equals_the_definition(
    assignment: str, vectors: str, combination: str, importance: str, gate: str
) -> None:
    network = encoder(assignment, vectors, combination, importance, gate).eval()
    for row in SESSIONS:
        session = [item for item in row.tolist() if item]
        parts = by_definition(network, session, 0.5)
        gated, weights, final = network.explain(Window(row[None]))
        real = slice(len(row) - len(session), None)
        close(gated.gates[0, real], torch.stack(parts.gates).view(len(session), -1))
        close(weights[0, -1, real], torch.stack(parts.attention))
        close(final.events[0, -1, real], torch.stack(parts.events))
        close(final.members[0, real], torch.stack([torch.stack(one) for one in parts.members]))
        kept = list(parts.clusters)
        close(final.clusters[0, -1, kept], torch.stack(list(parts.clusters.values())))
        close(final.shares[0, -1, kept], torch.stack(list(parts.shares.values())))
        assert final.clusters[0, -1].sum().item() == pytest.approx(1)


def test_two_events_by_hand() -> None:
    """w = 0 makes all attention uniform and every gate a half: a cluster of two events counts twice as one of one."""
    network = encoder("straight-through", "pooled", "product", "shared", "hidden")
    with torch.no_grad():
        network.attention.importance.zero_()
        network.recency.zero_()
        network.attention.hidden.weight.copy_(torch.eye(3))
        network.attention.hidden.bias.zero_()
        network.clusters.assignment.logits.weight.copy_(torch.eye(4, 3))
        network.items[1:4] = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    state = network.last(Window(torch.tensor([[0, 1, 2, 3]])))[0]
    first = (math.tanh(1) + math.tanh(2)) / 4
    close(state, torch.tensor([2 / 3 * first, 1 / 3 * math.tanh(1) / 2, 0.0], dtype=torch.float64))


def test_an_empty_cluster_takes_no_part() -> None:
    network = encoder("straight-through", "trained", "product", "own", "hidden")
    filled = network.members()[SESSIONS[1]].sum(0) > 0
    assert filled.any()
    assert not filled.all()
    before = network.last(Window(SESSIONS[1:2]))
    with torch.no_grad():
        network.clusters.vectors[~filled] += 7.0
    assert torch.equal(network.last(Window(SESSIONS[1:2])), before)


def test_without_clusters_the_state_is_that_of_a_single_one() -> None:
    network = encoder("annealed", "pooled", "product", "shared", "hidden")
    assignment = network.clusters.assignment
    assignment.logits = torch.nn.Linear(WIDTH, 1, bias=False, dtype=torch.float64)
    one = network.states(Window(SESSIONS))
    network.clusters = None
    close(network.states(Window(SESSIONS)), one)


def test_the_temperature_falls_in_training_and_is_final_outside_of_it() -> None:
    assignment = Assignment(hidden_size=2, clusters=2, straight_through=False, final_temperature=0.01, anneal=0.5)
    assignment.logits.weight.data = torch.eye(2)
    values = torch.tensor([1.0, 0.0])

    def share(progress: float) -> float:
        assignment.anneal(progress)
        return assignment(values)[0].item()

    for progress, temperature in ((0.0, 1.0), (0.25, 0.1), (0.5, 0.01), (0.9, 0.01)):
        assert share(progress) == pytest.approx(1 / (1 + math.exp(-1 / temperature)))
    assignment.anneal(0.0)
    assert assignment.eval()(values)[0].item() == pytest.approx(1.0)
