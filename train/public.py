"""Public data sets as examples, from a folder that the operator names. Reads only what lies there; nothing is fetched.

| file under the folder | what | licence |
|---|---|---|
| train/general/self_instruct_seed_tasks.jsonl | general tasks, against forgetting | Apache-2.0 |
| train/support/bitext_customer_support_4514.csv | tone of support; rows with blanks to fill in are left out | CDLA-Sharing-1.0 |
| train/medical/MedQuAD_*_QA.tar.gz | answers of the NIH and CDC of at most 250 words | CC-BY-4.0 |
| train/banking/tau2_banking_documents.tar.gz | customer-facing documents of one fictional bank | MIT |
| train/telecom/tau2_tech_support_*.md | sections of a manual and a workflow of technical support | MIT |
| eval/**, safety/** | what others measure on: never trained on, whatever brings it | |
"""

import csv
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree  # files that the operator put there; expat limits entity expansion since 2.4.1

from model.chat import Message
from train.errors import PublicDataInvalid
from train.examples import Example
from train.recipe import Recipe

_FEWEST_WORDS, _MOST_WORDS = 12, 250
# Whatever the readers of these formats make of a file that is none.
_ARCHIVE_DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError)
_DAMAGE = (*_ARCHIVE_DAMAGE, ValueError, KeyError, IndexError, AttributeError, TypeError, ElementTree.ParseError, csv.Error)


@dataclass(frozen=True, slots=True)
class _Row:
    """One pair of a source: its number there, the document it stems from, and the texts."""

    name: str
    document: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    pattern: str
    domain: str
    licence: str
    read: Callable[[Path], Iterator[_Row]]


def examples(folder: Path | None, recipe: Recipe, system_prompt: str) -> list[Example]:
    """At most `recipe.public_per_source` examples of each source to train on and `recipe.held_out` to measure on, always the same ones.

    Raises PublicDataInvalid.
    """
    if folder is None or recipe.public_per_source == 0:
        return []
    return [example for source in _SOURCES for example in _chosen(source, folder, recipe, system_prompt)]


def measured_on(folder: Path | None) -> Iterator[str]:
    """Every text of the sets that others measure on, one after another. Raises PublicDataInvalid."""
    for part in ("eval", "safety") if folder is not None else ():
        for path in sorted((folder / part).rglob("*")) if folder is not None else ():
            if path.suffix in _TEXTS:
                try:
                    yield from _TEXTS[path.suffix](path)
                except _DAMAGE as error:
                    raise _unreadable(path, "a set to measure on", error) from error


def _chosen(source: _Source, folder: Path, recipe: Recipe, system_prompt: str) -> list[Example]:
    found = _found(source, folder, system_prompt)
    trained = [example for example in found if not example.held_out][: recipe.public_per_source]
    return trained + [example for example in found if example.held_out][: recipe.held_out]


def _found(source: _Source, folder: Path, system_prompt: str) -> list[Example]:
    """Every usable row, in an order that is as good as by chance and always the same."""
    rows = [row for path in sorted(folder.glob(source.pattern)) for row in _read(source, path)]
    usable = [row for row in rows if row.question and row.answer and len(row.answer.split()) <= _MOST_WORDS]
    usable.sort(key=lambda row: hashlib.sha256(row.name.encode()).digest())
    return [
        Example(
            id=f"public/{source.name}/{row.name}",
            group=f"public/{source.name}/{row.document}",
            messages=(Message("system", system_prompt), Message("user", row.question)),
            response=row.answer,
            domain=source.domain,
            source=source.name,
            licence=source.licence,
        )
        for row in usable
    ]


def _read(source: _Source, path: Path) -> Sequence[_Row]:
    try:
        return list(source.read(path))
    except _DAMAGE as error:
        raise _unreadable(path, source.name, error) from error


def _unreadable(path: Path, what: str, error: Exception) -> PublicDataInvalid:
    return PublicDataInvalid(f"{path} can't be read as {what} ({type(error).__name__}: {error}); restore it, or unset CARE_PUBLIC_DATA")


def _self_instruct(path: Path) -> Iterator[_Row]:
    for line in path.read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        instance = task["instances"][0]
        yield _Row(task["id"], task["id"], f"{task['instruction']}\n{instance['input']}".strip(), instance["output"].strip())


def _bitext(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if "{{" not in row["instruction"] + row["response"]:
                yield _Row(str(number), row["intent"] + str(number), row["instruction"].strip(), row["response"].strip())


def _medquad(path: Path) -> Iterator[_Row]:
    for name, content in _members(path, ".xml"):
        root = ElementTree.fromstring(content)  # noqa: S314  # see the import
        for pair in root.iter("QAPair"):
            question, answer = _squeezed(pair.findtext("Question")), _squeezed(pair.findtext("Answer"))
            document = f"{path.stem}/{Path(name).stem}"
            yield _Row(
                f"{document}/{pair.get('pid')}", document, re.sub(r"\s*\?+(\s*\?)*$", "?", question), answer.removeprefix("Summary : ")
            )


def _tau2(path: Path) -> Iterator[_Row]:
    for _, content in _members(path, ".json"):
        document = json.loads(content)
        if not document["title"].startswith("Internal"):
            yield _Row(document["id"], document["id"], f"At Rho-Bank: {document['title']}", document["content"].strip())


def _telecom(path: Path) -> Iterator[_Row]:
    """Each section with its heading as the question; what agents call their tools is said in words."""
    for heading, body in re.findall(r"^#+ (.+)\n((?:(?!#).*\n?)*)", path.read_text(encoding="utf-8"), re.MULTILINE):
        title = re.sub(r"^(?:Step|Path) [\d.]+: ", "", heading.strip()).rstrip("?")
        text = re.sub(r"`(\w+)\(\)`", lambda name: name.group(1).replace("_", " "), body).strip()
        if len(text.split()) >= _FEWEST_WORDS:
            yield _Row(f"{path.stem}/{heading.strip()}/{len(text)}", title, f"How does technical support handle this: {title}?", text)


def _texts_of_table(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","):
            yield from row


def _texts_of_json(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    left = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            left.extend(value.values() if isinstance(value, dict) else value)


def _members(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    """The files of an archive, in memory: nothing is unpacked to the disk."""
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(ending) else None
            if file is not None:
                yield member.name, file.read()


def _squeezed(text: str | None) -> str:
    return " ".join((text or "").split())


_TEXTS = {".csv": _texts_of_table, ".tsv": _texts_of_table, ".json": _texts_of_json, ".jsonl": _texts_of_json}
_SOURCES = (
    _Source("self-instruct", "train/general/self_instruct_seed_tasks.jsonl", "other", "Apache-2.0", _self_instruct),
    _Source("bitext", "train/support/bitext_customer_support_4514.csv", "other", "CDLA-Sharing-1.0", _bitext),
    _Source("medquad", "train/medical/MedQuAD_*_QA.tar.gz", "medical", "CC-BY-4.0", _medquad),
    _Source("tau2-telecom", "train/telecom/tau2_tech_support_*.md", "telecom", "MIT", _telecom),
    _Source("tau2-bank", "train/banking/tau2_banking_documents.tar.gz", "banking", "MIT", _tau2),
)
