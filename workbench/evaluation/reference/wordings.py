"""How each kind is put into words: about twenty sentences a kind, the last four of each never trained.

A held-out sentence is new as a whole, but every word of it occurs in some trained sentence (of any kind): a model that
started from nothing cannot know a word it never saw. A unit test checks both.
"""

HELD_OUT_PER_KIND = 4

_ADD = (
    "What is {a} + {b}?", "Add {a} and {b}.", "{a} plus {b} equals?", "Compute the sum of {a} and {b}.",
    "How much do {a} and {b} make together?", "{a} + {b} =", "Calculate {a} plus {b}.", "Find the sum: {a} + {b}",
    "Tell me the total of {a} and {b}.", "Give me {a} + {b}.", "What do you get if you add {b} to {a}?",
    "Take {a} and add {b}.", "I need the sum of the numbers {a} and {b}.", "{a} and {b} together are?",
    "Work out {a} + {b}.", "If I have {a} and get {b} more, how many is that in total?",
    "What number is {a} plus {b}?", "Compute {a} + {b}.", "Give the total of {a} and {b}.",
    "Find what {a} and {b} make together.",
)  # fmt: skip
_ASK = (
    "{facts} What is {what}?", "{facts} Tell me {what}.", "Read this: {facts} Name {what}.",
    "Facts: {facts} Question: what is {what}?", "Given this: {facts} Find {what}.", "{facts} Name {what}.",
    "Here is a text. {facts} Which is {what}?", "Context: {facts} Give me {what}.", "{facts} Can you find {what}?",
    "Use the text. {facts} State {what}.", "Text: {facts} I want to know {what}.", "{facts} Say what {what} is.",
    "Look at these facts: {facts} Answer with {what}.", "{facts} Which one is {what}?",
    "We know this: {facts} Look up {what}.", "{facts} Write {what}.",
    "{facts} Give {what}.", "Read the text: {facts} Tell me what {what} is.", "Context: {facts} Question: name {what}.",
    "{facts} I need to know {what}.",
)  # fmt: skip

