"""TalkNet as its authors' program has it: the names and shapes of the weights as a table, and each step from plain functions.

Tests compare the network of the plugin `talknet` with both. Nothing here uses a module of torch. Legend: T pictures, F = 4 T
steps of sound, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Shapes = dict[str, tuple[int, ...]]


def published_shapes() -> Shapes:
    """Shapes of all tensors by their published names."""
    return picture_shapes() | sound_shapes() | attention_shapes()


def batch_norm(name: str, channels: int) -> Shapes:
    each = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**each, f"{name}.num_batches_tracked": ()}


def linear(name: str, given: int, taken: int) -> Shapes:
    return {f"{name}.weight": (given, taken), f"{name}.bias": (given,)}


def picture_shapes() -> Shapes:
    front = "model.visualFrontend"
    shapes: Shapes = {f"{front}.frontend3D.0.weight": (64, 1, 5, 7, 7), **batch_norm(f"{front}.frontend3D.1", 64)}
    for layer, taken, given in ((1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)):
        name = f"{front}.resnet.layer{layer}"
        shapes[f"{name}.conv1a.weight"] = (given, taken, 3, 3)
        shapes[f"{name}.downsample.weight"] = (given, taken, 1, 1)
        for convolution in ("conv2a", "conv1b", "conv2b"):
            shapes[f"{name}.{convolution}.weight"] = (given, given, 3, 3)
        for norm in ("bn1a", "outbna", "bn1b", "outbnb"):
            shapes |= batch_norm(f"{name}.{norm}", given)
    for block in range(5):
        name = f"model.visualTCN.net.{block}.net"
        shapes |= batch_norm(f"{name}.1", 512)
        shapes |= {f"{name}.2.weight": (512, 1, 3), f"{name}.3.weight": (1,), f"{name}.5.weight": (512, 512, 1)}
        shapes |= {f"{name}.4.gamma": (1, 512, 1), f"{name}.4.beta": (1, 512, 1)}
    name = "model.visualConv1D.net"
    shapes |= {f"{name}.0.weight": (256, 512, 5), f"{name}.0.bias": (256,), **batch_norm(f"{name}.1", 256)}
    return shapes | {f"{name}.3.weight": (128, 256, 1), f"{name}.3.bias": (128,)}


def sound_shapes() -> Shapes:
    shapes: Shapes = {"model.audioEncoder.conv1.weight": (16, 1, 7, 7), **batch_norm("model.audioEncoder.bn1", 16)}
    taken = 16
    for layer, blocks, given in ((1, 3, 16), (2, 4, 32), (3, 6, 64), (4, 3, 128)):
        for block in range(blocks):
            name = f"model.audioEncoder.layer{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = (given, taken, 3, 3)
            shapes[f"{name}.conv2.weight"] = (given, given, 3, 3)
            shapes |= batch_norm(f"{name}.bn1", given) | batch_norm(f"{name}.bn2", given)
            shapes |= linear(f"{name}.se.fc.0", given // 8, given) | linear(f"{name}.se.fc.2", given, given // 8)
            if taken != given:
                shapes[f"{name}.downsample.0.weight"] = (given, taken, 1, 1)
                shapes |= batch_norm(f"{name}.downsample.1", given)
            taken = given
    return shapes


def attention_shapes() -> Shapes:
    shapes: Shapes = {}
    for part, width in (("crossA2V", 128), ("crossV2A", 128), ("selfAV", 256)):
        name = f"model.{part}"
        shapes |= {
            f"{name}.self_attn.in_proj_weight": (3 * width, width),
            f"{name}.self_attn.in_proj_bias": (3 * width,),
        }
        shapes |= linear(f"{name}.self_attn.out_proj", width, width)
        shapes |= linear(f"{name}.linear1", 4 * width, width) | linear(f"{name}.linear2", width, 4 * width)
        shapes |= {f"{name}.{norm}.{kind}": (width,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
    return shapes | linear("lossAV.FC", 2, 256) | linear("lossA.FC", 2, 128) | linear("lossV.FC", 2, 128)


class PlainTalkNet:
    """What the authors' program computes, in the same order, from weights by name."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def norm(self, values: Tensor, name: str, eps: float) -> Tensor:
        shape = (1, -1) + (1,) * (values.dim() - 2)
        mean, spread, scale, offset = (
            self.weights[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / (spread + eps) ** 0.5 * scale + offset

    def linear(self, values: Tensor, name: str) -> Tensor:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def pictures(self, pictures: Tensor) -> Tensor:
        """Grey pictures [T, 112, 112] to [128, T]."""
        weights, front = self.weights, "model.visualFrontend"
        values = ((pictures / 255 - 0.4161) / 0.1688)[None, None]
        values = functional.conv3d(values, weights[f"{front}.frontend3D.0.weight"], stride=(1, 2, 2), padding=(2, 3, 3))
        values = self.norm(values, f"{front}.frontend3D.1", 1e-3).clamp(min=0)[0].transpose(0, 1)
        values = functional.max_pool2d(values, 3, 2, 1)
        for number in range(1, 5):
            values = self.layer(values, f"{front}.resnet.layer{number}", 1 if number == 1 else 2)
        assert values.shape[1:] == (512, 4, 4)
        values = values.mean(dim=(2, 3)).T[None]
        for block in range(5):
            values = values + self.over_time(values, f"model.visualTCN.net.{block}.net")
        name = "model.visualConv1D.net"
        values = functional.conv1d(values, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], padding=2)
        values = self.norm(values, f"{name}.1", 1e-5).clamp(min=0)
        return functional.conv1d(values, weights[f"{name}.3.weight"], weights[f"{name}.3.bias"])[0]

    def layer(self, values: Tensor, name: str, stride: int) -> Tensor:
        weight = {place: self.weights[f"{name}.conv{place}.weight"] for place in ("1a", "2a", "1b", "2b")}
        inner = self.norm(functional.conv2d(values, weight["1a"], stride=stride, padding=1), f"{name}.bn1a", 1e-3)
        inner = functional.conv2d(inner.clamp(min=0), weight["2a"], padding=1)
        if stride == 2:
            values = functional.conv2d(values, self.weights[f"{name}.downsample.weight"], stride=2)
        middle = inner + values
        values = self.norm(middle, f"{name}.outbna", 1e-3).clamp(min=0)
        inner = self.norm(functional.conv2d(values, weight["1b"], padding=1), f"{name}.bn1b", 1e-3)
        inner = functional.conv2d(inner.clamp(min=0), weight["2b"], padding=1)
        return self.norm(inner + middle, f"{name}.outbnb", 1e-3).clamp(min=0)

    def over_time(self, values: Tensor, name: str) -> Tensor:
        values = self.norm(values.clamp(min=0), f"{name}.1", 1e-5)
        values = functional.conv1d(values, self.weights[f"{name}.2.weight"], padding=1, groups=512)
        values = torch.where(values > 0, values, self.weights[f"{name}.3.weight"] * values)
        centred = values - values.mean()
        values = centred / ((centred**2).mean() + 1e-8) ** 0.5
        values = values * self.weights[f"{name}.4.gamma"] + self.weights[f"{name}.4.beta"]
        return functional.conv1d(values, self.weights[f"{name}.5.weight"])

    def sound(self, sound: Tensor) -> Tensor:
        """Coefficients [F, 13] to [128, F / 4]."""
        name = "model.audioEncoder"
        values = functional.conv2d(sound.T[None, None], self.weights[f"{name}.conv1.weight"], stride=(2, 1), padding=3)
        values = self.norm(values, f"{name}.bn1", 1e-5).clamp(min=0)
        for layer, blocks in enumerate((3, 4, 6, 3), start=1):
            for block in range(blocks):
                values = self.block(values, f"{name}.layer{layer}.{block}", 2 if layer in (2, 3) and not block else 1)
        return values.mean(dim=2)[0]

    def block(self, values: Tensor, name: str, stride: int) -> Tensor:
        inner = functional.conv2d(values, self.weights[f"{name}.conv1.weight"], stride=stride, padding=1).clamp(min=0)
        inner = functional.conv2d(
            self.norm(inner, f"{name}.bn1", 1e-5), self.weights[f"{name}.conv2.weight"], padding=1
        )
        inner = self.norm(inner, f"{name}.bn2", 1e-5)
        told = self.linear(self.linear(inner.mean(dim=(2, 3)), f"{name}.se.fc.0").clamp(min=0), f"{name}.se.fc.2")
        inner = inner / (1 + torch.exp(-told))[..., None, None]
        if f"{name}.downsample.0.weight" in self.weights:
            values = functional.conv2d(values, self.weights[f"{name}.downsample.0.weight"], stride=stride)
            values = self.norm(values, f"{name}.downsample.1", 1e-5)
        return (inner + values).clamp(min=0)

    def attended(self, source: Tensor, target: Tensor, name: str) -> Tensor:
        """Both [T, D]; the target asks, and the answer is added to the source."""
        width = source.shape[1]
        weight, bias = (self.weights[f"{name}.self_attn.in_proj_{kind}"] for kind in ("weight", "bias"))
        query, key, value = (
            (values @ weight[part * width : (part + 1) * width].T + bias[part * width : (part + 1) * width])
            .view(-1, 8, width // 8)
            .transpose(0, 1)
            for part, values in enumerate((target, source, source))
        )
        shares = torch.softmax(query @ key.transpose(1, 2) / (width // 8) ** 0.5, dim=2)
        answer = self.linear((shares @ value).transpose(0, 1).reshape(-1, width), f"{name}.self_attn.out_proj")
        met = self.layer_norm(source + answer, f"{name}.norm1")
        return self.layer_norm(
            met + self.linear(self.linear(met, f"{name}.linear1").clamp(min=0), f"{name}.linear2"), f"{name}.norm2"
        )

    def layer_norm(self, values: Tensor, name: str) -> Tensor:
        centred = values - values.mean(dim=1, keepdim=True)
        scaled = centred / ((centred**2).mean(dim=1, keepdim=True) + 1e-5) ** 0.5
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def __call__(self, pictures: Tensor, sound: Tensor) -> Tensor:
        """One clip's pictures [T, 112, 112] and coefficients [4 T, 13] to logits [T, 2]."""
        seen, heard = self.pictures(pictures).T, self.sound(sound).T
        both = torch.cat(
            [self.attended(heard, seen, "model.crossA2V"), self.attended(seen, heard, "model.crossV2A")], dim=1
        )
        return self.linear(self.attended(both, both, "model.selfAV"), "lossAV.FC")
