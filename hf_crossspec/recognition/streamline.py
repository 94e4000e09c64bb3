"""A FaceNetwork rewritten for inference: the same function by exact algebra, in fewer and cheaper steps.

Every activation lies channels last, (B, H, W, C), as LayerNorms and linear layers want it. Pixel scaling and layer
scales are folded into neighbouring weights, convolutions whose stride is their size are linear layers on patches, the
positional encoding is a constant, and attention computes all heads in one product.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.edgenext import ConvBlock
from torch import Tensor, nn
from torch.nn import functional as F

from hf_crossspec.edgeface.modeling_edgeface import LowRankLinear
from hf_crossspec.recognition.network import FaceNetwork


def streamline(network: FaceNetwork) -> StreamlinedNetwork:
    """Rewrite a network for inference; the original is left as it is, and both embed alike up to rounding.

    Args:
        network: Around an `EdgeFaceModel`.
    """
    return StreamlinedNetwork(network).to(network.scale.device).eval().requires_grad_(False)


class StreamlinedNetwork(nn.Module):
    """What `streamline` returns: uint8 (B, H, W, 3) -> embeddings (B, D) of length one, float32."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        backbone: Any = network.backbone  # an EdgeFaceModel
        net, side = backbone.net, backbone.config.image_size
        patches, norm = net.stem
        self.stem = PatchLinear(with_scaled_input(patches, network.scale, network.shift))
        side //= self.stem.size
        layers: list[Any] = [layer_norm(norm)]
        for stage in net.stages:
            if isinstance(stage.downsample, nn.Sequential):
                norm, convolution = stage.downsample
                layers += [layer_norm(norm), PatchLinear(convolution)]
                side //= layers[-1].size
            for block in stage.blocks:
                layers.append(Convolution(block) if isinstance(block, ConvBlock) else Attention(block, side))
        self.layers = nn.Sequential(*layers)
        self.head_norm = layer_norm(net.head.norm)
        self.head = linear_chain(net.head.fc)
        self.projection = network.projection

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.layers(self.stem(pixels))  # (B, H/32, W/32, C)
        embeddings = self.head(self.head_norm(x.mean(dim=(1, 2))))  # (B, D)
        if self.projection is not None:
            embeddings = self.projection(unit_length(embeddings, dim=1))
        return unit_length(embeddings, dim=1)


class PatchLinear(nn.Module):
    """A convolution whose stride is its size: one linear layer on the values of a patch."""

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        self.size = convolution.stride[0]
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)  # (O, k k C)
        self.linear = linear_of(weight, convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H / k, W / k, O); rows and columns left over are dropped, as by the convolution."""
        size, channels = self.size, x.shape[-1]
        high, wide = x.shape[1] // size, x.shape[2] // size
        x = x[:, : high * size, : wide * size].reshape(-1, high, size, wide, size * channels)
        x = x.transpose(2, 3).reshape(-1, high, wide, size * size * channels)
        return self.linear(x.float())


class Mlp(nn.Module):
    """LayerNorm, linear, GELU, linear and layer scale of a block."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm = layer_norm(block.norm)
        self.expand = linear_chain(block.mlp.fc1)
        self.contract = linear_chain(block.mlp.fc2, block.gamma)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(F.gelu(self.expand(self.norm(x))))


