"""The few statistics that the tables need."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def mean_and_error(values: npt.ArrayLike) -> tuple[float, float | None]:
    """The mean and its standard error; no error for a single value or infinite ones."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        return float(array.mean()), None
    if array.size < 2:
        return float(array.mean()), None
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(array.size))


def clustered(differences: npt.ArrayLike, clusters: npt.ArrayLike) -> tuple[float, float | None]:
    """The mean over clusters of each cluster's mean, and its standard error over clusters.

    A picture that appears in several rows is one cluster: its differences are not independent.
    """
    array, labels = np.asarray(differences, dtype=np.float64), np.asarray(clusters)
    return mean_and_error([array[labels == label].mean() for label in np.unique(labels)])


def z_score(mean: float, error: float | None) -> float | None:
    """How many standard errors from zero; None without an error, or with one of zero."""
    return mean / error if error else None


def entropy(values: Sequence[Hashable]) -> float:
    """Of the empirical distribution, in bits."""
    total = len(values)
    shares = [count / total for count in Counter(values).values()]
    return max(0.0, -sum(share * math.log2(share) for share in shares))


def mutual_information(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """What one says about the other, in bits, by the empirical distribution.

    Small samples make it too large: see `shuffled_information`.
    """
    pairs = list(zip(a, b, strict=True))
    return max(0.0, entropy(a) + entropy(b) - entropy(pairs))


def shuffled_information(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    groups: npt.ArrayLike,
    *,
    shuffles: int = 100,
    seed: int = 0,
) -> Doubles:
    """`mutual_information` when `b` is shuffled within groups: what chance alone would show.

    What `a` says about the group stays as it is.

    Returns:
        `(shuffles,)`, bits.
    """
    random = np.random.default_rng(seed)
    labels = np.asarray(groups)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found = np.empty(shuffles)
    for shuffle in range(shuffles):
        order = np.arange(len(b))
        for indices in members:
            order[indices] = random.permutation(indices)
        found[shuffle] = mutual_information(a, [b[i] for i in order.tolist()])
    return found


def ranks(values: npt.ArrayLike) -> Doubles:
    """Each value's rank from 0 on; equal values share their mean rank."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return (last - (counts - 1) / 2)[inverse]


def rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Spearman's, -1 to 1; None where one of them does not vary, or for fewer than three."""
    x, y = ranks(a), ranks(b)
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
