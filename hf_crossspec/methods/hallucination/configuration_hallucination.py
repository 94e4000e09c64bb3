"""Configuration of the cross-spectral hallucinator: the sizes of three networks, one per channel of YCbCr."""

from typing import Any

from transformers import PretrainedConfig

CHANNELS = ("y", "cb", "cr")  # the order of every list below

# `paper` is Table 1 of Lezama, Qiu and Sapiro (2017); `small` keeps its form and hallucinates on a CPU.
VARIANTS: dict[str, dict[str, list[int]]] = {
    "paper": {
        "layers": [11, 7, 8],
        "outer_widths": [148, 66, 148],
        "inner_widths": [36, 32, 48],
        "kernel_sizes": [11, 3, 5],
    },
    "small": {
        "layers": [6, 5, 6],
        "outer_widths": [32, 16, 16],
        "inner_widths": [16, 16, 16],
        "kernel_sizes": [5, 3, 3],
    },
}


class HallucinatorConfig(PretrainedConfig):
    """Configuration of `CrossSpectralHallucinator`; the defaults are the paper's. Lists are in the order Y, Cb, Cr.

    Args:
        layers: Convolutions of each network, at least 4.
        outer_widths: Filters of the first and of the last but one convolution; the last one emits the channel.
        inner_widths: Filters of the convolutions between.
        kernel_sizes: Side of every kernel of a network, odd, so that zero padding keeps the picture's size.
        alpha: How much of the picture's own luminance is blended into the hallucinated one, in [0, 1].
        sigma: Standard deviation in pixels of the Gaussian that is applied twice to what is blended.
        input_mean, input_std: Mean and standard deviation, on the scale [-1, 1], to which every input picture is
            brought first, as the training pictures were; `None` takes pictures as they are.
        weights_license, weights_source: Carried along with the weights.

    Raises:
        ValueError: a field has the wrong shape or range.

    Example:
        >>> HallucinatorConfig.for_variant("small").kernel_sizes
        [5, 3, 3]
    """

    model_type = "cross-spectral-hallucinator"

    def __init__(
        self,
        layers: tuple[int, ...] | list[int] = (11, 7, 8),
        outer_widths: tuple[int, ...] | list[int] = (148, 66, 148),
        inner_widths: tuple[int, ...] | list[int] = (36, 32, 48),
        kernel_sizes: tuple[int, ...] | list[int] = (11, 3, 5),
        alpha: float = 0.6,
        sigma: float = 1.0,
        input_mean: float | None = None,
        input_std: float | None = None,
        weights_license: str | None = None,
        weights_source: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.layers = [int(number) for number in layers]
        self.outer_widths = [int(width) for width in outer_widths]
        self.inner_widths = [int(width) for width in inner_widths]
        self.kernel_sizes = [int(size) for size in kernel_sizes]
        self.alpha = alpha
        self.sigma = sigma
        self.input_mean = input_mean
        self.input_std = input_std
        self.weights_license = weights_license
        self.weights_source = weights_source
        self._check()
        super().__init__(**kwargs)

    @classmethod
    def for_variant(cls, name: str, **overrides: Any) -> "HallucinatorConfig":
        """The configuration of a known size: `paper` or `small`."""
        if name not in VARIANTS:
            raise ValueError(f"unknown hallucinator {name!r}: choose one of {', '.join(VARIANTS)}")
        return cls(**{**VARIANTS[name], **overrides})

    def _check(self) -> None:
        for name in ("layers", "outer_widths", "inner_widths", "kernel_sizes"):
            values = getattr(self, name)
            if len(values) != len(CHANNELS) or min(values) < 1:
                raise ValueError(f"{name} must be three positive whole numbers, for Y, Cb and Cr, not {values}")
        if min(self.layers) < 4 or min(self.outer_widths + self.inner_widths) < 2:
            raise ValueError("each network needs at least 4 layers, and widths of at least 2")
        if not all(size % 2 for size in self.kernel_sizes):
            raise ValueError(f"kernel_sizes must be odd, not {self.kernel_sizes}")
        if not 0 <= self.alpha <= 1 or self.sigma <= 0:
            raise ValueError("alpha must lie in [0, 1] and sigma must be positive")
        if (self.input_mean is None) != (self.input_std is None):
            raise ValueError("input_mean and input_std belong together: give both or neither")
