"""Where destination profiles come from: the built-in files, and a site's own, which go before them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from common.errors import PolicyError
from common.settings import Settings
from orchestrator.acceptance import Acceptance
from orchestrator.destinations.profile import DestinationProfile

DOCUMENTED = "docs/destinations.md describes the files."
SUFFIX = ".toml"


@dataclass(frozen=True)
class Library:
    """Destination profiles by name."""

    profiles: Mapping[str, DestinationProfile]

    @classmethod
    def of(cls, settings: Settings) -> Library:
        """The built-in profiles; those of the settings' folder take the place of built-in ones of the same name.

        Raises:
            PolicyError: the folder is not there, or a file in it is wrong.
        """
        own = settings.profiles_dir
        if own is not None and not own.is_dir():
            raise PolicyError("the folder that CINEFARM_PROFILES_DIR names is not there", hint=DOCUMENTED)
        found = [_read(file) for file in _toml_files(files("orchestrator.destinations"))]
        found += [_read(file) for file in _toml_files(own)] if own is not None else []
        return cls({profile.name: profile for profile in found})

    def named(self, word: str) -> DestinationProfile:
        """The profile of this name, or in the file at this path (it ends in ``.toml``).

        Raises:
            PolicyError: there is none, or the file is wrong.
        """
        if word.endswith(SUFFIX):
            return _read(Path(word))
        if word not in self.profiles:
            raise PolicyError(
                f"there is no destination profile {word}",
                hint=f"Profiles: {', '.join(sorted(self.profiles))}; or name a file that ends in {SUFFIX}. {DOCUMENTED}",
            )
        return self.profiles[word]

    def archive(self, word: str) -> DestinationProfile:
        """The profile of something that keeps instances.

        Raises:
            PolicyError: there is none, or it is a viewer.
        """
        profile = self.named(word)
        if profile.kind != "archive":
            raise PolicyError(f"{word} is a viewer and keeps nothing", hint=f"Write plays-in={word}.")
        return profile

    def viewer(self, word: str) -> Acceptance:
        """What a viewer demands of every instance.

        Raises:
            PolicyError: there is none, or it is no viewer.
        """
        profile = self.named(word)
        if profile.kind != "viewer":
            raise PolicyError(f"{word} is no viewer", hint=f"Write profile={word}.")
        demands = profile.acceptance() | {"destination": f"the viewer {profile.title}"}
        return Acceptance().model_copy(update=demands)


def _toml_files(folder: Traversable) -> list[Traversable]:
    return sorted((file for file in folder.iterdir() if file.name.endswith(SUFFIX)), key=lambda file: file.name)


def _read(file: Traversable) -> DestinationProfile:
    """Raises: PolicyError: it cannot be read, is no TOML, or has unknown keys or wrong values; each is named."""
    about = f"the destination profile {file.name}"
    try:
        return DestinationProfile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise PolicyError(f"{about} cannot be read: {error.strerror}", hint="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{about} is not TOML: {error}", hint=DOCUMENTED) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise PolicyError(f"{about} is wrong: {faults}", hint=DOCUMENTED) from error
