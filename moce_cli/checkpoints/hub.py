"""Weights to and from a model hub, through its own client: its cache, tokens and offline mode.

A repository holds the weights as `model.safetensors`, and `config.json` and `README.md` for those
who look at it there. The client takes a second to import: it is imported when it is used.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from moce_cli.checkpoints.header import read_header, sha256_of
from moce_cli.checkpoints.publish import config_json, readme
from moce_cli.checkpoints.pulls import Pull, forget_pull, record_pull
from moce_cli.errors import DownloadError, OutputError, OutputExistsError, WeightsError

log = logging.getLogger(__name__)

HUB_FILE = "model.safetensors"
"""What a hub repository calls its weights."""
_SHA256_DIGITS = 64
_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # of a commit, and of what a file is known by


def cached(repo: str, revision: str | None = None) -> Pull | None:
    """The weights in the client's cache, if they are there; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repo, HUB_FILE, revision=revision)
    except ValueError:  # no name of a repository
        return None
    return _as_pull(repo, revision, Path(found)) if isinstance(found, str) else None


def pull(
    repo: str,
    revision: str | None = None,
    sha256: str | None = None,
    *,
    show_progress: bool = True,
) -> Pull:
    """Fetch a repository's weights into the client's cache and check them.

    A broken transfer is resumed within the call; one that was killed starts afresh. Without a
    network, what is in the cache serves. A file with the wrong SHA-256 is removed from the cache.

    Args:
        repo: `org/repo`.
        revision: a branch, a tag or a commit; None for the newest.
        sha256: what the file must have; without it, what the hub or an earlier pull recorded.
        show_progress: whether the client may draw its bar, which it does on terminals only.

    Raises:
        DownloadError: it can't be had, or has the wrong SHA-256; the message has the address.
        WeightsError: the repository holds something else.
    """
    sha256 = sha256.lower() if sha256 else None
    before = cached(repo, revision)
    if before is None or before.commit != revision:
        _knock(repo, revision, before)
    pulled, digest, expected = _fetch(repo, revision, sha256, show_progress=show_progress)
    if digest != expected and before is not None:  # the copy may have been damaged here, long ago
        _discard(Path(pulled.path))
        pulled, digest, expected = _fetch(repo, revision, sha256, show_progress=show_progress)
    if digest != expected:
        _discard(Path(pulled.path))
        forget_pull(pulled.name)
        raise DownloadError(
            f"{pulled.name}: the fetched {HUB_FILE} has the SHA-256 {digest}, it should have "
            f"{expected}; it was removed again",
            hint=f"pull again, or fetch {_url(repo, revision)} with a browser and compare",
        )
    try:
        read_header(Path(pulled.path))
    except WeightsError as error:
        if before is None:  # else another program may have put it there, and need it
            _discard(Path(pulled.path))
        raise WeightsError(
            f"the repository {pulled.name} holds no model for moce: {error.message}",
            hint=error.hint,
        ) from error
    pulled = Pull(pulled.repo, pulled.revision, pulled.commit, digest, pulled.path)
    try:
        record_pull(pulled)
    except OutputError as error:  # without a record the cache is searched
        log.info("%s", error.message)
    return pulled


def _knock(repo: str, revision: str | None, before: Pull | None) -> None:
    """Ask whether the hub is there: the client itself tries for half a minute before it gives up.

    Raises:
        DownloadError: it can't be reached, and nothing is in the cache; or it gives names that
            would lead out of the cache, where the client makes them into paths.
    """
    from huggingface_hub import constants, errors, get_hf_file_metadata

    if constants.HF_HUB_OFFLINE:
        return
    try:
        told = get_hf_file_metadata(_url(repo, revision))
    except (errors.HfHubHTTPError, errors.FileMetadataError):
        return  # it answered: the client knows what to make of it
    except Exception as error:  # of the client's HTTP library, which depends on its version
        if before is None:
            reason = f"the hub cannot be reached ({_first_line(error)}) and it is not in the cache"
            raise _failure(repo, revision, reason) from error
        log.warning("the hub cannot be reached (%s): the copy in the cache is used", error)
        return
    for what, name in (("commit", told.commit_hash), ("checksum", told.etag)):
        if name is not None and not _PLAIN_NAME.fullmatch(name):
            raise _failure(repo, revision, f"the hub calls its {what} {name!r}, which is no name")


def _failure(repo: str, revision: str | None, reason: str) -> DownloadError:
    from huggingface_hub import constants

    name, url = f"{repo}@{revision}" if revision else repo, _url(repo, revision)
    return DownloadError(
        f"{name} cannot be pulled: {reason}; from {url} to {constants.HF_HUB_CACHE}",
        hint=f"or fetch {url} with a browser, then: moce models import {HUB_FILE}",
    )


