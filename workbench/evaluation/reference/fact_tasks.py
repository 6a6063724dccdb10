"""Kinds that are answered from a context: look-up, two hops, checking a claim, retrieved passages.

A `World` is a handful of stated facts. Many questions can be asked over one world, which is how several turns over the
same facts are made; the world's key keeps all of them on the same side of the split.
"""

from dataclasses import dataclass
from random import Random

from workbench.evaluation.reference.items import Instance
from workbench.evaluation.reference.lexicon import ABSENT, CITIES, JOBS, NAMES, PETS, PLACES

RELATIONS: dict[str, tuple[str, str]] = {
    "city": ("{0} lives in {1}.", "the home city of {0}"),
    "boss": ("{0} works for {1}.", "the boss of {0}"),
    "job": ("{0} is a {1}.", "the job of {0}"),
    "pet": ("{0} has a {1}.", "the pet of {0}"),
}
"""Relation -> (how a fact states it, how a question asks for it)."""

VALUES: dict[str, tuple[str, ...]] = {"city": CITIES, "boss": NAMES, "job": JOBS, "pet": PETS}


@dataclass(frozen=True, slots=True)
class Fact:
    """Subject, relation and value, for example (Ann, city, Rome)."""

    subject: str
    relation: str
    value: str

    @property
    def sentence(self) -> str:
        """The fact as it is stated in a context."""
        return RELATIONS[self.relation][0].format(self.subject, self.value)

    @property
    def question(self) -> str:
        """The noun phrase that asks for the value."""
        return RELATIONS[self.relation][1].format(self.subject)


@dataclass(frozen=True, slots=True)
class World:
    """Facts in the order they are stated; every (subject, relation) occurs once."""

    facts: tuple[Fact, ...]

    @property
    def text(self) -> str:
        """All facts as one paragraph."""
        return " ".join(fact.sentence for fact in self.facts)

    @property
    def key(self) -> str:
        """Canonical form: independent of the order in which facts are stated."""
        return "world|" + "|".join(sorted(fact.sentence for fact in self.facts))

    def rivals(self, fact: Fact) -> int:
        """How many facts share the relation, the asked one included."""
        return sum(other.relation == fact.relation for other in self.facts)

    def chains(self) -> list[tuple[Fact, Fact]]:
        """Pairs (a works for b, b lives in c)."""
        homes = {fact.subject: fact for fact in self.facts if fact.relation == "city"}
        return [(f, homes[f.value]) for f in self.facts if f.relation == "boss" and f.value in homes]


def draw_flat_world(rng: Random) -> World:
    """Three to six people with one fact each, over one or two relations."""
    people = rng.sample(NAMES, rng.randint(3, 6))
    relations = rng.sample(sorted(RELATIONS), rng.randint(1, 2))
    chosen = [rng.choice(relations) for _ in people]
    values = {r: iter(rng.sample([v for v in VALUES[r] if v not in people], len(people))) for r in relations}
    return World(tuple(Fact(p, r, next(values[r])) for p, r in zip(people, chosen, strict=True)))


def draw_chain_world(rng: Random) -> World:
    """Two or three chains "a works for b, b lives in c", in shuffled order."""
    count = rng.randint(2, 3)
    people, cities = rng.sample(NAMES, 2 * count), rng.sample(CITIES, count)
    workers, bosses = people[:count], people[count:]
    facts = [Fact(w, "boss", b) for w, b in zip(workers, bosses, strict=True)]
    facts += [Fact(b, "city", c) for b, c in zip(bosses, cities, strict=True)]
    rng.shuffle(facts)
    return World(tuple(facts))


def ask_lookup(rng: Random, world: World) -> Instance:
    """One stated value."""
    fact = rng.choice(world.facts)
    slots = {"facts": world.text, "what": fact.question}
    difficulty = {3: 1, 4: 2, 5: 2, 6: 3}[len(world.facts)]
    return Instance("lookup", slots, fact.value, difficulty, world.key, 1 / world.rivals(fact))


def ask_hop2(rng: Random, world: World) -> Instance:
    """The home city of somebody's boss: two facts in a row."""
    chains = world.chains()
    first, second = rng.choice(chains)
    slots = {"facts": world.text, "what": f"the home city of the boss of {first.subject}"}
    return Instance("hop2", slots, second.value, 3, world.key, 1 / len(chains))


def ask_fact_check(rng: Random, world: World) -> Instance:
    """Is a claim about the world right? Wrong claims take their value from a rival fact where there is one."""
    fact = rng.choice(world.facts)
    is_right = rng.random() < 0.5
    others = [f.value for f in world.facts if f.relation == fact.relation and f != fact]
    pool = others or [value for value in VALUES[fact.relation] if value != fact.value]
    claim = fact if is_right else Fact(fact.subject, fact.relation, rng.choice(pool))
    slots = {"facts": world.text, "claim": claim.sentence}
    return Instance("fact_check", slots, "yes" if is_right else "no", 2, world.key, 1 / 2)


def draw_lookup(rng: Random) -> Instance:
    """A look-up over a flat world, or over a chain world in three cases of ten."""
    return ask_lookup(rng, draw_chain_world(rng) if rng.random() < 0.3 else draw_flat_world(rng))


def draw_hop2(rng: Random) -> Instance:
    """A two-hop question over a fresh chain world."""
    return ask_hop2(rng, draw_chain_world(rng))


def draw_fact_check(rng: Random) -> Instance:
    """A claim about a fresh flat world."""
    return ask_fact_check(rng, draw_flat_world(rng))


def draw_passages(rng: Random) -> Instance:
    """A question on two or three retrieved passages; one in four is not answered by them."""
    count = rng.randint(2, 3)
    places, cities = rng.sample(PLACES, count + 1), rng.sample(CITIES, count + 1)
    builders, years = rng.sample(NAMES, count), rng.sample(range(1800, 2025), count)
    passages = [
        f"Passage {i + 1}: The {places[i]} in {cities[i]} opened in {years[i]}. The builder was {builders[i]}."
        for i in range(count)
    ]
    asked = count if rng.random() < 0.25 else rng.randrange(count)
    asks_year = rng.random() < 0.5
    what = f"the {'opening year' if asks_year else 'builder'} of the {places[asked]} in {cities[asked]}"
    answer = ABSENT if asked == count else str(years[asked]) if asks_year else builders[asked]
    text = " ".join(passages)
    return Instance("passages", {"facts": text, "what": what}, answer, count, f"passages|{text}", 1 / (count + 1))