class Convolution(nn.Module):
    """EdgeNeXt's convolution block."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.depthwise, self.mlp = block.conv_dw, Mlp(block)

    def forward(self, x: Tensor) -> Tensor:
        convolved = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(convolved)


class Attention(nn.Module):
    """EdgeNeXt's split depth-wise transpose attention block.

    Args:
        side: Height and width of its feature maps, for which the positional encoding is computed.
    """

    encoding: Tensor | None

    def __init__(self, block: Any, side: int) -> None:
        super().__init__()
        self.convs = block.convs
        encoding = None
        if block.pos_embd is not None:
            encoding = block.pos_embd((1, side, side)).flatten(2).transpose(1, 2).detach()  # (1, N, C)
        self.register_buffer("encoding", encoding)
        self.norm = layer_norm(block.norm_xca)
        self.attention = ChannelAttention(block.xca, block.gamma_xca)
        self.mlp = Mlp(block)

    def forward(self, x: Tensor) -> Tensor:
        _, high, wide, channels = x.shape
        tokens = self.cascade(x).reshape(-1, high * wide, channels)  # (B, N, C)
        if self.encoding is not None:
            tokens = tokens + self.encoding
        tokens = tokens + self.attention(self.norm(tokens))
        return x + self.mlp(tokens.reshape(-1, high, wide, channels))

    def cascade(self, x: Tensor) -> Tensor:
        """Each group of channels but the last is convolved after the group before it was added."""
        groups = x.permute(0, 3, 1, 2).chunk(len(self.convs) + 1, dim=1)
        convolved = [self.convs[0](groups[0])]
        for conv, group in zip(self.convs[1:], groups[1:], strict=False):
            convolved.append(conv(convolved[-1] + group))
        return torch.cat([*convolved, groups[-1]], dim=1).permute(0, 2, 3, 1)


class ChannelAttention(nn.Module):
    """Cross-covariance attention of all heads in one product; channels of other heads are masked out.

    That takes `heads` times the products' arithmetic, which is little, and none of the heads' rearranging.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    mask: Tensor
    temperature: Tensor

    def __init__(self, attention: Any, gamma: Tensor) -> None:
        super().__init__()
        *before, last = list[Any](linear_chain(attention.qkv))
        self.before = nn.Sequential(*before)  # the thin factor of a low-rank layer, or nothing
        parts = zip(last.weight.chunk(3), last.bias.chunk(3), strict=True)
        self.query, self.key, self.value = (linear_of(weight, bias) for weight, bias in parts)
        channels = last.out_features // 3
        head = torch.arange(channels) // (channels // attention.num_heads)
        mask = torch.zeros(channels, channels).masked_fill(head[:, None] != head[None, :], -torch.inf)
        self.register_buffer("mask", mask)
        self.register_buffer("temperature", attention.temperature.flatten()[head])  # (C,)
        self.project = linear_chain(attention.proj, gamma)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.before(tokens)
        query = unit_length(self.query(tokens), dim=1)  # (B, N, C)
        key = unit_length(self.key(tokens), dim=1)
        scores = (query * self.temperature).transpose(1, 2) @ key + self.mask  # (B, C, C)
        mixed = self.value(tokens) @ scores.softmax(dim=-1).transpose(1, 2)  # (B, N, C)
        return self.project(mixed)


def unit_length(x: Tensor, dim: int) -> Tensor:
    """`F.normalize` without its expansion of the norm, which an exported graph would compute."""
    return x / x.norm(dim=dim, keepdim=True).clamp_min(1e-12)


def with_scaled_input(convolution: Any, scale: Tensor, shift: Tensor) -> Any:
    """The unpadded convolution of `x * scale + shift` as a convolution of `x`; scale and shift are (C,)."""
    scaled = copy.deepcopy(convolution)
    weight = convolution.weight.double()  # (O, C, k, k)
    scaled.weight.data = (weight * scale[:, None, None].double()).float()
    scaled.bias.data = (convolution.bias.double() + (weight.sum(dim=(2, 3)) @ shift.double())).float()
    return scaled


def layer_norm(norm: Any) -> nn.LayerNorm:
    """The same LayerNorm over the last axis, also where timm's works on the second of (B, C, H, W)."""
    plain = nn.LayerNorm(norm.normalized_shape, norm.eps)
    plain.load_state_dict(norm.state_dict())
    return plain


def linear_chain(layer: Any, gamma: Tensor | None = None) -> nn.Sequential:
    """`gamma * layer(x)` as plain linear layers; the two of a low-rank layer are merged where one is not dearer."""
    parts = [layer.linear1, layer.linear2] if isinstance(layer, LowRankLinear) else [layer]
    *before, weight = (part.weight.double() for part in parts)
    bias = parts[-1].bias.double()
    if before and weight.shape[0] * before[0].shape[1] <= weight.numel() + before[0].numel():
        before, weight = [], weight @ before[0]
    if gamma is not None:
        weight, bias = weight * gamma.double()[:, None], bias * gamma.double()
    return nn.Sequential(*(linear_of(thin) for thin in before), linear_of(weight, bias))


def linear_of(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer with these parameters, in float32."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight.detach().float().contiguous()
    if bias is not None:
        linear.bias.data = bias.detach().float().clone()
    return linear
