"""Checks the manifest in a package against Microsoft's JSON schema: `python schema.py PACKAGE SCHEMA`, where jsonschema is installed."""

import json
import sys
import zipfile
from pathlib import Path


def main() -> int:
    """0 where it fits; each fault a line."""
    import jsonschema  # only where this runs

    with zipfile.ZipFile(sys.argv[1]) as package:
        manifest = json.loads(package.read("manifest.json"))
    checker = jsonschema.Draft4Validator(json.loads(Path(sys.argv[2]).read_text()))
    faults = [f"{'.'.join(map(str, error.absolute_path)) or 'manifest'}: {error.message}" for error in checker.iter_errors(manifest)]
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
