"""What there is to do about replicas, whatever they and the engine do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dewy.containers.rollout import Desired, Observed, Phase, Plan, reconcile

NEW, OLD = "new", "old"
GONE, LEAVING, UNCHECKED = Phase.GONE, Phase.LEAVING, Phase.UNCHECKED
STARTING, READY, SERVING = Phase.STARTING, Phase.READY, Phase.SERVING


def group(spec: str, *phases: Phase, first: int = 0) -> list[Observed]:
    """Replicas of *spec*, numbered."""
    return [
        Observed(f"{spec}{number}", number, spec, phase)
        for number, phase in enumerate(phases, first)
    ]


def rollout(replicas: int, parallel: int = 1) -> Desired:
    """New replicas beside whatever runs."""
    return Desired(NEW, replicas, parallel, beside=True)


def test_rollout_without_parallelism_starts_single_replica():
    assert Plan(start=(0,)) == reconcile([], rollout(3))


def test_rollout_starts_as_many_at_a_time_as_may():
    assert (0, 1) == reconcile([], rollout(3, 2)).start


@pytest.mark.parametrize("phase", [UNCHECKED, STARTING])
def test_unready_replica_counts_as_starting(phase: Phase):
    seen = group(NEW, phase)

    assert () == reconcile(seen, rollout(3)).start
    assert (1,) == reconcile(seen, rollout(3, 2)).start


def test_rollout_leaves_all_other_replicas_alone():
    old = group(OLD, GONE, UNCHECKED, READY, SERVING)

    assert Plan(start=(0,)) == reconcile(old, rollout(2))
    assert Plan(complete=True) == reconcile(
        old + group(NEW, SERVING, SERVING), rollout(2)
    )


def test_rollout_replaces_a_paused_replica():
    seen = group(NEW, Phase.PAUSED, SERVING)

    assert Plan(start=(0,)) == reconcile(seen, rollout(2))
    assert Plan() == reconcile(seen, Desired(NEW, 2))


def test_paused_replica_leaves_once_others_have_its_place():
    seen = [*group(NEW, Phase.PAUSED, SERVING), Observed("more", 0, NEW, SERVING)]

    assert reconcile(seen, rollout(2)).complete
    assert ("new0",) == reconcile(seen, Desired(NEW, 2)).leave


def test_healing_starts_all_that_is_missing_at_once():
    assert (0, 1, 2) == reconcile([], Desired(NEW, 3)).start
    assert (1, 2) == reconcile(group(NEW, STARTING), Desired(NEW, 3)).start
    assert (1, 2) == reconcile(group(NEW, SERVING), Desired(NEW, 3)).start


def test_new_options_roll_as_many_at_a_time_as_may_while_old_ones_serve():
    old = group(OLD, SERVING, SERVING, SERVING)

    assert (0,) == reconcile(old, Desired(NEW, 3)).start
    assert (0, 1) == reconcile(old[:1], Desired(NEW, 3)).start


def test_healing_leaves_replicas_of_rollout_alone():
    target = group(NEW, GONE, UNCHECKED, READY, SERVING)
    old = group(OLD, SERVING, SERVING)

    assert Plan(complete=True) == reconcile(target + old, Desired(OLD, 2, apart=NEW))
    found = reconcile(target + old[:1], Desired(OLD, 2, apart=NEW))
    assert Plan(start=(1,)) == found


def test_paused_replica_keeps_its_place():
    seen = group(NEW, SERVING, Phase.PAUSED)

    assert Plan() == reconcile(seen, Desired(NEW, 2))


def test_the_next_starts_while_the_last_enters():
    found = reconcile(group(NEW, READY), Desired(NEW, 2))

    assert Plan(admit=("new0",), start=(1,)) == found


def test_old_ones_stay_until_all_new_ones_serve():
    old = group(OLD, SERVING, SERVING)

    assert () == reconcile(old + group(NEW, SERVING, READY), Desired(NEW, 2)).leave
    found = reconcile(old + group(NEW, SERVING, SERVING), Desired(NEW, 2))
    assert Plan(leave=("old0", "old1"), complete=True) == found


def test_leaving_replica_requires_no_action():
    seen = group(OLD, LEAVING) + group(NEW, SERVING)

    assert Plan(complete=True) == reconcile(seen, Desired(NEW, 1))


def test_adopted_replicas_are_checked_instead_of_started():
    found = reconcile(group(NEW, UNCHECKED, UNCHECKED), Desired(NEW, 2))

    assert Plan(check=("new0", "new1")) == found


def test_dead_replica_is_removed_and_replaced():
    found = reconcile(group(NEW, SERVING, GONE, SERVING), Desired(NEW, 3))

    assert Plan(remove=("new1",), start=(1,)) == found


def test_fewer_are_wanted_those_with_the_highest_numbers_leave():
    found = reconcile(group(NEW, SERVING, SERVING, SERVING), Desired(NEW, 1))

    assert ("new1", "new2") == found.leave


def test_more_are_wanted():
    assert (1, 2) == reconcile(group(NEW, SERVING), Desired(NEW, 3)).start


def test_two_with_the_same_number_fill_two_places():
    twins = [Observed("a", 0, NEW, SERVING), Observed("b", 0, NEW, SERVING)]

    assert Plan(complete=True) == reconcile(twins, Desired(NEW, 2))
    assert ("b",) == reconcile(twins, Desired(NEW, 1)).leave


def settled(seen: Iterable[Observed], desired: Desired) -> bool:
    """Whether nothing is left to do."""
    plan = reconcile(list(seen), desired)
    return plan.complete and plan.idle


def test_replica_without_number_counts_towards_desired_count():
    seen = [Observed("a", -1, NEW, SERVING), *group(NEW, SERVING)]

    assert settled(seen, Desired(NEW, 2))


def test_a_number_beyond_the_last_fills_a_place():
    assert settled([Observed("a", 7, NEW, SERVING)], Desired(NEW, 1))


def test_serving_replica_is_preferred_over_ready_replica():
    seen = [Observed("a", 0, NEW, READY), Observed("b", 0, NEW, SERVING)]

    assert ("a",) == reconcile(seen, Desired(NEW, 1)).leave


def test_going_back_is_going_forward():
    seen = group(NEW, SERVING, SERVING)

    assert Plan(start=(0,)) == reconcile(seen, Desired(OLD, 2))


def test_replica_set_with_dead_replica_is_not_settled():
    seen = group(NEW, SERVING) + group(OLD, GONE)

    assert not settled(seen, Desired(NEW, 1))


def test_replica_set_with_leaving_replicas_is_settled():
    assert settled(group(NEW, SERVING) + group(OLD, LEAVING), Desired(NEW, 1))


@dataclass
class World:
    """An engine that does what it is told, and whatever else it likes."""

    random: Random
    seen: dict[str, Observed]
    numbers: count[int] = field(default_factory=count)

    def serving(self, spec: str | None = None) -> set[str]:
        return {
            each.id
            for each in self.seen.values()
            if each.phase is SERVING and spec in (None, each.spec)
        }

    def become(self, replica: str, phase: Phase) -> None:
        self.seen[replica] = replace(self.seen[replica], phase=phase)

    def do(self, todo: Plan, desired: Desired) -> None:
        for each in todo.remove:
            del self.seen[each]
        for each in todo.check:
            self.become(each, STARTING)
        for each in todo.admit:
            self.become(each, SERVING)
        for each in todo.leave:
            self.become(each, LEAVING)
        for index in todo.start:
            name = f"started{next(self.numbers)}"
            self.seen[name] = Observed(name, index, desired.spec, STARTING)

    def go_on(
        self, *, failing: str = "", waiting: str = "", deaths: float = 0.0
    ) -> None:
        """
        Time passes: the good get ready, the failing fail, anybody may die.

        Those that are *waiting* do not get ready.
        """
        for each in list(self.seen.values()):
            if each.phase is LEAVING:
                del self.seen[each.id]
            elif each.phase is not GONE and self.random.random() < deaths:
                self.become(each.id, GONE)
            elif each.phase is STARTING and each.spec != waiting:
                self.become(each.id, LEAVING if each.spec == failing else READY)
            elif each.phase is Phase.PAUSED:
                self.become(each.id, UNCHECKED)


def judge(world: World, todo: Plan, desired: Desired) -> None:
    """What must hold of every answer."""
    seen = world.seen
    named = [*todo.remove, *todo.check, *todo.admit, *todo.leave]
    assert len(set(named)) == len(named)
    assert set(named) <= set(seen)
    assert all(seen[each].phase is GONE for each in todo.remove)
    assert all(seen[each].spec == desired.spec for each in (*todo.check, *todo.admit))
    good = world.serving(desired.spec)
    if todo.leave:
        assert todo.complete
    if todo.complete:
        assert desired.replicas == len(good - set(todo.leave))
        assert ((), (), ()) == (todo.start, todo.check, todo.admit)
    under_way = [
        each
        for each in seen.values()
        if each.spec == desired.spec and each.phase in (UNCHECKED, STARTING)
    ]
    if todo.start:
        others = [i for i in world.serving() if seen[i].spec != desired.apart]
        room = desired.parallel
        if not desired.beside:
            room = max(room, desired.replicas - len(others))
        assert len(under_way) + len(todo.start) <= room
        assert set(todo.start) <= set(range(desired.replicas))
        assert len(set(todo.start)) == len(todo.start)
        alike = [
            each
            for each in seen.values()
            if each.spec == desired.spec
            and each.phase > (Phase.PAUSED if desired.beside else LEAVING)
        ]
        assert len(alike) + len(todo.start) <= desired.replicas


def step(world: World, *desired: Desired) -> Plan:
    """Do all that is decided, for each of *desired*; return what the first was."""
    plans = []
    for each in desired:
        before = world.serving()
        todo = reconcile(list(world.seen.values()), each)
        judge(world, todo, each)
        world.do(todo, each)
        # However much happens at once, no fewer serve, but for a complete set.
        assert before <= world.serving() or todo.complete
        plans.append(todo)
    return plans[0]


def converge(world: World, desired: Desired) -> None:
    """With nothing failing any more there is soon nothing left to do."""
    for _ in range(3 * (desired.replicas + len(world.seen)) + 5):
        if step(world, desired).idle and settled(world.seen.values(), desired):
            break
        world.go_on()
    else:
        pytest.fail(f"no end: {world.seen}")
    world.go_on()
    assert desired.replicas == len(world.seen) == len(world.serving(desired.spec))
    assert Plan(complete=True) == reconcile(list(world.seen.values()), desired)


specs = st.sampled_from([NEW, OLD, "older"])
sights = st.tuples(st.integers(-1, 6), specs, st.sampled_from(Phase))
fleets = st.lists(sights, max_size=9).map(
    lambda found: [Observed(f"found{n}", *each) for n, each in enumerate(found)]
)
wishes = st.builds(Desired, specs, st.integers(1, 5), st.integers(1, 4))
worlds = st.builds(
    lambda seen, random: World(random, {each.id: each for each in seen}),
    fleets,
    st.randoms(use_true_random=False),
)


def many(soak: bool) -> int:
    return 5000 if soak else 150


def test_any_observed_state_converges_to_desired_state(soak: bool):
    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(worlds, wishes)
    def check(world: World, desired: Desired) -> None:
        converge(world, desired)

    check()


def test_deaths_and_changes_of_mind_do_no_harm(soak: bool):
    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(worlds, st.lists(wishes, min_size=1, max_size=4), st.floats(0, 0.5))
    def check(world: World, wanted: list[Desired], deaths: float) -> None:
        for desired in wanted:
            for _ in range(world.random.randrange(8)):
                step(world, desired)
                world.go_on(deaths=deaths)
        converge(world, wanted[-1])

    check()


def test_failing_version_displaces_no_serving_replica(soak: bool):
    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(worlds, st.integers(1, 5), st.integers(1, 4), st.integers(1, 12))
    def check(world: World, replicas: int, parallel: int, rounds: int) -> None:
        desired = Desired("bad", replicas, parallel)
        before = world.serving()
        for _ in range(rounds):
            todo = step(world, desired)
            world.go_on(failing="bad")
            assert () == todo.leave
            assert before <= world.serving()

    check()


def test_running_version_is_healed_while_another_never_gets_ready(soak: bool):
    """Whatever dies meanwhile; and once the rollout is given up, nothing is left."""

    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(worlds, st.integers(1, 5), st.integers(1, 4), st.floats(0, 0.3))
    def check(world: World, replicas: int, parallel: int, deaths: float) -> None:
        target = Desired("bad", replicas, parallel, beside=True)
        running = Desired(NEW, replicas, parallel, apart="bad")
        for _ in range(world.random.randrange(1, 8)):
            step(world, running, target)
            world.go_on(waiting="bad", deaths=deaths)
        for _ in range(4 * (replicas + len(world.seen)) + 5):
            step(world, running, target)
            world.go_on(waiting="bad")
        assert replicas == len(world.serving(NEW))
        assert replicas >= sum(each.spec == "bad" for each in world.seen.values())
        for each in list(world.seen.values()):
            if each.spec == "bad":
                world.become(each.id, LEAVING)
        before = world.serving(NEW)
        converge(world, replace(running, apart=None))
        assert before == world.serving(NEW)

    check()


def test_rollout_and_healing_never_decide_on_the_same_replica(soak: bool):
    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(fleets, st.integers(1, 5), st.integers(1, 4))
    def check(seen: list[Observed], replicas: int, parallel: int) -> None:
        one = reconcile(seen, Desired(NEW, replicas, parallel, beside=True))
        other = reconcile(seen, Desired(OLD, replicas, parallel, apart=NEW))
        assert set() == decided_on(one) & decided_on(other)

    check()


def decided_on(todo: Plan) -> set[str]:
    return {*todo.remove, *todo.check, *todo.admit, *todo.leave}


def test_the_order_in_which_they_are_seen_does_not_matter(soak: bool):
    @settings(max_examples=many(soak), deadline=None, database=None)
    @given(worlds, wishes)
    def check(world: World, desired: Desired) -> None:
        seen = list(world.seen.values())
        one = reconcile(seen, desired)
        world.random.shuffle(seen)
        other = reconcile(seen, desired)
        assert set(one.leave) == set(other.leave)
        assert set(one.remove) == set(other.remove)
        assert one.start == other.start
        assert one.complete == other.complete

    check()