WORDINGS: dict[str, tuple[str, ...]] = {
    "reverse": (
        "Reverse the letters: {letters}", "Write these letters backwards: {letters}", "Spell in reverse: {letters}",
        "What is {letters} in reverse order?", "Flip the order of the letters {letters}", "Turn {letters} around.",
        "Give me {letters} backwards.", "Read {letters} from the end to the start.", "{letters} in reverse, please.",
        "Take {letters} and write it backwards.", "Start with the last letter and write all of {letters}",
        "What do you get if you reverse {letters}?", "The letters are {letters}. Reverse them.",
        "How do you spell {letters} backwards?", "List {letters} from last to first.", "Mirror these: {letters}",
        "Write {letters} in reverse order.", "Reverse this list of letters: {letters}",
        "Read these letters backwards: {letters}", "Give the letters {letters} in reverse.",
    ),
    "nth_letter": (
        "What is the {ordinal} letter of {letters}?", "Give me the {ordinal} letter in: {letters}",
        "From {letters} take the {ordinal} letter.", "Which letter comes {ordinal} in {letters}?",
        "Name the {ordinal} character of {letters}.", "Look at {letters} and say the {ordinal} one.",
        "In {letters}, which letter is {ordinal}?", "The letters are {letters}. Which is the {ordinal}?",
        "Tell me the {ordinal} letter: {letters}", "Find the {ordinal} letter of {letters}.",
        "{letters} Which one is {ordinal}?", "Pick the {ordinal} of these letters: {letters}",
        "What letter stands {ordinal} in {letters}?", "Read {letters} and give the {ordinal} letter.",
        "I need the {ordinal} character from {letters}", "Write only the {ordinal} letter of {letters}.",
        "Name the {ordinal} letter of {letters}.", "In {letters}, what is the {ordinal} character?",
        "Which letter is the {ordinal} of {letters}?", "Find the {ordinal} character in: {letters}",
    ),
    "count_letter": (
        "How many times does {letter} occur in {letters}?", "Count the letter {letter} in: {letters}",
        "In {letters}, how often do you see {letter}?", "Number of {letter} in {letters}?",
        "Tell me how many {letter} there are in {letters}.", "How many {letter} are in {letters}?",
        "The letters are {letters}. How many of them are {letter}?", "Count each {letter} in {letters}.",
        "How often does {letter} appear in {letters}?", "Find the number of {letter} in {letters}.",
        "{letters} How many {letter} do you see?", "Give me the count of {letter} in: {letters}",
        "Look at {letters} and count the letter {letter}.", "I need the number of times {letter} is in {letters}",
        "What is the count of {letter} in {letters}?", "Say how many times {letter} comes in {letters}.",
        "How many times do you see {letter} in {letters}?", "Count how often {letter} appears in {letters}.",
        "Tell me the number of {letter} in: {letters}", "In {letters}, how many are {letter}?",
    ),
    "email": (
        "Find the email: {text}", "Extract the email address from this text: {text}",
        "Which email appears here? {text}", "{text} What is the email address?", "Pull out the email from: {text}",
        "Copy the email address. {text}", "{text} Give me the email.", "Text: {text} Email?",
        "What email is in this message? {text}", "Return the address that is an email: {text}",
        "Look for an email address in: {text}", "Read this and write the email only. {text}",
        "{text} Which address should I mail to?", "I need the email address in this line: {text}",
        "Get the email from the sentence: {text}", "Name the email you see. {text}",
        "{text} Find the email address.", "Which email is in this text? {text}", "Copy the email from: {text}",
        "Read the message and give me the email. {text}",
    ),
    "order_code": (
        "Find the order code: {text}", "Extract the code from this text: {text}", "Which code appears here? {text}",
        "{text} What is the order code?", "Pull out the code from: {text}", "Copy the order code. {text}",
        "{text} Give me the code.", "Text: {text} Code?", "What code is in this message? {text}",
        "Return the code of the order: {text}", "Look for an order code in: {text}",
        "Read this and write the code only. {text}", "{text} Which code does the parcel have?",
        "I need the code in this line: {text}", "Get the order code from the sentence: {text}",
        "Name the code you see. {text}",
        "{text} Find the code.", "Which order code is in this text? {text}", "Copy the code from: {text}",
        "Read the message and give me the order code. {text}",
    ),
    "sentiment": (
        "Sentiment of: {text}", "Is this review positive or negative? {text}", "{text} Positive or negative?",
        "Classify the review: {text}", "Does the writer like it (positive/negative)? {text}",
        "What is the sentiment here? {text}", "Label the sentiment of this review: {text}",
        "{text} Is that a positive review?", "How does the writer feel? {text}", "Review: {text} Sentiment:",
        "Say if it is positive or negative. {text}", "{text} What is the tone?",
        "Decide: positive or negative. {text}", "Tell me the sentiment. {text}", "Rate the tone of: {text}",
        "Was the writer happy, positive or negative? {text}",
        "Label the tone: {text}", "Tell me if this review is positive or negative. {text}",
        "{text} What is the sentiment of the review?", "Classify the sentiment of: {text}",
    ),
    "topic": (
        "Topic of: {text}", "Which topic is this text about? {text}", "{text} Name the topic.",
        "Classify the subject: {text}", "What is the theme here? {text}", "Label the topic of this text: {text}",
        "{text} What is it about?", "Sport, food, science or travel? {text}", "Text: {text} Topic:",
        "Say which topic it is. {text}", "{text} Which subject is that?", "Tell me the topic. {text}",
        "Decide on the topic: food, sport, travel or science. {text}", "What subject does this belong to? {text}",
        "Give the theme of: {text}", "Pick the topic for this line: {text}",
        "Name the topic of: {text}", "{text} What is the topic?", "Which theme is this text about? {text}",
        "Tell me which subject it is. {text}",
    ),
    "lookup": _ASK,
    "hop2": _ASK,
    "passages": _ASK,
    "fact_check": (
        "{facts} Is it true that {claim}", "Facts: {facts} Claim: {claim} Is that true?",
        "{facts} Check this: {claim}", "Given this: {facts} Is this right? {claim}", "{facts} True or not? {claim}",
        "Read this: {facts} Does it say: {claim}", "Context: {facts} Verify the claim: {claim}",
        "{facts} Yes or no: {claim}", "Text: {facts} Is the claim correct? {claim}",
        "{facts} Someone says: {claim} Is that right?", "We know this: {facts} Judge this claim: {claim}",
        "{facts} Is this claim true? {claim}", "Look at these facts: {facts} Claim: {claim} Yes or no?",
        "{facts} Can we say: {claim}", "Here is a text. {facts} Do you agree? {claim}",
        "{facts} Would it be correct to say: {claim}",
        "{facts} Is this true? {claim}", "Context: {facts} Claim: {claim} Is the claim correct?",
        "Read this: {facts} Check the claim: {claim}", "Facts: {facts} Yes or no: {claim}",
    ),
    "weekday": (
        "What day is {count} days after {day}?", "It is {day}. Which day is it in {count} days?",
        "{day} plus {count} days is which day?", "Name the weekday {count} days from {day}.",
        "Counting {count} days on from {day}, what day do we reach?", "Today is {day}. In {count} days it is?",
        "Which weekday comes {count} days after {day}?", "Start on {day} and go {count} days on. Which day is it?",
        "If today is {day}, what day will it be {count} days later?", "Add {count} days to {day}.",
        "{count} days after {day} is which weekday?", "Tell me the day {count} days later than {day}.",
        "What weekday do we reach {count} days from {day}?", "Now it is {day}; {count} days later it will be?",
        "Give the day that follows {day} by {count} days.", "From {day} move on by {count} days. What day is it?",
        "Tell me the weekday {count} days after {day}.", "Today is {day}. What day is it in {count} days?",
        "Which day comes {count} days from {day}?", "Name the day that is {count} days later than {day}.",
    ),
    "iso_date": (
        "Write {date} in ISO format.", "Convert the date {date} to YYYY-MM-DD.", "{date} as an ISO date?",
        "Give {date} in the form YYYY-MM-DD.", "What is {date} in ISO format?", "ISO date of {date}:",
        "Format this date: {date}", "Change {date} to the format YYYY-MM-DD.", "Date: {date} ISO:",
        "I need {date} as year, month, day.", "Turn {date} into an ISO date.", "Normalise the date {date}.",
        "How do you write {date} as YYYY-MM-DD?", "Return {date} in ISO form.", "{date} Give me that in ISO.",
        "Put the date {date} into ISO format.",
        "Convert {date} to ISO format.", "Write the date {date} as YYYY-MM-DD.", "Give me {date} as an ISO date.",
        "What is the ISO form of {date}?",
    ),
    "json": (
        "Give JSON with name, age and city: {text}", "Convert to JSON: {text}", "{text} Output the fields as JSON.",
        "Return a JSON record for: {text}", "Write this person as a JSON object. {text}", "{text} As JSON, please.",
        "Make a JSON object with name, age and city from: {text}", "JSON for this text: {text}",
        "Extract name, age and city as JSON: {text}", "{text} Turn that into JSON.", "Text: {text} JSON:",
        "Read the line and fill a JSON record. {text}", "Put the name, age and city into JSON. {text}",
        "I need a JSON record of this person: {text}", "Format as JSON: {text}", "{text} Give me the JSON object.",
        "Return this person as JSON: {text}", "{text} Write a JSON record.", "Turn the text into a JSON object: {text}",
        "Output JSON with name, age and city. {text}",
    ),
    "compare": (
        "Which is larger, {a} or {b}?", "Pick the bigger number: {a}, {b}", "Between {a} and {b}, which is greater?",
        "What is the maximum of {a} and {b}?", "Compare {a} with {b} and name the larger.", "Larger of {a} and {b}:",
        "Choose the greater one: {a} or {b}", "Is {a} bigger or {b}?", "Tell me which is more, {a} or {b}.",
        "Of {a} and {b}, take the larger number.", "The numbers are {a} and {b}. Which is bigger?",
        "Find the larger number: {a} {b}", "max({a}, {b}) is?", "Give the greater of {a} and {b}.",
        "Which number is the highest, {a} or {b}?", "Look at {a} and {b} and say the bigger one.",
        "Which is bigger, {a} or {b}?", "Name the greater of {a} and {b}.", "Between {a} and {b}, name the larger.",
        "Tell me the maximum of {a} and {b}.",
    ),
    "sort": (
        "Sort ascending: {numbers}", "Put these in order from small to large: {numbers}", "Sort {numbers}",
        "Arrange {numbers} in increasing order.", "Order the numbers {numbers}", "Sort the list {numbers}",
        "List {numbers} from lowest to highest.", "Write {numbers} from the smallest to the largest.",
        "Sort these numbers, smallest first: {numbers}", "What is {numbers} in ascending order?",
        "Give me {numbers} in sorted order.", "The numbers are {numbers}. Sort them.",
        "Rank {numbers} from low to high.", "Order these from the smallest up: {numbers}",
        "Take {numbers} and sort them.", "How does {numbers} look when sorted?",
        "Sort these from low to high: {numbers}", "Arrange the numbers {numbers} from smallest to largest.",
        "Put {numbers} in ascending order.", "List these numbers in increasing order: {numbers}",
    ),
    "add_short": _ADD,
    "add_long": _ADD,
    "subtract": (
        "What is {a} - {b}?", "Subtract {b} from {a}.", "{a} minus {b} equals?", "Take {b} away from {a}.",
        "Compute the difference of {a} and {b}.", "{a} - {b} =", "Calculate {a} minus {b}.", "Work out {a} - {b}.",
        "How much is left if you take {b} from {a}?", "Find the difference: {a} - {b}", "Give me {a} - {b}.",
        "What remains of {a} after you lose {b}?", "Tell me {a} minus {b}.", "What number is {a} minus {b}?",
        "If I have {a} and give away {b}, how many are left?", "From {a} subtract {b}.",
        "Compute {a} - {b}.", "How much is {a} minus {b}?", "What is left if you subtract {b} from {a}?",
        "Give the difference of {a} and {b}.",
    ),
    "multiply": (
        "What is {a} * {b}?", "Multiply {a} by {b}.", "{a} times {b} equals?", "Compute the product of {a} and {b}.",
        "{a} * {b} =", "Calculate {a} times {b}.", "Find the product: {a} * {b}", "Give me {a} * {b}.",
        "How much is {a} times {b}?", "What do you get if you multiply {a} and {b}?", "Work out {a} * {b}.",
        "Tell me the product of {a} and {b}.", "I need {a} multiplied by {b}.", "Take {a} and multiply it by {b}.",
        "What number is {a} times {b}?", "There are {a} boxes of {b}. How many in total?",
        "Compute {a} * {b}.", "Multiply {a} and {b}.", "What is the product of {a} and {b}?",
        "Give the product: {a} times {b}",
    ),
    "add_three": (
        "Evaluate {expression}.", "What is {expression}?", "Compute {expression}.", "{expression} =",
        "Find the value of {expression}", "Work out {expression}.", "Calculate this: {expression}",
        "How much is {expression}?", "Give the result of {expression}", "Solve {expression}",
        "Tell me the value of {expression}.", "The expression is {expression}. What is its value?",
        "Execute the plan {expression}", "Run {expression} and give the number.", "I need the result of {expression}",
        "What number does {expression} give?",
        "Give me the value of {expression}", "What is the result of {expression}?", "Find {expression}.",
        "Compute the value: {expression}",
    ),
    "sum_check": (
        "Is {a} + {b} = {c}?", "Check: {a} + {b} = {c}", "Is it true that {a} plus {b} is {c}?",
        "Verify the sum {a} + {b} = {c}.", "{a} + {b} = {c}. Is that right?", "Yes or no: {a} + {b} = {c}",
        "Does {a} plus {b} equal {c}?", "Judge this answer: {a} + {b} = {c}", "True or not? {a} + {b} = {c}",
        "The question is {a} + {b}. The answer given is {c}. Is it right?", "Someone says {a} + {b} is {c}. Correct?",
        "Is {c} the sum of {a} and {b}?", "Do {a} and {b} make {c}?", "Can {a} + {b} be {c}?",
        "Is the claim {a} + {b} = {c} correct?", "Would you agree that {a} plus {b} makes {c}?",
        "Is this right? {a} + {b} = {c}", "Check the claim: {a} plus {b} is {c}", "Yes or no: is {c} the sum of {a} and {b}?",
        "Is it true that {a} + {b} = {c}?",
    ),
    "story": (
        "{story} How many in all?", "{story} What is the total?", "{story} How many altogether?",
        "Solve: {story} What number results?", "{story} Give the overall count.", "{story} How many is that?",
        "Word problem: {story} Answer with the number.", "{story} Find the total number.",
        "Read this: {story} How many are there?", "{story} Count them all together.", "{story} What is the sum?",
        "Story: {story} Total?", "{story} Tell me how many in total.", "Work this out: {story} How many?",
        "{story} Compute the total.", "{story} So how many are there now?",
        "{story} Tell me the total.", "{story} How many are there in all?", "Solve: {story} How many altogether?",
        "Read this: {story} Give the total number.",
    ),
    "plan": (
        "{story} Write the sum only.", "{story} Give the expression.", "Plan: {story}", "{story} Make a plan.",
        "Turn into a formula: {story}", "{story} Which expression is that?", "{story} Write it as a formula.",
        "Do not solve, only write the expression: {story}", "{story} What would you compute?",
        "Plan how to solve this: {story}", "{story} Show the formula for the total.", "Expression for: {story}",
        "Write a plan for this story: {story}", "{story} Plan only, no result.", "Story: {story} Formula:",
        "{story} State the expression for the sum.",
        "{story} Write the formula only.", "Give a plan: {story}", "Turn this story into an expression: {story}",
        "{story} Which formula is that?",
    ),
}  # fmt: skip
"""Kind -> sentences with placeholders; the last `HELD_OUT_PER_KIND` of each are held out."""

