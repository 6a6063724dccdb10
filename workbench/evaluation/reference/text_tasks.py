"""Text kinds that need no shared facts: letters, extraction, classification, calendar, structured output.

Every function draws one `Instance` from a random generator; the key holds exactly what determines the answer.
"""

from random import Random

from workbench.evaluation.reference.items import Instance
from workbench.evaluation.reference.lexicon import (
    ADJECTIVES,
    CITIES,
    DAYS,
    LETTERS,
    MAIL_HOSTS,
    MONTHS,
    NAMES,
    NEGATIVE,
    ORDINALS,
    POSITIVE,
    REVIEWED,
    TOPICS,
)


def _letters(rng: Random, count: int) -> list[str]:
    """Letters are given apart ("a b c") so that position, not spelling, decides."""
    return [rng.choice(LETTERS) for _ in range(count)]


def draw_reverse(rng: Random) -> Instance:
    """Write three to six letters backwards."""
    letters = _letters(rng, rng.randint(3, 6))
    text = " ".join(letters)
    difficulty = {3: 1, 4: 2, 5: 2, 6: 3}[len(letters)]
    return Instance("reverse", {"letters": text}, " ".join(reversed(letters)), difficulty, f"reverse|{text}")


def draw_nth_letter(rng: Random) -> Instance:
    """Name the letter at a position."""
    letters = _letters(rng, rng.randint(4, 6))
    index = rng.randrange(len(letters))
    text = " ".join(letters)
    slots = {"ordinal": ORDINALS[index], "letters": text}
    difficulty = 1 if index == 0 else 2
    return Instance("nth_letter", slots, letters[index], difficulty, f"nth|{text}|{index}", 1 / len(letters))


def draw_count_letter(rng: Random) -> Instance:
    """Count how often a letter occurs (0 to 4)."""
    letter, length, wanted = rng.choice(LETTERS), rng.randint(4, 6), rng.randint(0, 4)
    others = [other for other in LETTERS if other != letter]
    letters = [letter] * wanted + [rng.choice(others) for _ in range(length - wanted)]
    rng.shuffle(letters)
    text = " ".join(letters)
    slots = {"letter": letter, "letters": text}
    return Instance("count_letter", slots, str(wanted), 2 + (length > 5), f"count|{letter}|{text}", 1 / 5)


def draw_email(rng: Random) -> Instance:
    """Copy the one e-mail address out of a sentence."""
    name, other, day, city = rng.choice(NAMES), rng.choice(NAMES), rng.choice(DAYS), rng.choice(CITIES)
    address = f"{name.lower()}{rng.randint(10, 99)}@{rng.choice(MAIL_HOSTS)}"
    text = rng.choice(
        (
            f"{other} wrote to {address} on {day}.",
            f"Please contact {address} in {city}.",
            f"On {day} {other} asked {address} for help.",
            f"{other} from {city} uses {address} now.",
        )
    )
    return Instance("email", {"text": text}, address, 1, f"email|{address}")


def draw_order_code(rng: Random) -> Instance:
    """Copy an order code such as "AB-4821" out of a sentence."""
    code = f"{rng.choice(LETTERS).upper()}{rng.choice(LETTERS).upper()}-{rng.randint(1000, 9999)}"
    name, day, city, count = rng.choice(NAMES), rng.choice(DAYS), rng.choice(CITIES), rng.randint(2, 60)
    text = rng.choice(
        (
            f"{name} sent {count} books with code {code} to {city}.",
            f"On {day} the parcel {code} for {name} came in.",
            f"{name} in {city} waits {count} days for {code} now.",
            f"Order {code} of {name} has {count} items.",
        )
    )
    return Instance("order_code", {"text": text}, code, 1, f"code|{code}")


def draw_sentiment(rng: Random) -> Instance:
    """Positive or negative, with "not" turning the word around in four cases of ten."""
    word, is_negated = rng.choice(POSITIVE + NEGATIVE), rng.random() < 0.4
    thing, city = rng.choice(REVIEWED), rng.choice(CITIES)
    text = f"The {thing} in {city} was {'not ' if is_negated else ''}{word}."
    answer = "positive" if (word in POSITIVE) != is_negated else "negative"
    return Instance("sentiment", {"text": text}, answer, 1, f"sentiment|{text}", 1 / 2)


def draw_topic(rng: Random) -> Instance:
    """One of four topics, told by two nouns."""
    topic = rng.choice(sorted(TOPICS))
    first, second = rng.sample(TOPICS[topic], 2)
    city = rng.choice(CITIES)
    text = f"The {rng.choice(ADJECTIVES)} {first} and the {rng.choice(ADJECTIVES)} {second} in {city}."
    return Instance("topic", {"text": text}, topic, 1, f"topic|{text}", 1 / len(TOPICS))


def draw_weekday(rng: Random) -> Instance:
    """The weekday some days later."""
    days_later, start = rng.randint(1, 20), rng.randrange(7)
    slots = {"count": str(days_later), "day": DAYS[start]}
    difficulty = 1 if days_later < 4 else 2 if days_later < 8 else 3
    key = f"weekday|{days_later}|{start}"
    return Instance("weekday", slots, DAYS[(start + days_later) % 7], difficulty, key, 1 / 7)


def draw_iso_date(rng: Random) -> Instance:
    """A written date as YYYY-MM-DD."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2049)
    name = MONTHS[month - 1]
    text = rng.choice((f"{day} {name} {year}", f"{name} {day}, {year}", f"{name} {day} {year}"))
    answer = f"{year}-{month:02d}-{day:02d}"
    return Instance("iso_date", {"date": text}, answer, 1 if day > 9 else 2, f"date|{answer}")


def draw_json(rng: Random) -> Instance:
    """A person as a JSON object with the keys name, age and city."""
    name, age, city = rng.choice(NAMES), rng.randint(10, 99), rng.choice(CITIES)
    text = rng.choice(
        (
            f"{name} is {age} years old and lives in {city}.",
            f"In {city} lives {name}, aged {age}.",
            f"{name} from {city} is {age}.",
            f"At {age} {name} moved to {city}.",
        )
    )
    answer = f'{{"name": "{name}", "age": {age}, "city": "{city}"}}'
    return Instance("json", {"text": text}, answer, 2, f"json|{name}|{age}|{city}")
