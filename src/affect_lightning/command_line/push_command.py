"""`affect-lightning push`: an export to a Hugging Face hub, with a model card (`affect_lightning.hub`).

Nothing is sent without `--yes`, and a new repository is private unless asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.errors import ConfigurationError


def run(arguments: Sequence[str]) -> int:
    """Send an exported folder to a hub, with a model card: scores, licence, intended use and misuse."""
    parser = CommandParser(prog="affect-lightning push", description=run.__doc__)
    parser.add_argument("folder", type=Path, help="folder that `affect-lightning export` wrote")
    parser.add_argument("repository", metavar="USER/NAME", help="name of the model on the hub")
    parser.add_argument("--licence", "--license", required=True, help="the hub's identifier, such as cc-by-nc-4.0")
    parser.add_argument("--data", required=True, metavar="TEXT", help="training data and their licences, for the card")
    parser.add_argument("--report", type=Path, metavar="RESULT", help="folder of a test of this model, for the scores")
    parser.add_argument("--intended", metavar="TEXT", help="what the model is for (default: a usual text)")
    parser.add_argument("--misuse", metavar="TEXT", help="what it must not be used for (default: a usual text)")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to write to (default: the main one)")
    parser.add_argument("--public", action="store_true", help="let everybody see a new repository")
    parser.add_argument("--yes", action="store_true", help="send; without it the files and the card are only shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)

    from affect_lightning.hub.exchange import card_of, files_to_push, push_export
    from affect_lightning.hub.model_card import CardFacts
    from affect_lightning.unibench.report.files import read_report

    names = files_to_push(options.folder)
    given = {name: text for name in ("intended", "misuse") if (text := getattr(options, name)) is not None}
    facts = CardFacts(options.licence, options.data, **given)
    report = None if options.report is None else read_report(options.report)
    card = card_of(options.folder, options.repository, facts, report)
    if not options.yes:
        if options.json:
            raise ConfigurationError("Add --yes to send: with --json nothing can be shown first.")
        sizes = [f"  {name}  {(options.folder / name).stat().st_size:,} bytes" for name in names]
        print("\n".join([card, f"To be sent to {options.repository}, with the card above:", *sizes]))
        print("\nNothing was sent. Add --yes to send it.")
        return 0
    done = push_export(options.folder, options.repository, card, public=options.public, revision=options.revision)
    if options.json:
        print_json(vars(done))
        return 0
    print(f"Sent {len(done.files)} files to {done.address} (commit {done.commit}).")
    return 0
