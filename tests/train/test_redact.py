"""What is masked before anybody else sees it, and what must survive."""

import os
import socket
import time
from pathlib import Path

import pytest

from deploy.measure.redaction import FILE, held_out, measure
from train.errors import RedactorUnusable
from train.redact import Redactor

PUBLIC = Path(os.environ.get("CARE_PUBLIC_DATA") or Path(__file__).parents[2] / "../shared/data")
SYNTHETIC = PUBLIC / FILE


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the redactor called out")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.skipif(not SYNTHETIC.exists(), reason="CARE_PUBLIC_DATA is not there")
def test_on_the_half_that_no_rule_was_made_on_nothing_that_counts_is_missed(redactor: Redactor) -> None:
    counts, precision = measure(held_out(PUBLIC), redactor)
    recall = {kind: found / n for kind, (found, n) in counts.items()}
    for kind in ("CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS", "US_SSN", "IP_ADDRESS"):
        assert recall[kind] == 1.0, recall
    assert recall["PHONE_NUMBER"] >= 0.95
    assert recall["STREET_ADDRESS"] >= 0.7
    assert precision >= 0.9


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("my name is jonas berg and my card 4111 1111 1111 1111 is gone", "my name is <NAME> and my card <CARD> is gone"),
        ("hi this is maria calling about acct 12345678", "hi this is <NAME> calling about acct <ACCOUNT>"),
        ("mrn 4432187 pls", "mrn <RECORD> pls"),
        ("call me 0171 5556677 or +49 171 5556677", "call me <PHONE> or <PHONE>"),
        ("my iccid is 8949 0200 0010 2345 678", "my iccid is <SIM>"),
        ("sort code 20-00-00", "sort code <ACCOUNT>"),
        ("last four digits are 4821", "last four digits are <NUMBER>"),
        ("the puk is 83920184", "the puk is <PIN>"),
        ("my password is hunter2!", "my password is <PIN>"),
        ("born on 3 May 1961 in Ulm", "born on <DATE> in Ulm"),
        ("I live at 12 Rosewood Lane, Bath", "I live at <ADDRESS>"),
        ("mail me: jo.doe@example.co.uk", "mail me: <EMAIL>"),
        ("pay to de89370400440532013000 please", "pay to <IBAN> please"),
        ("ticket 48812093 again", "ticket <ACCOUNT> again"),
        ("Dear Mr Smith, thanks", "Dear <NAME>, thanks"),
        ("card 4111_1111_1111_1111 or 4111,1111,1111,1111", "card <CARD> or <CARD>"),
        ("my password is hunter2<OK>", "my password is <PIN><OK>"),
        ("PIN: **1234**", "PIN: **<PIN>**"),
        ("Name: Ada Lovelace", "Name: <NAME>"),
    ],
)
def test_what_people_paste_into_support_is_masked(redactor: Redactor, text: str, masked: str) -> None:
    assert redactor.redact(text).text == masked


@pytest.mark.parametrize(
    "text",
    [
        "error 691 appears since 2024",
        "my bill is $1500 for 30 days",
        "iPhone 14 on 5G, 24 hours, call 112",
        "It costs 12000 dollars, or 3.70 a day in 41 countries",
        "The desk is open from 7:30 to 11:15 on weekdays",
        "below about 135 over 85 at rest is normal; take 1000 mg daily",
        "Step 1. Switch it off. Step 2. Wait 10 seconds.",
        "I'm worried about my contract",
        "Open Settings, then Mobile network, then Access point names",
    ],
)
def test_what_an_answer_needs_survives(redactor: Redactor, text: str) -> None:
    assert redactor.redact(text).text == text


def test_names_that_the_platforms_show_are_masked_wherever_they_stand() -> None:
    assert Redactor(["Ada Byron", "Bo"]).redact("ask ADA BYRON, not Bo").text == "ask <NAME>, not Bo"  # two letters are a word too often


def test_redacting_twice_changes_nothing(redactor: Redactor) -> None:
    once = redactor.redact("my name is Ada, card 4111111111111111, call 0171 5556677")
    assert redactor.redact(once.text).text == once.text
    assert once.found == {"NAME": 1, "CARD": 1, "PHONE": 1}


def test_a_long_text_takes_no_time(redactor: Redactor) -> None:
    began = time.process_time()
    for text in ("0" * 20_000, "1 a " * 5_000, "a@" * 10_000, "Apt 3 " * 3_000, "12 Long Lane, " * 1_400):
        redactor.redact(text)
    assert time.process_time() - began < 10


def test_a_model_for_names_that_is_not_there_is_said_by_name() -> None:
    with pytest.raises(RedactorUnusable, match="CARE_NAMES_MODEL='no_such_model'"):
        Redactor(names_model="no_such_model")
