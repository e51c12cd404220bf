"""The option ``--keys``: every key of the scenarios of a command."""

from scenarios.cli.outcome import DONE, Outcome


def list_keys(command: str, as_json: bool) -> Outcome:
    """Every key of the scenarios that ``command`` runs, printed or as plain values."""
    from scenarios import presets
    from scenarios.acquire import scenario
    from scenarios.keys.show import keys_as_dict, print_keys
    from twin.simulation.plan import tables as plan
    from twin.simulation.plan.spectrum_tables import listed

    if command == "plan":
        from scenarios.question import tables as question
        from scenarios.question.reading import described

        tables, named = question.tables(), described()
    elif command == "simulate":
        tables = (*plan.tables(), *listed())
        named = presets.described(presets.simulation_names())
    else:
        tables, named = scenario.tables(), presets.described(presets.preset_names())
    if not as_json:
        print_keys(command, tables, named)
    return DONE, keys_as_dict(command, tables, named)
