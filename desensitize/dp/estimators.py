"""diffprivlib's forest and k-means, with holes mended that would tell of single rows whatever epsilon was asked for.

Imported when such a model is fitted, since it imports diffprivlib.
"""

from __future__ import annotations

from typing import Any

from diffprivlib import models
from diffprivlib.mechanisms import GeometricFolded, LaplaceBoundedDomain


class RandomForestClassifier(models.RandomForestClassifier):  # type: ignore[misc]
    """A forest whose leaves' noise comes from the operating system.

    diffprivlib gives each tree a seed of 31 bits, draws the noise from it and leaves it in the fitted tree: whoever has
    the model takes the noise off. Without a seed its mechanisms use the system's random source; what numpy's own state
    still decides (features and thresholds) is drawn without the data.
    """

    def _make_estimator(self, append: bool = True, random_state: Any = None) -> Any:
        return super()._make_estimator(append=append, random_state=None)


class KMeans(models.KMeans):  # type: ignore[misc]
    """k-means that moves empty clusters, too.

    diffprivlib leaves the centre of a cluster without rows exactly where it was: that a cluster has one row or none
    would show without noise.
    """

    def _update_centers(
        self, X: Any, centers: Any, labels: Any, dims: int, total_iters: int, random_state: Any  # noqa: N803 - inherited
    ) -> Any:  # fmt: skip
        epsilon_0, epsilon_i = self._split_epsilon(dims, total_iters)
        counting = GeometricFolded(
            epsilon=epsilon_0, sensitivity=1, lower=0.5, upper=float("inf"), random_state=random_state
        )
        lows, highs = self.bounds
        for cluster in range(self.n_clusters):
            members = X[labels == cluster]
            count = counting.randomise(len(members))
            sums = members.sum(axis=0)
            for dim, (low, high) in enumerate(zip(lows, highs, strict=True)):
                adding = LaplaceBoundedDomain(
                    epsilon=epsilon_i, sensitivity=high - low, lower=count * low, upper=count * high,
                    random_state=random_state,
                )  # fmt: skip
                centers[cluster, dim] = adding.randomise(float(sums[dim])) / count
        return centers
