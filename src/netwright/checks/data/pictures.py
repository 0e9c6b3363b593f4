"""Pictures that show nothing, or nothing that a person could recognize."""

from collections.abc import Iterator

import numpy as np

from netwright.checks.data.pixels import LEAST_SIDE, SMOOTHEST, Pictures, measured
from netwright.checks.data.unlike import Floats, Mask, Odd, depths, told
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.finding import Finding, Measure

ONE_COLOUR = 3  # levels of 255 between the least and the greatest: what JPEG makes of a single color
CUT = 0.1  # share of the height that is exactly one middle grey: an incomplete download that was repaired
DARK = 40  # level below which all but TAIL of the pixels are: 1.7 % of the light of white
BRIGHT = 215  # level above which all but TAIL are
FAINT = 25  # levels between the darkest and the brightest pixels, a tenth of the scale
USUAL = 3.0  # times less than the middle picture has
BLURRED = 0.16  # detail; blur of 1.5 pixels leaves 0.09 (0.15 at most in 10,000 photos), photos have 0.4
EMPTIED_BY = 6.0  # of sharpness alone: blur can leave nothing but what JPEG adds; 4.7 at most in 2,000 photos
BLURRED_BY = 4.0  # standard deviations of two logarithms, on average, below the middle picture
SPREAD = 0.05  # lowest standard deviation of a logarithm: pictures of one machine may all be alike
NOISY = 30.0  # levels: visible at any size; finely patterned knits reach 29, the most of 70,000 garments
VISIBLE = 8.0  # levels: visible grain
ROUGH_BY = 6.0  # standard deviations of the logarithm of detail above the middle picture; one of 70,000 garments is
NOISY_BY = 4.0  # times the noise of the middle picture
MIDDLE_NOISE = 2.0  # levels: the least noise that data are assumed to have

ADVICE = "Look at them, then drop them or take them again."


def blank(evidence: DataEvidence) -> Iterator[Finding]:
    """blank images

    Pictures of one color, and pictures whose lower part is one middle grey because the file is incomplete.

    Why it matters: nothing can be learned from a blank picture, but the network trusts its label. It learns that this
    color means this label, and a test part with such pictures measures luck.

    How it is decided: in every channel the greatest level is at most 3 of 255 above the least, which is what JPEG makes
    of one color; or at least the lowest tenth of the picture is exactly the level 128 or one next to it, which JPEG
    decoders use for missing data. Both limits are absolute: healthy data have no such pictures. If more than a fifth of
    the pictures are blank, the data are simply like that, and it is only a note. Fewer than 10 pictures that are less
    than 0.1 % of all are a note.
    """
    for images in evidence.once(measured):
        is_blank = images.span <= ONE_COLOUR
        is_cut = (images.cut >= CUT) & ~is_blank
        span = Measure("levels between least and greatest", _worst(images.span, is_blank), threshold=ONE_COLOUR)
        height = Measure("share of the height", _worst(-images.cut, is_cut), threshold=CUT)
        scene, ground = "an empty scene may be a valid answer", "the background of the pictures may be this grey"
        yield from _told(
            evidence,
            images,
            Odd("blank images", is_blank, -images.span, "show one color only", (span,), 0.99, scene),
            Odd("half blank images", is_cut, images.cut, "are grey below some line", (height,), 0.9, ground),
        )


def dark(evidence: DataEvidence) -> Iterator[Finding]:
    """dark, overexposed and low-contrast images

    Pictures in which a person could not recognize anything: nearly all black, nearly all white, or nearly all of one
    level.

    Why it matters: after scaling, the rest of the subject is lost in rounding and the label cannot be learned. If one
    class was photographed in worse light than the others, the network learns the light.

    How it is decided: without the darkest and the brightest hundredth of the pixels, dark means no level above 40 of
    255 (1.7 % of the light of white), overexposed no level below 215, low contrast no more than 25 levels between the
    ends. Each must also be less than a third of the middle picture's value, so that naturally dark data (stars, X-rays)
    are not reported. More than a fifth of the pictures are a note: the data are simply like that. Fewer than 10
    pictures that are less than 0.1 % of all are a note.
    """
    for images in evidence.once(measured):
        room, contrast = 255 - images.low, images.high - images.low
        seen = images.span > ONE_COLOUR
        is_dark = seen & (images.high <= DARK) & _is_less(images.high)
        is_bright = seen & (images.low >= BRIGHT) & _is_less(room)
        is_faint = seen & (contrast <= FAINT) & _is_less(contrast) & ~is_dark & ~is_bright
        for name, mask, score, text, unit, limit in (
            ("dark images", is_dark, images.high, "are nearly black", "brightest level", DARK),
            ("overexposed images", is_bright, -images.low, "are nearly white", "darkest level", BRIGHT),
            ("low-contrast images", is_faint, contrast, "are nearly one grey", "levels between the ends", FAINT),
        ):
            measure = Measure(f"{unit} of the worst picture", _worst(score, mask), threshold=limit)
            doubt = "the label may describe something that is not lit"
            yield from _told(evidence, images, Odd(name, mask, -score, text, (measure,), 0.9, doubt))


