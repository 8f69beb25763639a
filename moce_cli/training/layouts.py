"""The field's standard training sets: what they are, where they are had, how they must lie.

Source: the folders are those of the authors' release of MoCE-IR, the pairing its manual's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from moce_cli.folders import COMPOSITES, pair_by_stem, pair_in_order
from moce_cli.training.checks import DatasetError


@dataclass(frozen=True, slots=True)
class FilePair:
    """A clean picture and what damage made of it; or a clean picture alone.

    Attributes:
        clean: the picture as it should be.
        degraded: the damaged one of the same size; None where damage is added on the fly.
        kinds: of its damage, keys of `degradations.KINDS`.
    """

    clean: Path
    degraded: Path | None
    kinds: tuple[str, ...]


Pairing = Callable[[Path, tuple[list[Path], ...]], list[FilePair]]


@dataclass(frozen=True, slots=True)
class Layout:
    """One standard set.

    Attributes:
        what: the set, by its paper.
        home: its project's page, by address or in words to search for.
        patterns: which files, below the data root; each must match some.
        pair: makes pairs of the files found, in the order of the patterns.
        is_clean: it holds clean pictures alone.
    """

    what: str
    home: str
    patterns: tuple[str, ...]
    pair: Pairing
    is_clean: bool = False

    def find(self, root: Path) -> list[FilePair] | None:
        """Its pairs, or None if files are missing.

        Raises:
            InputError: the files are there, but do not pair.
        """
        found = tuple(
            sorted(p for p in root.glob(pattern) if p.is_file()) for pattern in self.patterns
        )
        return self.pair(root, found) if all(found) else None


def find_sets(names: Iterable[str], root: Path) -> dict[str, list[FilePair]]:
    """The pairs of each set below the data root.

    Args:
        names: keys of `LAYOUTS`.
        root: the folder that holds `denoising`, `deraining` and so on.

    Raises:
        InputError: sets are missing, or files do not pair. The message says for each missing
            set what it is, where it is had and how it must lie.
    """
    there: dict[str, list[FilePair]] = {}
    missing: list[str] = []
    for name in dict.fromkeys(names):
        layout = LAYOUTS[name]
        pairs = layout.find(root)
        if pairs is None:
            lie = ", ".join(str(root / pattern) for pattern in layout.patterns)
            missing.append(f"{name} ({layout.what}; had at {layout.home}) must lie as {lie}")
        else:
            there[name] = pairs
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(missing) + len(there)} data sets are not complete below "
            f"{root}: {'; '.join(missing)}",
            "get them from their pages, or name the folder in which they lie with --data",
        )
    return there


def _alone(root: Path, found: tuple[list[Path], ...]) -> list[FilePair]:
    """Clean pictures, to which noise is added."""
    return [FilePair(path, None, ("noise",)) for files in found for path in files]


def _in_order(*kinds: str) -> Pairing:
    """Degraded and clean files, each in sorted order."""

    def pair(root: Path, found: tuple[list[Path], ...]) -> list[FilePair]:
        return [FilePair(clean, degraded, kinds) for degraded, clean in pair_in_order(*found)]

    return pair


def _by_name(*kinds: str) -> Pairing:
    """Degraded and clean files of the same name."""

    def pair(root: Path, found: tuple[list[Path], ...]) -> list[FilePair]:
        degraded, clean = found
        return _matched(degraded, clean, str, kinds)

    return pair


def _reside(root: Path, found: tuple[list[Path], ...]) -> list[FilePair]:
    """Hazy files belong to the clear one that is called like them before the first `_`."""
    *parts, clear = found
    hazy = [path for part in parts for path in part]
    return _matched(hazy, clear, lambda stem: stem.split("_", 1)[0], ("haze",))


def _composites(root: Path, found: tuple[list[Path], ...]) -> list[FilePair]:
    """Each mixture's files belong to the clear one of the same name."""
    clear, *mixtures = found
    pairs: list[FilePair] = []
    for name, files in zip(COMPOSITES, mixtures, strict=True):
        pairs += _matched(files, clear, str, tuple(name.split("_")))
    return pairs


def _matched(
    degraded: list[Path], clean: list[Path], stem: Callable[[str], str], kinds: tuple[str, ...]
) -> list[FilePair]:
    return [FilePair(c, d, kinds) for d, c in pair_by_stem(degraded, clean, stem)]


LAYOUTS: dict[str, Layout] = {
    "BSD400+WED": Layout(
        "400 pictures, those of train and test, of the Berkeley segmentation data set BSDS500, "
        "Arbelaez et al., PAMI 2011; and the Waterloo exploration database, Ma et al., TIP 2017",
        "https://ece.uwaterloo.ca/~k29ma/exploration/, and for BSDS500 the page 'Contour Detection "
        "and Image Segmentation Resources' of the UC Berkeley Computer Vision Group",
        ("denoising/BSD400/*.jpg", "denoising/WaterlooED/*.bmp"),
        _alone,
        is_clean=True,
    ),
    "RainTrainL": Layout(
        "the 200 light-rain pairs of Yang et al., Joint rain detection and removal, CVPR 2017",
        "https://www.icst.pku.edu.cn/struct/Projects/joint_rain_removal.html",
        ("deraining/RainTrainL/rainy/*.png", "deraining/RainTrainL/gt/*.png"),
        _in_order("rain"),
    ),
    "RESIDE-OTS": Layout(
        "the outdoor training set of RESIDE, Li et al., TIP 2019",
        "https://sites.google.com/view/reside-dehaze-datasets",
        (
            *(f"dehazing/RESIDE/part{number}/*.jpg" for number in range(1, 5)),
            "dehazing/RESIDE/clear/*.jpg",
        ),
        _reside,
    ),
    "GoPro": Layout(
        "GoPro, Nah et al., Deep multi-scale convolutional neural network, CVPR 2017, "
        "its training pairs cut into 512 px pieces",
        "https://seungjunnah.github.io/Datasets/gopro",
        (
            "deblurring/GoPro/crop/train/input_crops/*.png",
            "deblurring/GoPro/crop/train/target_crops/*.png",
        ),
        _by_name("shake"),
    ),
    "LOL-v1": Layout(
        "LOL, Wei et al., Deep Retinex decomposition, BMVC 2018",
        "https://daooshee.github.io/BMVC2018website/",
        ("llie/LOLv1/Train/input/*.png", "llie/LOLv1/Train/target/*.png"),
        _by_name("low"),
    ),
    "CDD-11": Layout(
        "composite degradations, Guo et al., OneRestore, ECCV 2024",
        "https://github.com/gy65896/OneRestore",
        ("cdd11/train/clear/*.png", *(f"cdd11/train/{name}/*.png" for name in COMPOSITES)),
        _composites,
    ),
}
