"""The command line with the small twin that tests share: ``python -m tests.faults.small_emtwin ARGUMENTS``."""

import scenarios.acquire.build
from scenarios.cli.main import main
from tests.small import small_gram

if __name__ == "__main__":
    # only here: importing this module, as doctests do, must not change the model of other tests
    scenarios.acquire.build.crystal.build_gram = lambda *_, **__: small_gram()
    main()