def blurred(evidence: DataEvidence) -> Iterator[Finding]:
    """blurred images

    Pictures without the fine detail of the other pictures: out of focus, shaken, or enlarged from a smaller one.

    Why it matters: the network learns from edges and textures. A blurred picture has none, and if one class or one
    camera is blurred more often, sharpness becomes the answer.

    How it is decided: detail is the variance of the Laplacian (Pech-Pacheco et al. 2000) at full size, divided by that
    at half the size. Contrast cancels out, and so does most of the subject, because the spectra of pictures look alike
    at all scales (Field 1987); blur removes only the finest scale. Perfectly smooth pictures have 0.06, photos of 32 x
    32 have 0.4 +- 0.1. A picture is blurred if it has at most 0.16 (Gaussian blur of 1.5 pixels leaves that or less),
    and if the logarithms of detail and of sharpness (the variance of the Laplacian divided by that of the levels) are
    on average 4 robust standard deviations (of the lower half) below the middle picture. It is also blurred if
    sharpness alone is 6 below it, since blur can leave nothing but what JPEG adds. Data whose middle picture is that
    smooth are not judged. Pictures are examined in the size that the network sees; below 16 pixels blur cannot be told
    from drawing. Fewer than 10 pictures that are less than 0.1 % of all are a note.
    """
    for images in _large_enough(evidence):
        seen = (images.high - images.low > FAINT) & (np.median(images.detail) > BLURRED)
        detail, sharp = (depths(np.log(values), SPREAD) for values in (images.detail, images.sharpness))
        is_soft = (images.detail <= BLURRED) & (detail + sharp >= 2 * BLURRED_BY)
        is_blurred = seen & (is_soft | (sharp >= EMPTIED_BY))
        measure = Measure(
            "detail of the worst picture", _worst(images.detail, is_blurred), SMOOTHEST, threshold=BLURRED
        )
        doubt = "the subject itself may be smooth, such as sky or fog"
        text = "lack fine detail"
        yield from _told(evidence, images, Odd("", is_blurred, -images.detail, text, (measure,), 0.8, doubt))


def noisy(evidence: DataEvidence) -> Iterator[Finding]:
    """noisy images

    Pictures with much more pixel noise than the others: taken in bad light, transmitted with errors, or artificial.

    Why it matters: noise hides what the label is about, and a large enough network memorizes the noise.

    How it is decided: the standard deviation of noise is measured with a mask that ignores planes and straight edges
    (Immerkaer 1996), in the calmest tenth of the picture, so that textures do not count. Noisy means four times the
    middle picture's noise, and one of two things: at least 30 levels of 255; or at least 8 levels and detail (NW142) 6
    robust standard deviations above the middle picture, since noise, unlike real subjects, is as strong at full as at
    half size. Pictures below 16 pixels are not judged. Fewer than 10 pictures that are less than 0.1 % of all are a
    note. Fewer than 10 pictures that are less than 0.1 % of all are a note.
    """
    for images in _large_enough(evidence):
        middle = max(float(np.median(images.noise)), MIDDLE_NOISE)
        rough = depths(-np.log(images.detail), SPREAD)
        is_strong = (images.noise >= NOISY) | ((images.noise >= VISIBLE) & (rough >= ROUGH_BY))
        is_noisy = is_strong & (images.noise >= NOISY_BY * middle)
        measure = Measure("noise of the worst picture, in levels", _worst(-images.noise, is_noisy), threshold=VISIBLE)
        doubt, text = "the subject may have a fine, even texture", "are much noisier than the others"
        yield from _told(evidence, images, Odd("", is_noisy, images.noise, text, (measure,), 0.7, doubt))


def _told(evidence: DataEvidence, images: Pictures, *odds: Odd) -> Iterator[Finding]:
    yield from told(evidence, images.column, images.rows, "image", ADVICE, odds)


def _worst(score: Floats, mask: Mask) -> float:
    return abs(float(score[mask].min())) if mask.any() else 0.0


def _is_less(values: Floats) -> Mask:
    return values * USUAL < np.median(values) if len(values) else np.zeros(0, bool)


def _large_enough(evidence: DataEvidence) -> tuple[Pictures, ...]:
    found = tuple(images for images in evidence.once(measured) if images.side >= LEAST_SIDE and len(images.rows))
    if not found:
        raise Skip(f"the images are smaller than {LEAST_SIDE} pixels")
    return found
