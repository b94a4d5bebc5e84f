import pytest

from bot import domains

RULES = domains.load()


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("My router drops the Wi-Fi every evening", "telecom"),
        ("How do I activate an eSIM?", "telecom"),
        ("Which dose of ibuprofen is right for a fever?", "medical"),
        ("Someone made a transfer from my account", "banking"),
        ("How do I dispute a charge on my credit card?", "banking"),
        ("Simple question: what is the capital of France?", "other"),
        ("", "other"),
    ],
)
def test_a_question_gets_the_domain_whose_words_it_uses(text: str, domain: str) -> None:
    assert RULES.label(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "I have chest pain and my arm is numb",
        "My dad can't breathe",
        "she took too many pills",
        "I want to kill myself",
        "He is unconscious and not breathing",
        "My throat is closing after a bee sting",
        "I smell a GAS LEAK in the kitchen",
        "I think I'm having a stroke",
        "the wound won’t stop bleeding",
        "he isn't breathing",
        "my chest hurts badly",
        "there is a fire in my kitchen",
    ],
)
def test_what_looks_like_an_emergency_is_seen(text: str) -> None:
    assert RULES.is_emergency(text)


@pytest.mark.parametrize(
    "text",
    [
        "My phone died, can I get a new battery?",
        "How do I kill a background app?",
        "My chest freezer needs an internet connection",
        "I passed the identity check, what now?",
        "What are the symptoms of a cold?",
        "My card was stolen",
        "How do I end my life insurance?",
    ],
)
def test_everyday_questions_are_no_emergency(text: str) -> None:
    assert not RULES.is_emergency(text)
