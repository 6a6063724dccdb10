"""Number kinds, graded by operand length.

Forms of one fact share one key: a + b, b + a, (a + b) - b and a yes/no judgement of a + b are the same instance.
"""

from random import Random

from workbench.evaluation.reference.items import Instance
from workbench.evaluation.reference.lexicon import DAYS, ITEMS, NAMES


def _with_digits(rng: Random, digits: int) -> int:
    """A number of exactly that many digits; one digit includes 0."""
    return rng.randint(0 if digits == 1 else 10 ** (digits - 1), 10**digits - 1)


def _sum_key(*operands: int) -> str:
    return "sum|" + "|".join(map(str, sorted(operands)))


def draw_compare(rng: Random) -> Instance:
    """The larger of two numbers, half of them close together."""
    first = rng.randint(10, 999)
    second = rng.randint(10, 999) if rng.random() < 0.5 else first + rng.choice((-20, -9, -3, -1, 1, 4, 7, 15))
    if second == first or second < 1:
        second = first + 1
    slots = {"a": str(first), "b": str(second)}
    difficulty = 2 if abs(first - second) <= 20 else 1
    low, high = sorted((first, second))
    return Instance("compare", slots, str(high), difficulty, f"compare|{low}|{high}", 1 / 2)


def draw_sort(rng: Random) -> Instance:
    """Three to five two-digit numbers in ascending order."""
    numbers = rng.sample(range(10, 100), rng.randint(3, 5))
    ordered = sorted(numbers)
    answer = " ".join(map(str, ordered))
    slots = {"numbers": " ".join(map(str, numbers))}
    return Instance("sort", slots, answer, len(numbers) - 2, f"sort|{answer}")


def _addition(rng: Random, task: str, lengths: tuple[int, int], difficulty: int) -> Instance:
    a, b = (_with_digits(rng, digits) for digits in lengths)
    return Instance(task, {"a": str(a), "b": str(b)}, str(a + b), difficulty, _sum_key(a, b))


def draw_add_short(rng: Random) -> Instance:
    """Two numbers of one or two digits, lengths mixed."""
    lengths = rng.choices(((1, 1), (1, 2), (2, 1), (2, 2)), (1, 2, 2, 5))[0]
    return _addition(rng, "add_short", lengths, 2 if lengths == (2, 2) else 1)


def draw_add_long(rng: Random) -> Instance:
    """Two numbers of up to four digits, at least one with three."""
    lengths = rng.choices(((3, 1), (3, 2), (2, 3), (3, 3), (4, 3), (4, 4)), (1, 1, 1, 3, 1, 1))[0]
    return _addition(rng, "add_long", lengths, 3 if 4 in lengths else 2)


def draw_subtract(rng: Random) -> Instance:
    """A two-digit number minus a smaller one; shares its key with the addition it undoes."""
    a = rng.randint(10, 99)
    b = rng.randint(1, a)
    slots = {"a": str(a), "b": str(b)}
    return Instance("subtract", slots, str(a - b), 1 if b < 10 else 2, _sum_key(b, a - b))


def draw_multiply(rng: Random) -> Instance:
    """A one-digit times a two-digit number, in either order."""
    small, large = rng.randint(2, 9), rng.randint(10, 99)
    a, b = (small, large) if rng.random() < 0.5 else (large, small)
    slots = {"a": str(a), "b": str(b)}
    return Instance("multiply", slots, str(a * b), 3 if small > 5 else 2, f"product|{small}|{large}")


def draw_add_three(rng: Random) -> Instance:
    """A chain such as 12+5+30, the form a plan hands to an executor."""
    numbers = [rng.randint(2, 49) for _ in range(3)]
    slots = {"expression": rng.choice((" + ", "+")).join(map(str, numbers))}
    return Instance("add_three", slots, str(sum(numbers)), 3, _sum_key(*numbers))


def draw_sum_check(rng: Random) -> Instance:
    """Is a proposed sum right? Wrong ones are off by 1, 2 or 10."""
    a, b = rng.randint(2, 49), rng.randint(2, 49)
    is_right = rng.random() < 0.5
    shown = a + b + (0 if is_right else rng.choice((-10, -2, -1, 1, 2, 10)))
    slots = {"a": str(a), "b": str(b), "c": str(shown)}
    return Instance("sum_check", slots, "yes" if is_right else "no", 2, _sum_key(a, b), 1 / 2)


def _story(rng: Random) -> tuple[str, tuple[int, int, int]]:
    name, item, day = rng.choice(NAMES), rng.choice(ITEMS), rng.choice(DAYS)
    a, b, c = (rng.randint(2, 49) for _ in range(3))
    text = rng.choice(
        (
            f"{name} has {a} {item}, buys {b} and then finds {c} more.",
            f"{name} got {a} {item} on {day}, {b} the next day and {c} later.",
            f"There were {a} {item}; {name} brought {b} and {c} others came.",
            f"{name} counts {a} {item} here, {b} there and {c} at home.",
        )
    )
    return text, (a, b, c)


def draw_story(rng: Random) -> Instance:
    """The total of a three-number word problem, in one go."""
    text, numbers = _story(rng)
    return Instance("story", {"story": text}, str(sum(numbers)), 3, _sum_key(*numbers))


def draw_plan(rng: Random) -> Instance:
    """The expression that solves the word problem, not its value."""
    text, numbers = _story(rng)
    return Instance("plan", {"story": text}, "+".join(map(str, numbers)), 1, _sum_key(*numbers))