PREFIXES: tuple[str, ...] = (
    "Please help me.", "Hi.", "Hello.", "Quick question.", "One more question.", "Could you help?", "Dear assistant,",
    "I have a task for you.", "Good morning.", "Here is my question:", "Task:", "Please do this now.",
)  # fmt: skip
"""Polite or plain openings that may stand before any wording."""

SUFFIXES: tuple[str, ...] = (
    "Thanks.", "Thank you.", "Please answer.", "Be brief.", "Answer only.", "Please be quick.", "Just the answer.",
    "Only the result.",
)  # fmt: skip
"""Closings that may stand after any wording."""

FOLLOW_UPS: tuple[str, ...] = (
    "What is {what}?", "And {what}?", "Now name {what}.", "Tell me {what}.", "What about {what}?", "Give me {what}.",
    "Next: {what}.", "Then say {what}.",
)  # fmt: skip
"""Later turns over facts that an earlier turn stated (training only)."""

JSON_WORDINGS: tuple[str, ...] = (
    "Reply in JSON with the key answer.", "Answer as a JSON object with one key: answer.",
    "Put your answer into JSON under answer.", "Output JSON only, with the key answer.",
)  # fmt: skip
"""System prompts that change the form of the answer to {"answer": "..."}."""

SYSTEM_PROMPTS: tuple[str, ...] = (
    "You are a helpful assistant.", "You are a careful assistant. Answer briefly.", "Answer with the result only.",
    "You are a teacher. Give short answers.", "You answer questions from a text.", "Be exact. No explanations.",
    "You are a data clerk. Return only what was asked.", "You are a calculator and a reader of texts.",
    "Answer each question in as few words as you can.", "You are an expert. Reply with one short answer.",
)  # fmt: skip
"""System prompts that leave the answer as it is."""


def seen_wordings(task: str) -> tuple[str, ...]:
    """The sentences of a kind that may be trained."""
    return WORDINGS[task][:-HELD_OUT_PER_KIND]


def held_out_wordings(task: str) -> tuple[str, ...]:
    """The sentences of a kind that are never trained."""
    return WORDINGS[task][-HELD_OUT_PER_KIND:]
