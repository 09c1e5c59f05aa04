"""Which recipes an encode may use: what destinations like best first, what all of them take, what holds the picture. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from common.dicom.transfer_syntaxes import short
from common.errors import NoLegalPath
from common.handling import Stereo
from common.media import Description
from common.queues import CPU, of_encoder
from common.recipes import TARGETS, Profile, Recipe
from common.stereo import for_views
from common.targets import HINT, aimed, holding, preferred, refusal, telling, wished
from orchestrator.acceptance import Acceptance, Destinations, Obstacle
from orchestrator.candidates import container_of


@dataclass(frozen=True)
class Encoding:
    """One source that has to be encoded, as its encoder gets it to see, and where the result goes."""

    source: Description
    destinations: Destinations
    stereo: Stereo
    sop_class_of: Callable[[str], str]  # what a stream of this codec becomes

    def fitting(self, profile: Profile, rung: int) -> Iterator[Recipe]:
        """Recipes of this rung whose target is accepted and holds the picture, the best first, at least one.

        Raises:
            NoLegalPath: no target is accepted, or none that is holds the picture.
        """
        recipes = self._recipes(profile, rung)
        accepted = self._accepted(recipes)
        fitting = holding(self.source.video, accepted)
        first = next(fitting, None)
        if first is None and not profile.target:
            # what no profile makes of its own accord may be all that is taken there and holds the picture
            accepted = self._accepted(self._recipes(profile, rung, TARGETS))
            fitting = holding(self.source.video, accepted)
            first = next(fitting, None)
        if not accepted:
            raise self._nothing_taken(recipes, profile)
        if first is None:
            recipe, finding = telling(self.source.video, accepted)
            said = refusal(self.source.video, recipe, finding)
            raise NoLegalPath(said, hint=finding.remedy or HINT, rule=finding.rule)
        return chain((first,), fitting)

    def _recipes(self, profile: Profile, rung: int, more: Collection[str] = ()) -> list[Recipe]:
        recipes = wished(profile, rung, dict.fromkeys((*self.destinations.prefers, *more)))
        return for_views(preferred(profile, recipes, self.source), self.stereo)

    def _accepted(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        return [
            each for each in recipes if self._refuses(self.destinations, each.transfer_syntax_uid, each.codec) is None
        ]

    def _nothing_taken(self, recipes: Sequence[Recipe], profile: Profile) -> NoLegalPath:
        """Why: one destination takes nothing of it, or several contradict each other."""
        limits = {limit.name: self._taken(limit) for limit in self.destinations.limits}
        if not profile.target and all(limits.values()) and not frozenset.intersection(*limits.values()):
            each = "; ".join(
                f"{name} takes {_listed(taken)}" for name, taken in limits.items() if len(taken) < len(TARGETS)
            )
            return NoLegalPath(
                f"one instance goes to all destinations, and nothing that is encoded is taken by all of them: {each}",
                hint="Submit a job for each of them, or accept more there.",
                rule="destination.conflict",
            )
        obstacles = [self._refuses(self.destinations, each.transfer_syntax_uid, each.codec) for each in recipes]
        said = {each.why: each.rule for each in obstacles if each is not None}
        hint = "Accept one of the syntaxes that the profile encodes to there, or choose another destination."
        return NoLegalPath("; ".join(said), hint=hint, rule=next(iter(said.values())))

    def _refuses(self, limit: Acceptance | Destinations, uid: str, codec: str) -> Obstacle | None:
        return limit.refuses(uid, self.sop_class_of(codec)) or limit.refuses_container(container_of(codec))

    def _taken(self, limit: Acceptance) -> frozenset[str]:
        return frozenset(uid for uid, target in TARGETS.items() if self._refuses(limit, uid, target["codec"]) is None)


def rungs_to(profile: Profile, uid: str) -> int:
    """How many rungs there are to this target: one that destinations wish for may have a ladder of its own."""
    own = {recipe.transfer_syntax_uid for recipe in profile.recipes(0)}
    return len(profile.ladder if profile.target or uid in own else aimed(profile, uid).ladder)


def choose(fitting: Iterator[Recipe], queues: Collection[str]) -> Recipe:
    """The first recipe, or the first for the same target by a device whose queue is served."""
    first = next(fitting)
    if not any(queue != CPU for queue in queues):
        return first
    served = (
        recipe
        for recipe in chain((first,), fitting)
        if recipe.transfer_syntax_uid == first.transfer_syntax_uid and of_encoder(recipe.encoder) in queues
    )
    return next((recipe for recipe in served if of_encoder(recipe.encoder) != CPU), first)


def _listed(uids: Collection[str]) -> str:
    return ", ".join(map(short, sorted(uids)))
