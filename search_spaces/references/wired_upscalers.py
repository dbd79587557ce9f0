"""Published upscalers with splits, joins, attention or several resolutions."""

from __future__ import annotations

from functools import partial

from search_spaces.base import Architecture, BlockSpec
from search_spaces.references.registry import Printed, Reference, add, architecture, at_720p

RGB, LUMA = 3, 1
_FILTERS_ONLY = "The repository prints no sizes."


def xlsr(scale: int) -> Architecture:
    """Three blocks of grouped convolutions beside a thin convolution of the input."""
    blocks = [
        BlockSpec.of("conv", 32),
        BlockSpec.of("conv", 32, 3, groups=4),
        BlockSpec.of("conv", 16),
    ]
    return architecture("xlsr", RGB, scale, blocks)


def bicubic_plus_plus(scale: int) -> Architecture:
    """Three layers of 32 features at half the size, no biases."""
    return architecture("bicubic_plus_plus", RGB, scale, [BlockSpec.of("conv", 32, 2)])


def edge_sr(scale: int, *, choice: str, kernel: int, candidates: int) -> Architecture:
    """One layer of filters on luma."""
    filters = BlockSpec.of("conv", candidates, kernel=kernel)
    return architecture("edge_sr", LUMA, scale, [filters], choice=choice)


def edge_sr_cnn(scale: int, *, first: int, second: int, candidates: int) -> Architecture:
    """Two thin layers before the filters."""
    blocks = [
        BlockSpec.of("conv", first, kernel=5, activation="tanh"),
        BlockSpec.of("conv", second, activation="tanh"),
        BlockSpec.of("conv", candidates),
    ]
    return architecture("edge_sr", LUMA, scale, blocks, choice="self")


def imdn_rtc(scale: int) -> Architecture:
    """Five blocks of 12 features, each distilling 3 at a time."""
    return architecture("imdn_rtc", RGB, scale, [BlockSpec.of("conv", 12, 5, kept=3)])


def plainusr_thin(scale: int, *, features: int) -> Architecture:
    """Three blocks, the middle one on half the features and gated at full size."""
    blocks = [
        BlockSpec.of("conv", features),
        BlockSpec.of("conv", features // 2, gate="full"),
        BlockSpec.of("conv", features),
    ]
    return architecture("plainusr", RGB, scale, blocks)


def plainusr(scale: int, *, widths: tuple[int, ...], squeezed: int) -> Architecture:
    """Blocks on fewer features, then on more again, each with local attention."""
    blocks = [BlockSpec.of("conv", w, gate="pooled", squeezed=squeezed) for w in widths]
    return architecture("plainusr", RGB, scale, blocks)


def rlfn_s(scale: int) -> Architecture:
    """Six blocks of 48 features."""
    return architecture("rlfn", RGB, scale, [BlockSpec.of("conv", 48, 6, squeezed=16)])


def span(scale: int, *, features: int) -> Architecture:
    """Six blocks with attention that has no parameters of its own."""
    return architecture("span", RGB, scale, [BlockSpec.of("conv", features, 6)])


def _register_thin() -> None:
    add(Reference(
        "xlsr", xlsr,
        "Ayazoglu, 'Extremely Lightweight Quantization Robust Real-Time Single-Image Super "
        "Resolution for Mobile Devices', CVPR Workshops 2021",
        (at_720p(3, "21947", "2.22"),),
        note="Colour; the four parallel convolutions of the stem are one of as many features.",
    ))
    add(Reference(
        "bicubic++", bicubic_plus_plus,
        "Bilecen, Ayazoglu, 'Bicubic++: Slim, Slimmer, Slimmest - Designing an Industry-Grade "
        "Super-Resolution Network', CVPR Workshops 2023",
        (Printed(3, "50400", "1.29", (240, 426)),),
        note="Colour; published at x3, where both sides of the input must be even.",
    ))
    michelini = (
        "Navarrete Michelini, Lu, Jiang, 'edge-SR: Super-Resolution For The Masses', WACV 2022"
    )
    forms = {
        "esr_max": (
            "K5C2", partial(edge_sr, choice="max", kernel=5, candidates=2)
        ),
        "esr_tm": (
            "K7C2", partial(edge_sr, choice="template", kernel=7, candidates=2)
        ),
        "esr_tr": (
            "K7C2", partial(edge_sr, choice="attention", kernel=7, candidates=2)
        ),
        "esr_cnn": (
            "C2D3S6", partial(edge_sr_cnn, first=3, second=6, candidates=2)
        ),
    }
    for name, (size, make) in forms.items():
        add(Reference(
            name, make, michelini,
            note=f"Luma; {size}, one of the published configurations. {_FILTERS_ONLY}",
        ))


def _register_attentive() -> None:
    add(Reference(
        "imdn_rtc", imdn_rtc,
        "Hui, Gao, Yang, Wang, 'Lightweight Image Super-Resolution with Information "
        "Multi-distillation Network', ACM MM 2019",
        (at_720p(2, "20190", "4.58"),), "the authors' repository", "Colour.",
    ))
    wang = (
        "Wang, Li, Wang, Liu, 'PlainUSR: Chasing Faster ConvNet for Efficient Super-Resolution', "
        "ACCV 2024"
    )
    thin = {
        ("u", 16): (at_720p(2, "13.6K", "3.11"), at_720p(4, "19.8K", "1.13")),
        ("t", 32): (at_720p(2, "48.7K", "11.2"), at_720p(4, "60.1K", "3.45")),
    }
    for (letter, features), printed in thin.items():
        add(Reference(
            f"plainusr_{letter}", partial(plainusr_thin, features=features), wang, printed,
            note="Colour, re-parameterised.",
        ))
    pooled = {
        ("s", (32, 16, 8, 16, 32), 4): (
            at_720p(2, "57.2K", "12.1"), at_720p(4, "68.6K", "3.68")
        ),
        ("m", (48, 32, 16, 32, 48), 8): (
            at_720p(2, "149K", "30.7"), at_720p(4, "165K", "8.62")
        ),
    }
    for (letter, widths, squeezed), printed in pooled.items():
        add(Reference(
            f"plainusr_{letter}", partial(plainusr, widths=widths, squeezed=squeezed), wang,
            printed, note="Colour, re-parameterised, with local importance attention.",
        ))
    add(Reference(
        "rlfn_s", rlfn_s,
        "Kong et al., 'Residual Local Feature Network for Efficient Super-Resolution', "
        "CVPR Workshops 2022",
        (at_720p(2, "455K", "98.8"), at_720p(4, "470K", "25.6")),
        note="Colour; that the source works on 0 to 255 is folded into the weights.",
    ))
    wan = (
        "Wan et al., 'Swift Parameter-free Attention Network for Efficient Super-Resolution', "
        "CVPR Workshops 2024"
    )
    folded = (
        "Colour, re-parameterised; that the source takes a mean off is folded into the first "
        "layer, which differs at the border."
    )
    add(Reference(
        "span", partial(span, features=48), wan,
        (at_720p(2, "", "94.4"), at_720p(4, "", "24.5")),
        note=f"{folded} The parameters in print are those of its training.",
    ))
    add(Reference(
        "span_c28", partial(span, features=28), wan,
        (Printed(4, "0.151M", "9.83", (256, 256)),),
        "Ren et al., 'The Ninth NTIRE 2024 Efficient Super-Resolution Challenge Report', CVPR "
        "Workshops 2024, which its team won", folded,
    ))


_register_thin()
_register_attentive()
