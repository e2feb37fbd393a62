"""Running statistics of batch normalisation: those of one process, for any number of processes."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_dist_info
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """What one process would count, from the shares that several processes count.

    With a momentum m, one process moves its statistics to ``(1 - m) * old + m * new`` at every micro-batch.
    Of P processes, each sees every P-th micro-batch. It gets the momentum ``M = 1 - (1 - m)^P``, which
    forgets as much as P micro-batches do. The statistics of one process are then the mean of all, where
    process p has the weight ``m * (1 - m)^(P - 1 - p) / M``: the last one saw the newest images. This is
    exact, but for rounding, where a layer runs once in a micro-batch. Where several levels share it, weights
    within a step differ.

    Args:
        model: its layers get the momentum of their share.
    """

    def __init__(self, model: nn.Module):
        self.rank, self.processes = get_dist_info()
        self.weights: dict[_BatchNorm, float] = {}
        for layer in model.modules() if self.processes > 1 else ():
            if isinstance(layer, _BatchNorm) and layer.track_running_stats and layer.momentum:
                kept = 1 - layer.momentum
                newest = layer.momentum * kept ** (self.processes - 1 - self.rank)
                layer.momentum = 1 - kept**self.processes
                self.weights[layer] = newest / layer.momentum

    def share(self, passes: int) -> None:
        """Let all processes have the statistics of one, after a step of so many micro-batches in each.

        Layers in eval mode count nothing, and stay as they are.
        """
        counting = {layer: weight for layer, weight in self.weights.items() if layer.training}
        if not counting:
            return
        own = [weight * torch.cat([x.running_mean, x.running_var]) for x, weight in counting.items()]
        together = torch.cat(own)
        all_reduce(together)
        for layer, shared in zip(counting, together.split([len(part) for part in own]), strict=True):
            mean, variance = shared.chunk(2)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
            layer.num_batches_tracked += passes * (self.processes - 1)