def _fetch(
    repo: str, revision: str | None, sha256: str | None, *, show_progress: bool
) -> tuple[Pull, str, str]:
    """The cached file, its SHA-256, and the one it should have."""
    from huggingface_hub import hf_hub_download

    try:
        with _bars(show_progress):
            path = hf_hub_download(repo, HUB_FILE, revision=revision, library_name="moce")
    except Exception as error:  # the client lets its HTTP library's errors through, and more
        raise _failure(repo, revision, _reason(error, repo, revision)) from error
    pulled = _as_pull(repo, revision, Path(path))
    digest = sha256_of(Path(path))
    return pulled, digest, sha256 or pulled.sha256 or digest


def _as_pull(repo: str, revision: str | None, path: Path) -> Pull:
    """A cached file: a link to a blob, which for large files is named after its SHA-256."""
    blob = Path(os.readlink(path)).name if path.is_symlink() else ""  # it may be a link as well
    is_digest = len(blob) == _SHA256_DIGITS and set(blob) <= set("0123456789abcdef")
    return Pull(repo, revision, path.parent.name, blob if is_digest else "", str(path))


def _discard(path: Path) -> None:
    """Remove a file from the cache, and what it is a link to."""
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink(missing_ok=True)
        path = target
    path.unlink(missing_ok=True)


def remove(pulled: Pull) -> bool:
    """Delete a pulled file from the client's cache; whether there was one.

    Raises:
        OutputError: it can't be deleted.
    """
    found = pulled if pulled.path else cached(pulled.repo, pulled.revision)
    if found is None:
        return False
    try:
        _discard(Path(found.path))
    except OSError as error:
        raise OutputError(f"{found.path} cannot be deleted: {error.strerror or error}") from error
    return True


def push(
    path: Path,
    repo: str,
    *,
    private: bool = False,
    overwrite: bool = False,
    show_progress: bool = True,
) -> str:
    """Publish a weights file in one commit: weights, `config.json`, and its card as `README.md`.

    Args:
        path: a weights file.
        repo: `org/repo`; it is made if it isn't there.
        private: whether a new repository is private.
        overwrite: whether weights that are there may be replaced.
        show_progress: whether the client may draw its bar, which it does on terminals only.

    Returns:
        the commit's address.

    Raises:
        WeightsError: the file is no weights file.
        OutputExistsError: the repository has weights already.
        OutputError: the hub refused or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    header = read_header(path)
    api = HfApi(library_name="moce")
    try:
        with _bars(show_progress):
            api.create_repo(repo, private=private, exist_ok=True)
            taken = not overwrite and api.file_exists(repo, HUB_FILE)
            if not taken:
                commit = api.create_commit(
                    repo,
                    [
                        CommitOperationAdd(HUB_FILE, path),
                        CommitOperationAdd("config.json", config_json(header)),
                        CommitOperationAdd("README.md", readme(header, repo)),
                    ],
                    commit_message=f"{header.card.name} {header.card.version}",
                )
                return commit.commit_url
    except Exception as error:  # the client lets its HTTP library's errors through, and more
        raise OutputError(
            f"{path.name} cannot be pushed to {api.endpoint}/{repo}: {_reason(error, repo, None)}",
            hint="is a token with the right to write there? log in: hf auth login",
        ) from error
    raise OutputExistsError(
        f"{api.endpoint}/{repo} has a {HUB_FILE} already", hint="to replace it: --overwrite"
    )


def _url(repo: str, revision: str | None) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repo}/resolve/{revision or 'main'}/{HUB_FILE}"


def _reason(error: BaseException, repo: str, revision: str | None) -> str:
    """The client's error as half a sentence."""
    from huggingface_hub import constants, errors

    match error:
        case errors.GatedRepoError():
            return (
                f"its owner wants its terms accepted at {constants.ENDPOINT}/{repo}, "
                "and you logged in (hf auth login)"
            )
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or it is private and you are not logged in"
        case errors.RevisionNotFoundError():
            return f"it has no revision {revision!r}"
        case errors.LocalEntryNotFoundError():
            if constants.HF_HUB_OFFLINE:
                return "offline mode is on (HF_HUB_OFFLINE) and it is not in the cache"
            cause = error.__cause__ or error
            return f"the hub did not answer ({_first_line(cause)}) and it is not in the cache"
        case errors.EntryNotFoundError():
            return f"it holds no {HUB_FILE}"
        case OSError(strerror=str(text)):
            return text
        case _:
            return _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _bars(wanted: bool) -> Generator[None]:
    """The client's progress bars, or none for a while."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if wanted or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
