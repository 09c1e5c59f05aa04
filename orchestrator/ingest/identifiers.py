"""The site's rules for identifiers from their TOML file, checked, and into the object store (docs/identifiers.md)."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.dicom.identifiers import LONGEST, Identifiers
from common.errors import BadIdentifiers
from common.store import ObjectStore

DOCUMENTED = "docs/identifiers.md describes every key."
COLUMNS = ["old", "new"]
DELIMITERS = ",;\t"
MAP = "map"
SHOWN_ERRORS = 20


def load_identifiers(path: Path) -> Identifiers:
    """Read and check a rule file and the lists that it names, which lie beside it.

    Raises:
        BadIdentifiers: a file cannot be read, or holds errors; each is named with its place, and none with a value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadIdentifiers(
            f"the rules for identifiers cannot be read: {error.strerror}", hint="Check the path."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadIdentifiers(f"the rules for identifiers are no TOML: {error}", hint=DOCUMENTED) from error
    patients = values.get("patient")
    if isinstance(patients, list):
        values["patient"] = [_with_list(rule, path.parent) for rule in patients]
    try:
        rules = Identifiers.model_validate(values)
    except ValidationError as error:
        raise BadIdentifiers(f"the rules for identifiers are wrong: {_faults(error)}", hint=DOCUMENTED) from error
    if not rules.patient and not rules.accession:
        raise BadIdentifiers("the file has no rule for identifiers", hint=DOCUMENTED)
    return rules


def put_identifiers(rules: Identifiers | None, store: ObjectStore) -> str | None:
    """Bring rules to the store, where workers read them; returns their key. Raises: StoreFault."""
    if rules is None:
        return None
    if store.size(rules.key) is None:
        store.put(rules.key, rules.json_bytes)
    return rules.key


def _with_list(rule: Any, folder: Path) -> Any:
    """The rule with the list of IDs that its ``map`` names."""
    if not isinstance(rule, dict) or MAP not in rule:
        return rule
    if "ids" in rule or not isinstance(rule[MAP], str):
        raise BadIdentifiers("a patient rule has either ids or map, the name of a CSV", hint=DOCUMENTED)
    return {name: value for name, value in rule.items() if name != MAP} | {"ids": _list(folder / rule[MAP])}


def _list(path: Path) -> dict[str, str]:
    """Old → new Patient ID. Raises: BadIdentifiers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            delimiter = max(DELIMITERS, key=first.count)
            if [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])] != COLUMNS:
                raise BadIdentifiers("the list of patient IDs does not begin with the line: old,new", hint=DOCUMENTED)
            return _rows(csv.reader(stream, delimiter=delimiter, strict=True))
    except OSError as error:
        raise BadIdentifiers(
            f"the list of patient IDs cannot be read: {error.strerror}", hint="Check its path."
        ) from error
    except UnicodeDecodeError as error:
        raise BadIdentifiers("the list of patient IDs is not UTF-8", hint="Save it again as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise BadIdentifiers(
            f"the list of patient IDs is not a CSV: {error}", hint="Check its quotation marks."
        ) from error


def _rows(lines: Any) -> dict[str, str]:
    ids: dict[str, str] = {}
    errors: list[str] = []
    for cells in lines:
        number, row = lines.line_num + 1, [cell.strip() for cell in cells]
        if not any(row):
            continue
        if len(row) != len(COLUMNS) or not all(row):
            errors.append(f"line {number}: not two values")
        elif row[0] in ids:
            errors.append(f"line {number}: this old ID is there twice")
        elif len(row[1]) > LONGEST["PatientID"]:
            errors.append(f"line {number}: the new ID is longer than {LONGEST['PatientID']} characters (PS3.5 6.2)")
        else:
            ids[row[0]] = row[1]
    if errors:
        more = [f"… and {len(errors) - SHOWN_ERRORS} more"] if len(errors) > SHOWN_ERRORS else []
        said = "; ".join([*errors[:SHOWN_ERRORS], *more])
        raise BadIdentifiers(f"the list of patient IDs has errors: {said}", hint="Mend these lines.")
    return ids


def _faults(error: ValidationError) -> str:
    """Where and what, without the values: the place of one in a list of IDs would be an ID itself."""
    faults = error.errors(include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'][:3]))}: {fault['msg']}" for fault in faults)
