"""Validate an RO-Crate without a network, in an environment that has roc-validator: prints "valid", or a line for each issue.

The two checks that compare the file with the context of RO-Crate on the network are left out; for the others the terms come from a context with the same
names, each as a term of schema.org.
"""

import json
import sys
from pathlib import Path

ONLINE = ("ro-crate-1.1_3.1", "ro-crate-1.1_3.2")
CONTEXT = "https://w3id.org/ro/crate/"
TERMS = {
    "@vocab": "http://schema.org/",
    "File": "http://schema.org/MediaObject",
    "conformsTo": {"@id": "http://purl.org/dc/terms/conformsTo"},
}


def main(crate: Path) -> int:
    """0 where the crate is valid."""
    # here, as the module is imported for its examples where there is no roc-validator, too
    from rdflib.plugins.shared.jsonld import context, util  # type: ignore[import-not-found]

    fetch = util.source_to_json

    def offline(source, *arguments, **options):
        if isinstance(source, str) and source.startswith(CONTEXT):
            return {"@context": TERMS}, None
        return fetch(source, *arguments, **options)

    util.source_to_json = context.source_to_json = offline
    # afterwards: it keeps the functions that it finds
    from rocrate_validator import models, services  # type: ignore[import-not-found]

    settings = {
        "rocrate_uri": str(crate), "profile_identifier": "ro-crate-1.1", "requirement_severity": models.Severity.REQUIRED, "skip_availability_check": True,
        "skip_checks": list(ONLINE),
    }  # fmt: skip
    result = services.validate(services.ValidationSettings.parse(settings))
    issues = [issue for issue in result.get_issues() if issue.check.identifier not in ONLINE]
    for issue in issues:
        print(json.dumps([str(issue.severity), issue.check.identifier, issue.message]))
    if not issues:
        print("valid")
    return 1 if issues else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
