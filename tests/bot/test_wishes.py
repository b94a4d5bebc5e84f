"""Which words hand a conversation over, and which are a question about people."""

import pytest

from bot.connectors.wishes import says_more, wishes_for_a_person

WISHES = """
human
Human please!
a human, please
agent
real person
talk to a human
Can I talk to a human?
please let me speak to somebody
I need a human
i need a human now!!
I want a real person
I want to speak to a real person
I'd like to talk to someone
I’d rather talk to a person
I would prefer to speak with a human agent
Transfer me to an agent
transfer me to a live agent please
Could you please connect me with a representative?
Put me through to a person
Can you put me in touch with a human?
escalate this to a human
Get me a human
Is there somebody I can talk to?
How do I talk to a human?
Hello, can I talk to a human please
OK, I want to talk to a human being
May I speak to a colleague instead?
"""
MORE = """
Can I talk to a human? My bill is wrong
My bill is wrong. I want to talk to a person.
Can I talk to someone about my bill?
I need a human, this does not help
My router is red
and blinks; can I speak to an agent?
"""
QUESTIONS = """
human rights?
Is a human eye a camera?
Who can speak to a person's rights?
can a human body live without a spleen?
who is the agent on my case?
Are you a human?
Am I talking to a human?
I don't want to talk to a human
Do I need a human translator?
I need an agent for my insurance claim
I need a real estate agent
Can I transfer money to a person abroad?
How do I talk to a person who is angry?
How do I transfer my contract to somebody?
Can I talk to my doctor about this?
Connect me to the internet
What does an agent do?
Can you give me a person's address?
How many humans live in Norway?
The agent said that I should talk to a human, is that right?
Can I speak to a person in prison?
I want a person, place and thing for a game
Give me somebody's number
Who decides that? A human?
"""


def lines(table: str) -> list[str]:
    return table.strip().splitlines()


@pytest.mark.parametrize("words", lines(WISHES))
def test_a_clear_wish_for_a_person_is_one_and_nothing_else(words: str) -> None:
    assert wishes_for_a_person(words)
    assert not says_more(words)


@pytest.mark.parametrize("words", [*lines(MORE)[:4], "\n".join(lines(MORE)[4:])])
def test_a_wish_that_says_why_is_one_and_its_reason_is_for_the_person(words: str) -> None:
    assert wishes_for_a_person(words)
    assert says_more(words)


@pytest.mark.parametrize("words", [*lines(QUESTIONS), "", "?!", "real " * 2000, "i want to " * 5000])
def test_a_question_about_people_is_a_question(words: str) -> None:
    assert not wishes_for_a_person(words)
